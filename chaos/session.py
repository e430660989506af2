"""Faults injected, proven, undone: the one door through which anything is broken."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from chaos import doing, guard
from chaos.fault import Fault, NotInForce, Plan, Power, Shell
from chaos.guard import Permission, Situation
from chaos.healing import Healing, heal
from chaos.ledger import Ledger, Open, Owner
from chaos.view import ClusterView
from chaos.watchdog import Watchdog
from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually

#: After so many seconds a node undoes by itself what was done on it, whoever died.
AT_MOST_SECONDS: Final = 900.0

#: How long the steady state may take to come before the first fault.
STEADY_SECONDS: Final = 30.0


@dataclass
class InForce:
    """A fault that was injected, and proven to be in force.

    `instant` is when it was injected, `proven` when its effect had been seen (monotonic seconds),
    `healed` when its undoing had been asked for. `slipped` says that its effect was not there any
    more when it was about to be undone; empty when it was.
    """

    id: str
    fault: Fault
    plan: Plan
    instant: Instant
    proof: str = ""
    proven: float = 0.0
    healed: Instant | None = None
    gone: float | None = None
    slipped: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the journal keeps: `what` is inject, in force, heal, gone or failed."""

    what: str
    label: str
    id: str
    at: float
    error: float
    proof: str = ""


