"""Whether clients saw a service change from one version to another exactly once. Pure.

While an update runs the old and the new version both answer, in any order, so that order alone
proves nothing. A version *reigns* when it gave so many answers in a row that another one beside it
would almost surely have answered one of them. An update that changes over once shows two reigns,
the old and then the new one; one that was rolled back shows the old one and nothing else.

Samples are those of one target, in the order in which they were due; who served a good one is the
version that its answer names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from fixtures.cluster.power import Instant
from load.outages import Edge, outages
from load.samples import Sample

#: The chance that a version which is there stays unseen in as many answers as make a reign.
CHANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Update:
    """An update of a service from version `old` to `new`, under way from `began` to `ended`.

    `replicas` tasks serve; one more while a new one stands beside the old.
    """

    old: str
    new: str
    began: Instant
    ended: Instant
    replicas: int

    @property
    def reign(self) -> int:
        """How many answers in a row make a reign, if a balancer gives every task its share."""
        return math.ceil(math.log(CHANCE) / math.log(self.replicas / (self.replicas + 1)))


@dataclass(frozen=True, slots=True)
class Changeover:
    """What clients saw of an update.

    `answers` counts the good answers by version. `reigns` are the versions that reigned, in order.
    `first_new` is when the new version began to answer, `last_old` when the old one ended; None
    when that was not seen. `problems` say what contradicts the update, `doubts` what was asked too
    little to tell.
    """

    answers: Mapping[str, int]
    reigns: tuple[str, ...]
    first_new: Edge | None
    last_old: Edge | None
    problems: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def mixture(self) -> Edge | None:
        """How long both versions answered, as seconds ± error; None without a changeover."""
        if self.first_new is None or self.last_old is None:
            return None
        if self.first_new == self.last_old:
            return Edge(0.0, self.first_new.error)
        seconds = self.last_old.at - self.first_new.at
        return Edge(max(0.0, seconds), self.first_new.error + self.last_old.error)


def completed(samples: Sequence[Sample], update: Update, *, grace: float) -> Changeover:
    """Judge an update that was to reach clients; the old version may drain for `grace` seconds.

    The grace counts from the update's end.
    """
    seen = _seen(samples, update, grace, gone=update.old)
    problems = list(seen.problems)
    if not seen.answers.get(update.new):
        problems.append(f"version {update.new} was never seen")
    elif seen.reigns[-1:] == (update.old,) and update.new in seen.reigns:
        problems.append(f"it went back to version {update.old} for good")
    elif seen.reigns != (update.old, update.new) and not seen.doubts:
        shown = ", ".join(seen.reigns) or "none"
        problems.append(
            f"the versions that answered alone, in order: {shown}, not {update.old}, {update.new}"
        )
    return _with(seen, problems)


def rolled_back(samples: Sequence[Sample], update: Update, *, grace: float) -> Changeover:
    """Judge an update that was to be taken back, `grace` as for `completed`.

    Answers of the new version are allowed while it was under way only; `answers` counts them.
    """
    seen = _seen(samples, update, grace, gone=update.new)
    problems = list(seen.problems)
    if update.new in seen.reigns:
        problems.append(f"version {update.new} answered alone")
    if not seen.answers.get(update.old):
        problems.append(f"version {update.old} was never seen")
    return _with(seen, problems)


def failed_before(samples: Sequence[Sample], update: Update) -> list[str]:
    """Say what failed before the update began, for which it is not to blame."""
    earliest = update.began.at - update.began.error
    failed = [s for s in samples if not s.ok and s.ended < earliest]
    return [f"{failed[0].target}: {len(failed)} failed before the update began"] if failed else []


def time_out(samples: Sequence[Sample]) -> Edge | None:
    """Return how long, in seconds ± error, all outages in `samples` together lasted.

    None when the last of them did not end.
    """
    found = outages(samples)
    lasted = [outage.seconds for outage in found]
    known = [seconds for seconds in lasted if seconds is not None]
    if len(known) < len(lasted):
        return None
    return Edge(sum(known), sum(outage.error for outage in found))


def _with(seen: Changeover, problems: Sequence[str]) -> Changeover:
    return Changeover(
        seen.answers, seen.reigns, seen.first_new, seen.last_old, tuple(problems), seen.doubts
    )


def _seen(samples: Sequence[Sample], update: Update, grace: float, *, gone: str) -> Changeover:
    """Say what both kinds of updates have in common; `gone` must not answer after the end."""
    good = [sample for sample in samples if sample.ok]
    answers = Counter(sample.served_by for sample in good)
    problems = [
        f"{count} answers of version {version}" if version else f"{count} answers name no version"
        for version, count in answers.items()
        if version not in (update.old, update.new)
    ]
    earliest = update.began.at - update.began.error
    if early := sum(s.served_by == update.new and s.ended < earliest for s in good):
        problems.append(f"{early} answers of version {update.new} before the update began")
    latest = update.ended.at + update.ended.error + grace
    if late := sum(s.served_by == gone and s.started > latest for s in good):
        problems.append(
            f"{late} answers of version {gone} more than {grace:g} s after the update's end"
        )
    return Changeover(
        answers=dict(answers),
        reigns=_reigns(good, update.reign),
        first_new=_first(good, update.new),
        last_old=_after_last(good, update.old),
        problems=tuple(problems),
        doubts=tuple(_doubts(samples, update, latest)),
    )


def _reigns(good: Sequence[Sample], least: int) -> tuple[str, ...]:
    runs = [(version, len(list(run))) for version, run in groupby(s.served_by for s in good)]
    long_runs = (version for version, length in runs if length >= least)
    return tuple(version for version, _ in groupby(long_runs))


def _first(good: Sequence[Sample], version: str) -> Edge | None:
    for index, sample in enumerate(good):
        if sample.served_by == version:
            return _edge(good, index) if index else None
    return None


def _after_last(good: Sequence[Sample], version: str) -> Edge | None:
    last = max((i for i, s in enumerate(good) if s.served_by == version), default=len(good))
    return _edge(good, last + 1) if last + 1 < len(good) else None


def _edge(good: Sequence[Sample], index: int) -> Edge:
    """Place the change that shows at `index`: after the answer before was asked for."""
    earliest, latest = good[index - 1].started, good[index].ended
    return Edge((earliest + latest) / 2, abs(latest - earliest) / 2)


def _doubts(samples: Sequence[Sample], update: Update, latest: float) -> list[str]:
    """Say where too little was asked for a reign, which is then missing for that reason."""
    doubts = []
    before = sum(sample.ended < update.began.at for sample in samples)
    after = sum(sample.started > latest for sample in samples)
    for count, when in ((before, "before the update"), (after, "after its end")):
        if count < update.reign:
            doubts.append(f"only {count} requests {when}, {update.reign} are needed")
    return doubts
