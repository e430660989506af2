"""The guard before every fault: pure, so that each refusal can be tested without a cluster."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fixtures.errors import CutoverError


class Refused(CutoverError):
    """The guard does not let the fault happen; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the guard must know: the cluster, its managers, and the nodes that are already lost."""

    cluster: str
    is_twin: bool
    allowed_cluster: str | None
    nodes: Collection[str]
    managers: Sequence[str]
    lost: Collection[str] = ()


def check_node_loss(situation: Situation, node: str, *, quorum_may_be_lost: bool = False) -> None:
    """Refuse to take `node` away when that is not clearly wanted. Raises `Refused`.

    A Swarm of n managers keeps quorum while more than n/2 of them live (Raft).
    """
    check_allowed(situation)
    if node not in situation.nodes:
        raise Refused(
            f"{node!r} is not in the inventory",
            where="chaos",
            remedy=f"It has: {', '.join(sorted(situation.nodes))}.",
        )
    lost = {*situation.lost, node}
    if quorum_may_be_lost:
        return
    if situation.lost and node not in situation.lost:
        raise Refused(
            f"{', '.join(sorted(situation.lost))} is lost already: one fault domain at a time",
            where="chaos",
            remedy="Heal first, or say in the scenario that quorum may be lost.",
        )
    living = [manager for manager in situation.managers if manager not in lost]
    if 2 * len(living) <= len(situation.managers):
        raise Refused(
            f"without {node} only {len(living)} of {len(situation.managers)} managers are left",
            where="chaos",
            remedy="Say in the scenario that quorum may be lost, if that is what it tests.",
        )


def check_allowed(situation: Situation) -> None:
    """Refuse any fault on a cluster that is not a twin and was not named. Raises `Refused`."""
    if not situation.is_twin and situation.allowed_cluster != situation.cluster:
        raise Refused(
            f"{situation.cluster} is not a twin",
            where="chaos",
            remedy=f"To break it on purpose: --allow-chaos {situation.cluster}",
        )
