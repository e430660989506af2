"""Which worker runs which feature files, and when. Pure.

A folder of features stays together: its scenarios run in one worker, in their order, and share the
stacks that stand for that folder. Files tagged `@quiet` run first, one after the other in one
worker, while no other worker has anything to do and so no other twin stands. Then what takes
longest goes first, which leaves the least waiting at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from statistics import mean

#: A worker looks one scenario ahead: it has to know what comes next before it begins the last one.
LOOKAHEAD = 2


@dataclass
class Unit:
    """Scenarios, by their node ids, that one worker runs one after the other."""

    name: str
    items: list[str]
    quiet: bool


def units(
    collected: Sequence[str],
    quiet: Collection[str],
    seconds: Mapping[str, float],
    workers: int,
) -> list[Unit]:
    """Return what is given out, in that order, of `collected` (node ids).

    `quiet` names files; `seconds` maps file → expected duration, and what it lacks is taken to last
    as long as the others do on average. Folders are split into files when they are fewer than
    `workers`.
    """
    average = mean(seconds.values()) if seconds else 1.0
    folders = {_folder(file_of(item)) for item in collected}
    found: dict[tuple[str, bool], Unit] = {}
    for item in collected:
        file = file_of(item)
        name = _folder(file) if len(folders) >= workers else file
        unit = found.setdefault((name, file in quiet), Unit(name, [], file in quiet))
        unit.items.append(item)

    def expected(unit: Unit) -> float:
        return sum(seconds.get(file, average) for file in {file_of(i) for i in unit.items})

    return sorted(found.values(), key=lambda unit: (not unit.quiet, -expected(unit)))


def file_of(item: str) -> str:
    """Return the file of a node id."""
    return item.split("::", 1)[0]


def _folder(file: str) -> str:
    return str(PurePosixPath(file).parent)


@dataclass
class Queue:
    """What is left to be given out, and what each worker has; a worker is any hashable name."""

    left: list[Unit]
    given: dict[str, list[Unit]] = field(default_factory=dict)

    def join(self, worker: str) -> None:
        """Let `worker` take part."""
        self.given.setdefault(worker, [])

    def pending(self, worker: str) -> int:
        """Return how many scenarios `worker` has that are not over."""
        return sum(len(unit.items) for unit in self.given[worker])

    @property
    def is_over(self) -> bool:
        """Whether all is given out, and no worker needs anything but the word that this was all."""
        return not self.left and all(self.pending(w) < LOOKAHEAD for w in self.given)

    @property
    def has_pending(self) -> bool:
        """Whether any scenario is not over."""
        return bool(self.left) or any(self.pending(worker) for worker in self.given)

    def give(self, workers: Collection[str]) -> tuple[str, Unit] | None:
        """Give the next unit to the one of `workers` that has least; None when nobody may have it.

        Call it again until then: one that has a single scenario left needs to know the next one.
        """
        wanting = [w for w in sorted(workers) if w in self.given and self._wants(w)]
        if not self.left or not wanting:
            return None
        worker = min(wanting, key=self.pending)
        unit = self.left.pop(0)
        self.given[worker].append(unit)
        return worker, unit

    def _wants(self, worker: str) -> bool:
        return self.pending(worker) < LOOKAHEAD and self._may_work(worker)

    def _may_work(self, worker: str) -> bool:
        """Whether `worker` disturbs nobody: while a quiet one is not over, only its own may."""
        holders = [w for w, given in self.given.items() if any(unit.quiet for unit in given)]
        if holders:
            return worker in holders
        if any(unit.quiet for unit in self.left):
            return all(not self.pending(other) for other in self.given if other != worker)
        return True

    def over(self, worker: str, item: str) -> None:
        """Take note that `worker` ran `item`."""
        for unit in self.given[worker]:
            if item in unit.items:
                unit.items.remove(item)
        self.given[worker] = [unit for unit in self.given[worker] if unit.items]

    def lose(self, worker: str) -> str | None:
        """Take back what a worker that ended has not run; returns the scenario that it was at.

        That one is not run again: it may be what ended the worker.
        """
        taken = self.given.pop(worker)
        lost = taken[0].items.pop(0) if taken else None
        back = [unit for unit in taken if unit.items]
        self.left = sorted([*back, *self.left], key=lambda unit: not unit.quiet)
        return lost
