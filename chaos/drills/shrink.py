"""The shortest part of a schedule that still fails. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from chaos.drills.plan import Entry
from fixtures.errors import CutoverError


def shrink(
    schedule: Sequence[Entry],
    fails: Callable[[Sequence[Entry]], bool],
    on_try: Callable[[int, int], None] = lambda tries, length: None,
) -> tuple[Entry, ...]:
    """Return a part of `schedule` that fails and of which no entry can be left out.

    Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
    2002: ddmin). Entries keep their times. No part is tried twice. `on_try` is told the number of
    the try and how many entries it has. Raises `CutoverError` when the whole does not fail.
    """
    known: dict[tuple[int, ...], bool] = {}

    def failing(numbers: tuple[int, ...]) -> bool:
        if numbers not in known:
            on_try(len(known) + 1, len(numbers))
            known[numbers] = bool(numbers) and fails([schedule[i] for i in numbers])
        return known[numbers]

    current = tuple(range(len(schedule)))
    if not failing(current):
        raise CutoverError(
            "it did not fail this time: there is nothing to shrink",
            where="drill",
            remedy="Run it again, or with the seed that failed.",
        )
    parts = 2
    while len(current) > 1:
        chunks = _split(current, parts)
        rests = [tuple(i for i in current if i not in chunk) for chunk in chunks]
        smaller = next((c for c in chunks if failing(c)), None)
        if smaller is not None:
            current, parts = smaller, 2
            continue
        smaller = next((r for r in rests if failing(r)), None)
        if smaller is not None:
            current, parts = smaller, max(parts - 1, 2)
        elif parts >= len(current):
            break
        else:
            parts = min(2 * parts, len(current))
    return tuple(schedule[i] for i in current)


def _split(numbers: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    ends = [round(len(numbers) * part / parts) for part in range(parts + 1)]
    return [numbers[start:end] for start, end in pairwise(ends) if end > start]
