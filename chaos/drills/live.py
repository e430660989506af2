"""A drill on a live cluster: real clients, real looks, a folder with all that was seen.

This module and the command line are where chaos meets the rooms that measure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chaos.drills.journal import Journal
from chaos.drills.plan import Drill, Entry, as_rows
from chaos.drills.runner import Outcome, Runner
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Waited
from load import findings, outages
from load.availability import AvailabilityProbe
from load.error_budget import Span, Spending, spend
from load.outages import Edge
from load.routes import named_targets
from verify.replication import pair_of
from verify.steady import unsteady

JOURNAL: Final = "journal.jsonl"
_STEADY_BEFORE_SECONDS: Final = 60.0
DOWN_FOR_SECONDS: Final = 30.0
#: After a change of leader Swarm calls living nodes down, until their agents, which try any manager
#: in turn, have found the new one (moby issue 32218): more patience for one whose engine answers.
MISTAKEN_FOR_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 3.0
_PRIMARY, _REPLICA = "gibd-postgres", "gibd-postgres-replica"


class LiveClients:
    """The availability probe, as a drill sees it."""

    def __init__(self, probe: AvailabilityProbe) -> None:
        self.probe = probe
        self._told: dict[str, int] = {}

    def good_before(self, n: int) -> str:
        """Wait for `n` good answers in a row of each target; return why there were none."""
        try:
            self.probe.wait_until_good(n=n, within=_STEADY_BEFORE_SECONDS)
        except NeverTrue as error:
            return str(error)
        return ""

    def new_requests(self) -> list[dict[str, Any]]:
        """Return the requests settled since the last call."""
        found = []
        for target in self.probe.targets:
            samples = self.probe.samples(target.name)
            found += [
                {"target": s.target, "due": s.due, "latency": s.latency, "ok": s.ok}
                for s in samples[self._told.get(target.name, 0) :]
            ]
            self._told[target.name] = len(samples)
        return sorted(found, key=lambda request: request["due"])


@dataclass
class LiveWatch:
    """Looks at the managers, and at PostgreSQL when a condition asks for it."""

    cluster: Cluster
    replica_matters: bool
    _leader_seen: float = field(default_factory=time.monotonic)
    _down_since: dict[str, float] = field(default_factory=dict)

    def observed(self, lost: Sequence[str]) -> tuple[Sequence[str], bool | None, float]:
        """Return nodes down beyond `lost`, whether the replica streams, seconds without leader.

        Down are those that have been called so for `DOWN_FOR_SECONDS`, or for
        `MISTAKEN_FOR_SECONDS` if their own engine answers.
        """
        now = time.monotonic()
        try:
            snapshot = self.cluster.snapshot(timeout=3)
        except CutoverError:
            snapshot = None
        if snapshot is not None:
            if snapshot.leader() is not None:
                self._leader_seen = time.monotonic()
            called = {n.hostname for n in snapshot.nodes if not n.ready} - set(lost)
            self._down_since = {name: self._down_since.get(name, now) for name in called}
        down = [
            name for name, since in self._down_since.items() if self._is_down(name, now - since)
        ]
        streaming = self._streams() if self.replica_matters else None
        return down, streaming, time.monotonic() - self._leader_seen

    def _is_down(self, name: str, called_so_for: float) -> bool:
        if called_so_for < DOWN_FOR_SECONDS:
            return False
        return called_so_for >= MISTAKEN_FOR_SECONDS or not self._answers(name)

    def _answers(self, name: str) -> bool:
        try:
            return self.cluster.node(name).ask(lambda api: api.ping(), _ANSWER_SECONDS)
        except CutoverError:
            return False

    def _streams(self) -> bool:
        pair = pair_of(self.cluster, primary=_PRIMARY, replica=_REPLICA)
        return not pair.problems_within(self.cluster, 0.0)


@dataclass(frozen=True)
class Rehearsal:
    """What a drill left: its outcome, its clients, its journal, the nodes that it took away."""

    outcome: Outcome
    probe: AvailabilityProbe
    journal: Path
    taken_away: frozenset[str] = frozenset()


def rehearse(
    cluster: Cluster,
    chaos: Chaos,
    drill: Drill,
    entries: Sequence[Entry],
    folder: Path,
    *,
    seed: int | None,
    replay: str,
    start_clients: Callable[[Sequence[Any], float], AvailabilityProbe],
) -> Rehearsal:
    """Run the drill; nothing is in force when it returns. `folder` gets its journal.

    `start_clients` starts the probe for targets and a rate, and owns it.
    """
    targets = named_targets(cluster, drill.clients.targets)
    journal = folder / JOURNAL
    probe = start_clients(targets, drill.clients.rate)
    with Journal(journal) as lines:
        lines.drill(drill.name, seed, as_rows(entries), replay, time.monotonic())
        runner = Runner(
            drill=drill,
            entries=entries,
            chaos=chaos,
            clients=LiveClients(probe),
            watch=LiveWatch(cluster, any(c.replica_lost for c in drill.abort)),
            steady=lambda: unsteady(cluster),
            journal=lines,
        )
        outcome = runner.run()
    probe.windows = chaos.windows()
    taken_away = frozenset(name for f in chaos.faults for name in f.plan.takes_away)
    return Rehearsal(outcome, probe, journal, taken_away)


def served(rehearsal: Rehearsal, target: str) -> tuple[float, int]:
    """Return the percentage of good answers of `target` from the first fault on; and how many."""
    began = rehearsal.outcome.began
    if began is None:
        return 0.0, 0
    share, asked = outages.availability(
        rehearsal.probe.samples(target), began, time.monotonic() - rehearsal.probe.timeout
    )
    return 100 * share, asked


def longest_outage(rehearsal: Rehearsal, target: str) -> Waited:
    """Return how long `target` was not served at the worst, from the first fault on.

    0 s when no request failed. `reason` is set when it was not served again for good.
    """
    began = rehearsal.outcome.began or 0.0
    samples = [s for s in rehearsal.probe.samples(target) if s.due >= began]
    worst = Waited(0.0, 0.0)
    for outage in outages.outages(samples):
        start = outage.start or Edge(began, 0.0)
        if outage.end is None:
            return Waited(samples[-1].ended - start.at, start.error, "not served again for good")
        took = Waited(outage.end.at - start.at, outage.end.error + start.error)
        worst = max(worst, took, key=lambda each: each.seconds)
    return worst


def spoiled(rehearsal: Rehearsal) -> list[str]:
    """Return what makes the clients' measurements unfit."""
    return findings.objections(rehearsal.probe)


def spending(rehearsal: Rehearsal, target: str, window: float) -> Spending:
    """Return what the drill spent of the error budget of `target` in `window` seconds."""
    faults = [
        Span(name, start, math.inf if end is None else end)
        for name, start, end in sorted(rehearsal.probe.windows, key=lambda each: each[1])
    ]
    began = rehearsal.outcome.began or 0.0
    return spend(rehearsal.probe.samples(target), faults, start=began, window=window)


def proves_nothing(rehearsal: Rehearsal, to_be_lost: Iterable[str]) -> list[str]:
    """Return why the drill says nothing of a window in which each of those nodes is lost once."""
    outcome = rehearsal.outcome
    ended = f"the drill ended as {outcome.verdict}: {outcome.reason}"
    missing = sorted(set(to_be_lost) - rehearsal.taken_away)
    return [
        *([ended] if outcome.verdict != "met" else []),
        *(f"{node} was never lost" for node in missing),
        *spoiled(rehearsal),
    ]
