"""The operator's runbook for a pair of PostgreSQL servers: promote the replica, then switch back.

Every act is in the ledger, so that whatever ends in the middle of it is undone to the first roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chaos.faults.data import ReplicaPromoted
from chaos.faults.promotion import Fenced, OldPrimaryFollows
from chaos.guard import Permission
from chaos.session import Chaos, InForce
from chaos.targets import NoTarget
from chaos.view import ClusterView
from fixtures.cluster.cluster import ELECTION_SECONDS, NoControlPlane
from fixtures.cluster.power import Instant
from fixtures.waiting import eventually

#: The acts touch both nodes of the pair, beside what was broken before.
_BOTH_NODES: Final = Permission(several_domains=True)
#: What an operator does about a fault, rather than a fault.
ACTS: Final = (Fenced, ReplicaPromoted, OldPrimaryFollows)


@dataclass
class Runbook:
    """The acts in their order. The servers are named as in the stack files, the nodes by host name.

    Each raises what `Chaos.begin` and `Chaos.end` raise. The lost node may have led the Swarm: as
    an operator does, the runbook tries again until somebody leads. In vain, it raises `NeverTrue`.
    """

    chaos: Chaos
    primary: str
    primary_node: str
    replica: str
    replica_node: str
    follows: InForce | None = None
    stopped: InForce | None = None

    def fence(self) -> InForce:
        """Keep the old primary from coming back: before anything else writes."""
        self.chaos.cluster.led()
        return self.chaos.begin(Fenced(self.primary, self.primary_node), _BOTH_NODES)

    def promote(self) -> InForce:
        """Make the replica a primary (pg_promote), as soon as the managers know where it runs.

        A new leader calls every node unknown until it has heard of it.
        """
        eventually(
            lambda: ClusterView(self.chaos.cluster).tasks(self.replica),
            within=ELECTION_SECONDS,
            what=f"{self.replica} known to run",
            retry_on=(NoControlPlane, NoTarget),
        )
        return self.chaos.begin(ReplicaPromoted(self.replica), _BOTH_NODES)

    def bring_back(self) -> InForce:
        """Start the old primary again, as the promoted server's replica; waits until it streams."""
        fault = OldPrimaryFollows(self.primary, self.primary_node)
        self.follows = self.chaos.begin(fault, _BOTH_NODES)
        return self.follows

    def stop_promoted(self) -> InForce:
        """Begin to switch back: the promoted server ends cleanly, having sent all it wrote."""
        self.stopped = self.chaos.begin(Fenced(self.replica, self.replica_node), _BOTH_NODES)
        return self.stopped

    def give_back(self) -> Instant:
        """Let the first primary lead again; returns when that was asked for."""
        assert self.follows is not None
        return self.chaos.end(self.follows)

    def start_replica(self) -> Instant:
        """Start the other as its replica; returns when it was asked to."""
        assert self.stopped is not None
        return self.chaos.end(self.stopped)
