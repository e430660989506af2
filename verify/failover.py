"""Failover as Swarm shows it: when a lost node was noticed, and when its tasks ran elsewhere.

Swarm goes on saying *Running* of tasks on a dead node, so a task counts as moved only when another
task of the same slot runs on another node that is ready.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.constraints import eligible
from fixtures.cluster.power import Instant
from fixtures.cluster.swarm import Service, Snapshot, SwarmNode, Task
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, Waited, eventually

_POLL_SECONDS = 0.4
_POLL_TIMEOUT = 2.0


# swarmkit: a manager starts an election 10 to 19 ticks of 1 s after the leader's last word; a new
# dispatcher then waits for 3 heartbeats of grace, twice as long as usual, each up to 10 % late.
_ELECTION_SECONDS = 20.0
_HEARTBEATS_OF_GRACE = 6
_HEARTBEAT_JITTER = 1.1


def worst_leader_detection(heartbeat: float) -> float:
    """Return how long Swarm may take to call a lost leader's node down, in seconds.

    `heartbeat` is the dispatcher's period in seconds. From swarmkit's manager/dispatcher (grace
    multiplier 3, doubled after a leader change) and manager/state/raft (election ticks).
    """
    return _ELECTION_SECONDS + _HEARTBEATS_OF_GRACE * heartbeat * _HEARTBEAT_JITTER


def heartbeat_remedy(heartbeat: float, limit: float) -> str:
    """Say what to do when the worst case is beyond `limit` seconds; empty when it is not."""
    if worst_leader_detection(heartbeat) <= limit:
        return ""
    return (
        f"the heartbeat is {heartbeat:g} s; a shorter one helps: "
        "docker swarm update --dispatcher-heartbeat 3s"
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """When something was seen: `after` ± `error` seconds after the fault."""

    after: float
    error: float


@dataclass
class Failover:
    """What was seen after `node` was lost at `fault`; times are filled in as they are seen.

    `led`: it was the leader, so that another one had to be elected.
    """

    node: str
    fault: Instant
    displaced: tuple[Task, ...]
    led: bool = False
    control_plane: Seen | None = None
    detected: Seen | None = None
    moved: dict[str, Seen] = field(default_factory=dict)
    watched: float = 0.0
    _last_poll: float = field(default=0.0, repr=False)
    _last_refusal: float = field(default=0.0, repr=False)

    @property
    def stranded(self) -> list[str]:
        """Names of the displaced tasks that were not seen running elsewhere."""
        return [task.name for task in self.displaced if task.name not in self.moved]

    @property
    def rescheduled(self) -> Seen | None:
        """When the last displaced task ran elsewhere; None while one is stranded."""
        if self.stranded or not self.moved:
            return None
        return max(self.moved.values(), key=lambda seen: seen.after)

    def milestones(self) -> dict[str, Seen]:
        """Return what was seen on the way, by name."""
        seen = {"new leader answers": self.control_plane, "node reported Down": self.detected}
        return {name: moment for name, moment in seen.items() if moment is not None}

    def events(self) -> list[tuple[str, float]]:
        """Return the milestones and the last move as moments (monotonic seconds), for a plot."""
        seen = self.milestones()
        if self.rescheduled is not None:
            seen["all tasks elsewhere"] = self.rescheduled
        return [(name, self.fault.at + moment.after) for name, moment in seen.items()]

    def time_to_move(self) -> Waited:
        """Return the time until the last displaced task ran elsewhere.

        With a task stranded it is the time watched, a lower bound, and the reason names it.
        """
        last = self.rescheduled
        if last is None:
            missing = ", ".join(self.stranded) or "(nothing ran on the node)"
            return Waited(self.watched, 0.0, f"not seen running elsewhere: {missing}")
        return Waited(last.after, last.error)

    def observe(self, snapshot: Snapshot, polled: Instant) -> None:
        """Take in one look at the Swarm, made at `polled`."""
        seen = self._since_fault(polled)
        leader = snapshot.leader()
        if self.led and self.control_plane is None and leader and leader.hostname != self.node:
            # A look that no manager answered showed that there was no leader yet.
            self.control_plane = self._since_fault(polled, self._last_refusal)
        lost = snapshot.node_named(self.node)
        if self.detected is None and lost is not None and lost.state == "down":
            self.detected = seen
        ready = {n.id for n in snapshot.nodes if n.ready and n.hostname != self.node}
        for task in self.displaced:
            if task.name not in self.moved and any(
                other.slot == task.slot and other.running and other.node_id in ready
                for other in snapshot.tasks_of(task.service)
            ):
                self.moved[task.name] = seen
        self._last_poll = polled.at - polled.error

    def unanswered(self, asked: float) -> None:
        """Take in a look that began at `asked` and that no manager answered."""
        self._last_refusal = asked

    def _since_fault(self, polled: Instant, not_before: float = 0.0) -> Seen:
        """Place an event between the look before and this one."""
        earliest = max(self._last_poll, self.fault.at, not_before)
        latest = polled.at + polled.error
        moment = Instant.between(earliest, latest)
        return Seen(moment.at - self.fault.at, moment.error + self.fault.error)


def displaced_by(
    snapshot: Snapshot, node: str, may_stay_down: Sequence[str], tied: Sequence[str] = ()
) -> tuple[Task, ...]:
    """Return the tasks that must run elsewhere when `node` is lost.

    Every replicated service's tasks on it, but for jobs, the services that the plan lets go down
    with their node (`may_stay_down`, names as in the stack files), and in the stacks `tied` those
    that may run nowhere else: an exception is stated, not found.
    """
    excepted = {
        s.name
        for s in snapshot.services
        if s.is_global
        or s.is_job
        or s.short_name in may_stay_down
        or (s.stack in tied and _is_pinned(s, snapshot.nodes))
    }
    return tuple(t for t in snapshot.running_on(node) if t.service not in excepted)


def _is_pinned(service: Service, nodes: Sequence[SwarmNode]) -> bool:
    return sum(eligible(node, service.constraints) for node in nodes) < 2


def watch(cluster: Cluster, failover: Failover, *, within: float) -> Failover:
    """Look at the Swarm until the node is known to be down and every task has moved.

    Gives up after `within` seconds; what was not seen by then stays empty.
    """

    def look() -> bool | Pending:
        before = time.monotonic()
        try:
            snapshot = cluster.snapshot(timeout=_POLL_TIMEOUT)
        except CutoverError as error:
            failover.unanswered(before)
            return Pending(str(error))
        failover.observe(snapshot, Instant.between(before, time.monotonic()))
        if failover.detected is None:
            return Pending(f"Swarm does not yet call {failover.node} down")
        if failover.stranded:
            return Pending(f"not yet elsewhere: {', '.join(failover.stranded)}")
        return True

    with suppress(NeverTrue):  # what was not seen is the result
        eventually(look, within=within, every=_POLL_SECONDS, what=f"failover of {failover.node}")
    failover.watched = time.monotonic() - failover.fault.at
    return failover
