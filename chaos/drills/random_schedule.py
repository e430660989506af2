"""Schedules drawn from a seed: the same seed gives the same schedule, everywhere. Pure."""

from __future__ import annotations

import random

from chaos.drills.plan import Choice, Entry, RandomSchedule


def draw(spec: RandomSchedule, seed: int) -> tuple[Entry, ...]:
    """Return at most `spec.faults` entries that begin within `spec.over` seconds.

    Only `random()` of the generator is used: its stream is the same in every version of Python
    (docs of `random`, "Notes on Reproducibility"); times are rounded to a tenth of a second.
    """
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret

    def between(low: float, high: float) -> float:
        return round(low + (high - low) * chance.random(), 1)

    drawn: list[Entry] = []
    at = 0.0
    for _ in range(spec.faults):
        choice = _weighted(spec.of, chance.random())
        lasts = max(0.1, between(*spec.lasts))
        at = round(max(at + between(*spec.gap), _free_from(drawn, spec.together)), 1)
        if at > spec.over:
            break
        drawn.append(Entry(at, choice.fault, choice.arguments, lasts))
    return tuple(drawn)


def _weighted(choices: list[Choice], point: float) -> Choice:
    reach = point * sum(choice.weight for choice in choices)
    for choice in choices:
        reach -= choice.weight
        if reach < 0:
            return choice
    return choices[-1]


def _free_from(drawn: list[Entry], together: int) -> float:
    """Return from when on fewer than `together` of the drawn are in force."""
    ends = sorted((entry.at + entry.lasts for entry in drawn), reverse=True)
    return ends[together - 1] if len(ends) >= together else 0.0
