"""One drill: steady state, faults by schedule, steady state; everything into its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chaos import catalogue
from chaos.drills.conditions import Observed, violated
from chaos.drills.journal import Journal
from chaos.drills.plan import Drill, Entry
from chaos.fault import NotInForce
from chaos.guard import Permission
from chaos.session import Chaos, Event, InForce
from fixtures import progress
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually

_LOOK_SECONDS: Final = 1.0
#: A node that has its power or its network back may be called down so much longer.
RETURN_SECONDS: Final = 90.0


class Clients(Protocol):
    """Who asks the system while it is broken."""

    def good_before(self, n: int) -> str:
        """Wait for `n` good answers in a row of each target; return why there were none."""

    def new_requests(self) -> list[dict[str, Any]]:
        """Return the requests settled since the last call, as the journal keeps them."""


class Watch(Protocol):
    """What is looked at while faults are in force."""

    def observed(self, lost: Sequence[str]) -> tuple[Sequence[str], bool | None, float]:
        """Return nodes down beyond `lost`, whether the replica streams, seconds without leader."""


@dataclass
class Outcome:
    """How a drill ended. `verdict`: met, missed, inconclusive or aborted; `reason` says why."""

    verdict: str
    reason: str
    cause: str = ""
    steady_after: float | None = None
    began: float | None = None
    ended: float | None = None


@dataclass
class Runner:
    """Runs the entries of one drill with one `Chaos`, at their times.

    `clients` and `watch` are asked about once a second; the journal gets every action with its
    proof, every request and every look at the steady state.
    """

    drill: Drill
    entries: Sequence[Entry]
    chaos: Chaos
    clients: Clients
    watch: Watch
    steady: Callable[[], bool | Pending]
    journal: Journal
    _requests: int = 0
    _bad: int = 0
    _bad_in_a_row: dict[str, int] = field(default_factory=dict)
    _in_force: dict[int, InForce] = field(default_factory=dict)

    def run(self) -> Outcome:
        """Return how it ended; whatever that is, nothing is left in force."""
        self.chaos.on_event = self._tell
        try:
            outcome = self._rehearse()
        except NotInForce as error:
            outcome = Outcome("inconclusive", str(error), "fault")
        except CutoverError as error:
            outcome = Outcome("inconclusive", str(error), getattr(error, "cause", "harness"))
        outcome = self._restore(outcome)
        self._drain_requests()
        self.journal.end(outcome.verdict, outcome.reason, time.monotonic())
        return outcome

    def _rehearse(self) -> Outcome:
        if reason := self._steady_within(self.drill.steady_within):
            return Outcome("inconclusive", f"not steady before the first fault: {reason}", "system")
        if reason := self.clients.good_before(self.drill.good_before):
            return Outcome(
                "inconclusive",
                f"too little good traffic before the first fault: {reason}",
                "measuring",
            )
        self._drain_requests()
        self._requests = self._bad = 0
        began = time.monotonic()
        late = 0.0
        for at, number, begins in agenda(self.entries):
            if reason := self._pass_until(began + late + at):
                self.journal.action("abort", "", "", time.monotonic(), 0.0, reason)
                return Outcome("aborted", reason, "system", began=began)
            if begins:
                self._begin(number)
                # A fault waits for the steady state; that is not taken from its own time.
                late = max(late, self._in_force[number].instant.at - began - at)
            else:
                self.chaos.end(self._in_force.pop(number))
        return Outcome("met", "", began=began)

    def _begin(self, number: int) -> None:
        entry = self.entries[number]
        permission = Permission(self.drill.quorum_may_be_lost, self.drill.several_domains)
        if not self._in_force:
            # A manager's return may cost another election: the session's own wait is too short.
            self._steady_within(self.drill.steady_within)
        progress.say(f"  drill: {entry.fault} {dict(entry.arguments)} for {entry.lasts:g} s")
        self._in_force[number] = self.chaos.begin(
            catalogue.make(entry.fault, entry.arguments), permission
        )

    def _pass_until(self, moment: float) -> str:
        """Let the time pass, looking; return why the drill must be aborted, or an empty text."""
        reason = ""

        def look() -> bool | Pending:
            nonlocal reason
            self._drain_requests()
            down, streaming, leaderless = self.watch.observed(self._taken_away())
            reason = violated(
                self.drill.abort,
                Observed(
                    requests=self._requests,
                    bad=self._bad,
                    bad_in_a_row=max(self._bad_in_a_row.values(), default=0),
                    nodes_down=down,
                    replica_streaming=streaming,
                    without_leader=leaderless,
                ),
            )
            left = moment - time.monotonic()
            return bool(reason) or left <= 0 or Pending(f"next by schedule in {left:.0f} s")

        eventually(
            look,
            within=max(0.0, moment - time.monotonic()) + 30,
            every=min(_LOOK_SECONDS, max(0.05, moment - time.monotonic())),
            what="drill",
        )
        return reason

    def _taken_away(self) -> list[str]:
        """Return the nodes that this drill took away; one given back needs time to return."""
        now = time.monotonic()
        return [
            name
            for fault in self.chaos.faults
            if fault.healed is None or now - fault.healed.at < RETURN_SECONDS
            for name in fault.plan.takes_away
        ]

    def _restore(self, outcome: Outcome) -> Outcome:
        try:
            outcome.ended = self.chaos.heal()
        except CutoverError as error:
            return Outcome("inconclusive", str(error), "harness", began=outcome.began)
        reason = self._steady_within(self.drill.steady_within)
        outcome.steady_after = time.monotonic() - outcome.ended
        if reason and outcome.verdict == "met":
            outcome.verdict, outcome.reason, outcome.cause = (
                "missed",
                f"not steady within {self.drill.steady_within:g} s: {reason}",
                "system",
            )
        return outcome

    def _steady_within(self, seconds: float) -> str:
        def look() -> bool | Pending:
            self._drain_requests()
            state = self.steady()
            reason = state.reason if isinstance(state, Pending) else ""
            self.journal.steady(time.monotonic(), not reason, reason)
            return state

        try:
            eventually(look, within=seconds, every=1.0, what="steady state")
        except NeverTrue as error:
            return str(error)
        return ""

    def _drain_requests(self) -> None:
        requests = self.clients.new_requests()
        self.journal.requests(requests)
        for request in requests:
            self._requests += 1
            self._bad += not request["ok"]
            run = self._bad_in_a_row.get(request["target"], 0)
            self._bad_in_a_row[request["target"]] = 0 if request["ok"] else run + 1

    def _tell(self, event: Event) -> None:
        self.journal.action(event.what, event.label, event.id, event.at, event.error, event.proof)


def agenda(entries: Sequence[Entry]) -> list[tuple[float, int, bool]]:
    """Return (seconds, entry's number, whether it begins), in order; an end before a beginning."""
    moments = [(entry.at, number, True) for number, entry in enumerate(entries)]
    moments += [(entry.at + entry.lasts, number, False) for number, entry in enumerate(entries)]
    return sorted(moments, key=lambda moment: (moment[0], moment[2], moment[1]))
