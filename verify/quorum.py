"""The control plane: whether this Swarm can still change anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from fixtures.waiting import Pending

# In the engine's own words, "The swarm does not have a leader. It's possible that too few managers
# are online".
_NO_LEADER = "does not have a leader"


class State(StrEnum):
    """What the managers can do together."""

    WHOLE = "whole"
    DEGRADED = "degraded"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The state, and what each manager answered."""

    state: State
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.state}: {'; '.join(self.answers)}"


def control_plane(cluster: Cluster) -> ControlPlane:
    """Ask every manager. Lost means that one says there is no leader, and none knows one.

    Silence alone is unknown: a manager that is slow may still be part of a whole.
    """
    answers, healthy, leaders, leaderless = [], 0, set(), 0
    for manager in cluster.managers:
        try:
            snapshot = cluster.snapshot(asked_of=manager, timeout=4)
        except CutoverError as error:
            answers.append(f"{manager.name}: {error.what}")
            leaderless += _NO_LEADER in error.what
            continue
        leader = snapshot.leader()
        leaderless += leader is None
        unreachable = [
            n.hostname
            for n in snapshot.nodes
            if n.role == "manager" and n.reachability != "reachable"
        ]
        leaders |= {leader.hostname} if leader else set()
        healthy += leader is not None and not unreachable
        answers.append(
            f"{manager.name}: leader {leader.hostname if leader else 'none'}"
            + (f", unreachable {', '.join(unreachable)}" if unreachable else "")
        )
    if healthy == len(cluster.managers) and len(leaders) == 1:
        return ControlPlane(State.WHOLE, tuple(answers))
    if leaders:
        return ControlPlane(State.DEGRADED, tuple(answers))
    return ControlPlane(State.LOST if leaderless else State.UNKNOWN, tuple(answers))


def in_state(cluster: Cluster, state: State) -> bool | Pending:
    """Return True when the control plane is in `state`, else what it is instead."""
    seen = control_plane(cluster)
    return seen.state is state or Pending(str(seen))
