"""Results per phase: steady, fault, recovery. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from load.percentiles import percentile
from load.samples import Sample


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch [start, end) of the monotonic clock, in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """What `n` requests due in a phase showed; `bad` of them failed.

    `p50`, `p95` and `p99` are the latencies of the good ones in seconds from when they were due,
    None when there was none. A refusal is quick, so a failed request has no latency: read them
    beside `bad`, never alone.
    """

    phase: Phase
    n: int
    bad: int
    p50: float | None
    p95: float | None
    p99: float | None


def phases(marks: Sequence[tuple[str, float]], end: float) -> list[Phase]:
    """Return the phases that begin at `marks` (name, monotonic seconds); the last ends at `end`.

    Marks may be given in any order. Raises `ValueError` when one lies after `end`.
    """
    ordered = sorted(marks, key=lambda mark: mark[1])
    if ordered and ordered[-1][1] > end:
        raise ValueError(f"phase {ordered[-1][0]} begins after the end")
    ends = [at for _, at in ordered[1:]] + [end]
    return [Phase(name, start, until) for (name, start), until in zip(ordered, ends, strict=False)]


def results(samples: Sequence[Sample], among: Sequence[Phase]) -> list[PhaseResult]:
    """Return one result a phase. A sample belongs to the phase in which it was due."""
    return [
        _result(phase, [s for s in samples if phase.start <= s.due < phase.end]) for phase in among
    ]


def _result(phase: Phase, samples: Sequence[Sample]) -> PhaseResult:
    latencies = [sample.latency for sample in samples if sample.ok]
    p50, p95, p99 = (percentile(latencies, rank) if latencies else None for rank in (50, 95, 99))
    return PhaseResult(phase, len(samples), len(samples) - len(latencies), p50, p95, p99)