@dataclass
class Chaos:
    """All that one run or command breaks on one cluster.

    Each fault is judged by the guard, written into the ledger, injected, and proven to be in force;
    if it cannot be, it is undone at once. A watchdog process undoes everything should this process
    die. `steady` says whether the cluster is in its steady state, or why it is not, which forbids
    the first fault. `happened` says whether anything was injected, `healed_at` when undoing last
    began.
    """

    cluster: Cluster
    ledger: Ledger
    steady: Callable[[], bool | Pending]
    allowed_cluster: str | None = None
    on_event: Callable[[Event], None] = lambda _: None
    at_most: float = AT_MOST_SECONDS
    steady_within: float = STEADY_SECONDS
    happened: bool = False
    healed_at: float | None = None
    faults: list[InForce] = field(default_factory=list)
    _watchdog: Watchdog | None = None

    def __post_init__(self) -> None:
        self._owner = Owner.me()

    # -- what is known -------------------------------------------------------------------------

    @property
    def in_force(self) -> list[InForce]:
        """The faults of this session that are in force, oldest first."""
        return [fault for fault in self.faults if fault.healed is None]

    @property
    def lost(self) -> tuple[str, ...]:
        """Names of the nodes that faults of this session have taken away."""
        lost = [name for f in self.in_force for name in sorted(f.plan.takes_away)]
        return tuple(dict.fromkeys(lost))

    def situation(self) -> Situation:
        """Return what the guard must know, other processes' faults included."""
        opened = self.ledger.open()
        return Situation(
            cluster=self.cluster.name,
            is_twin=self.cluster.is_twin,
            allowed_cluster=self.allowed_cluster,
            nodes=self.cluster.nodes,
            managers=[node.name for node in self.cluster.managers],
            lost=sorted({name for entry in opened for name in entry.takes_away}),
            touched=sorted({name for entry in opened for name in entry.touches}),
            unsteady="" if opened else self._unsteady(),
        )

    def _unsteady(self) -> str:
        """Wait for the steady state; return why it did not come, or an empty text."""
        try:
            eventually(
                self.steady,
                within=self.steady_within,
                every=0.5,
                what=f"{self.cluster.name} steady before the fault",
            )
        except NeverTrue as error:
            return str(error)
        return ""

    def permit(self) -> None:
        """Refuse, before anything is moved for a fault, what the guard would refuse anyway.

        Raises `Refused` on a cluster that is not a twin and was not named.
        """
        guard.check_allowed(
            Situation(self.cluster.name, self.cluster.is_twin, self.allowed_cluster, (), ())
        )

    def plan(self, fault: Fault, permission: Permission = Permission()) -> Plan:  # noqa: B008
        """Return what would be done, judged by the guard; touches nothing. Raises `Refused`."""
        self.permit()
        plan = fault.plan(ClusterView(self.cluster))
        guard.check(self.situation(), plan, permission)
        return plan

    # -- breaking ------------------------------------------------------------------------------

    def begin(self, fault: Fault, permission: Permission = Permission()) -> InForce:  # noqa: B008
        """Inject `fault` and prove it; it stays in force until it is healed.

        Raises `Refused`, `CannotProve`, or `NotInForce` when its effect does not show: then nothing
        was tested, and it has been undone.
        """
        plan = self.plan(fault, permission)
        fault_id = secrets.token_hex(4)
        self._not_yet(fault, plan, fault_id)
        self._arm()
        self.ledger.intend(fault_id, fault.label, plan, self._owner)
        self.happened = True
        started = InForce(fault_id, fault, plan, Instant(time.monotonic(), 0.0))
        self.faults.append(started)
        try:
            self._inject(started)
            self._prove(started)
        except BaseException as error:
            self._take_back(started, error)
            raise
        progress.say(f"  ✂ in force: {fault.label} ({started.proof})")
        return started

    @contextmanager
    def inject(self, fault: Fault, permission: Permission = Permission()) -> Iterator[InForce]:  # noqa: B008
        """Keep `fault` in force while entered; raises as `begin`, and `NotHealed` at the end."""
        started = self.begin(fault, permission)
        try:
            yield started
        finally:
            self.end(started)

    def _not_yet(self, fault: Fault, plan: Plan, fault_id: str) -> None:
        """Refuse a fault whose effect is there already: it would prove nothing."""
        for step in plan.steps:
            if isinstance(step, Shell) and step.in_force:
                seen = doing.in_force(self.cluster, step, fault_id)
                if not isinstance(seen, Pending):
                    raise NotInForce(
                        f"its effect is there before it was injected: {seen}",
                        where=fault.label,
                        remedy="Nothing was tested. Put the cluster right first.",
                    )

    def _inject(self, started: InForce) -> None:
        for number, step in enumerate(started.plan.steps):
            instant = doing.do(self.cluster, step, started.id, number, at_most=self.at_most)
            if number == 0:
                started.instant = instant
                self._tell("inject", started, instant)

    def _prove(self, started: InForce) -> None:
        proofs = []
        for step in started.plan.steps:
            within = step.within if isinstance(step, Shell) else 10.0
            try:
                proof = eventually(
                    partial(doing.in_force, self.cluster, step, started.id),
                    within=within,
                    every=0.1,
                    what=f"{started.fault.label} in force",
                    retry_on=(CutoverError,),
                )
            except NeverTrue as error:
                raise NotInForce(
                    f"the fault was not in force, so nothing was tested: {error}",
                    where=started.fault.label,
                ) from error
            proofs.append(proof)
        started.proof = "; ".join(dict.fromkeys(proofs))
        started.proven = time.monotonic()
        self.ledger.in_force(started.id, started.proof)
        self._tell("in force", started, Instant(started.proven, 0.0), started.proof)

    def _take_back(self, started: InForce, why: BaseException) -> None:
        self._tell("failed", started, Instant(time.monotonic(), 0.0), str(why))
        healing = self._heal([started])
        if healing.failures:
            why.add_note(f"and it could not be undone: {'; '.join(healing.failures)}")

    # -- putting right -------------------------------------------------------------------------

    def end(self, fault: InForce) -> Instant:
        """Undo one fault and prove it gone; returns when that began.

        Raises `NotHealed`, and `NotInForce` (when it is undone) if it had ended by itself before.
        """
        if fault.healed is None:
            self._end([fault])
        return fault.healed or fault.instant

    def heal(self) -> float:
        """Undo all of this session that is in force, the newest first; safe to repeat.

        Returns the monotonic time at which the undoing began. Raises as `end`.
        """
        return self._end(self.in_force)

    def _end(self, faults: list[InForce]) -> float:
        for fault in faults:
            fault.slipped = self._slipped(fault)
        healing = self._heal(faults)
        healing.raise_failures()
        if slipped := [f"{f.fault.label}: {f.slipped}" for f in faults if f.slipped]:
            raise NotInForce(
                f"was not in force any more when it was to be undone: {'; '.join(slipped)}",
                where="chaos",
                remedy="What was measured meanwhile proves nothing: something undid it.",
            )
        return healing.began

    def _slipped(self, fault: InForce) -> str:
        """Return what is seen in place of the fault's effect; empty while it is there."""
        for step in fault.plan.steps:
            if isinstance(step, Shell) and not step.lasting:
                continue
            if isinstance(step, Power) and step.then_on:
                continue
            try:
                seen = doing.in_force(self.cluster, step, fault.id)
            except CutoverError:
                continue  # a node that cannot be asked now: a later fault took it away
            if isinstance(seen, Pending):
                return seen.reason
        return ""

    def _heal(self, faults: list[InForce]) -> Healing:
        ids = [fault.id for fault in faults]
        entries = [entry for entry in self.ledger.open() if entry.id in ids]
        healing = heal(self.cluster, self.ledger, entries, say=progress.say)
        self.healed_at = healing.began
        now = time.monotonic()
        known = {entry.id for entry in entries}
        for fault in faults:
            if fault.id in healing.undone or fault.id not in known:
                # Another process (its watchdog, somebody's heal) may have undone it already.
                fault.healed = healing.undone.get(fault.id, Instant(healing.began, 0.0))
                fault.gone = now
                self._tell("heal", fault, fault.healed)
                self._tell("gone", fault, Instant(now, 0.0), healing.proofs.get(fault.id, ""))
        return healing

    def close(self) -> None:
        """Undo everything, then let the watchdog go. Raises `NotHealed`."""
        try:
            if self.in_force:
                progress.say("  healing what is still in force")
                self._heal(self.in_force).raise_failures()
            self.ledger.forget()
        finally:
            if self._watchdog is not None:
                self._watchdog.dismiss(still_open=bool(self.in_force))
                self._watchdog = None

    def windows(self) -> list[tuple[str, float, float | None]]:
        """Return label, start and end (None: in force) of every fault, in monotonic seconds."""
        return [
            (f.fault.label, f.instant.at, f.healed.at if f.healed else None) for f in self.faults
        ]

    def _arm(self) -> None:
        if self._watchdog is None or not self._watchdog.alive:
            self._watchdog = Watchdog(self.ledger.source, self._owner)

    def _tell(self, what: str, fault: InForce, at: Instant, proof: str = "") -> None:
        self.on_event(Event(what, fault.fault.label, fault.id, at.at, at.error, proof))


def heal_earlier(cluster: Cluster, ledger: Ledger, *, only_dead: bool = True) -> Healing | None:
    """Undo what processes that have ended left in force on `cluster`; None when there is nothing.

    With `only_dead` faults of a process that still runs are a reason to stop, not to heal.

    Raises `CutoverError` then.
    """
    opened, damage = ledger.read()
    for sentence in damage:
        progress.say(f"  {sentence}")
    if not opened:
        return None
    living = sorted({entry.owner.pid for entry in opened if entry.owner.alive})
    if living and only_dead:
        raise CutoverError(
            f"process {living[0]} has faults in force: {', '.join(e.label for e in opened)}",
            where=f"cluster {cluster.name}",
            remedy="Wait for it, or end what it broke: python -m chaos heal",
        )
    return heal_all(cluster, ledger, opened)


def heal_all(cluster: Cluster, ledger: Ledger, entries: list[Open]) -> Healing:
    """Undo `entries` of `cluster`, whoever injected them."""
    with progress.step(f"healing {len(entries)} fault(s) on {cluster.name}"):
        return heal(cluster, ledger, entries, say=progress.say)
