"""What a server of known behaviour does to requests of a known schedule, computed. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def true_latencies(
    due: Sequence[float], service: float, stalls: Sequence[tuple[float, float]]
) -> list[float]:
    """Return how long each request takes (s) whose client sends it exactly when it is `due`.

    `stalls` are (begin, end) on the same clock; see `bench.truth_server` for the rules.
    """
    return [_answered(at, service, stalls) - at for at in due]


def _answered(at: float, service: float, stalls: Sequence[tuple[float, float]]) -> float:
    begun = _after_stall(at, stalls)
    return _after_stall(begun + service, stalls)


def _after_stall(at: float, stalls: Sequence[tuple[float, float]]) -> float:
    return next((end for begin, end in stalls if begin <= at < end), at)
