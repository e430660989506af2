"""The guard before every fault: pure, so that each refusal can be tested without a cluster."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from chaos.fault import A_MANAGER, Plan
from fixtures.errors import CutoverError


class Refused(CutoverError):
    """The guard does not let the fault happen; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the guard must know.

    `lost` are the nodes that faults in force took away, `touched` those on which one is in force.
    `unsteady` says why the cluster is not in its steady state; empty when it is, or when a fault
    of ours explains it.
    """

    cluster: str
    is_twin: bool
    allowed_cluster: str | None
    nodes: Collection[str]
    managers: Sequence[str]
    lost: Collection[str] = ()
    touched: Collection[str] = ()
    unsteady: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a scenario or a drill explicitly allows beyond the usual."""

    quorum_may_be_lost: bool = False
    several_domains: bool = False


def check(situation: Situation, plan: Plan, permission: Permission = Permission()) -> None:
    """Refuse a plan that would break more than is clearly wanted. Raises `Refused`.

    A Swarm of n managers keeps quorum while more than n/2 of them live (Raft). A fault domain is a
    node; what one fault touches is one decision, a second fault on other nodes is another.
    """
    check_allowed(situation)
    named = plan.touches | plan.takes_away | {s.node for s in plan.steps if s.node != A_MANAGER}
    if not named:
        raise Refused("its target is nothing", where="chaos", remedy="Name a node or a service.")
    if unknown := sorted(named - set(situation.nodes)):
        raise Refused(
            f"{', '.join(unknown)} is not in the inventory",
            where="chaos",
            remedy=f"It has: {', '.join(sorted(situation.nodes))}.",
        )
    if situation.unsteady:
        raise Refused(
            f"the cluster is not steady: {situation.unsteady}",
            where="chaos",
            remedy="A fault now would prove nothing: put that right first (python -m chaos heal).",
        )
    if not permission.quorum_may_be_lost:
        _check_quorum(situation, plan)
    if permission.several_domains or permission.quorum_may_be_lost:
        return
    in_force = {*situation.touched, *situation.lost}
    if in_force and not named <= in_force:
        raise Refused(
            f"{', '.join(sorted(in_force))} is broken already: one fault domain at a time",
            where="chaos",
            remedy="Heal first, or say that faults may be in force in several domains.",
        )


def _check_quorum(situation: Situation, plan: Plan) -> None:
    lost = plan.takes_away | set(situation.lost)
    living = [manager for manager in situation.managers if manager not in lost]
    costs = [manager for manager in situation.managers if manager in plan.takes_away]
    if costs and 2 * len(living) <= len(situation.managers):
        raise Refused(
            f"without {', '.join(costs)} only {len(living)} of {len(situation.managers)} managers "
            "are left",
            where="chaos",
            remedy="Say that quorum may be lost, if that is what is tested.",
        )


def check_allowed(situation: Situation) -> None:
    """Refuse any fault on a cluster that is not a twin and was not named. Raises `Refused`."""
    if not situation.is_twin and situation.allowed_cluster != situation.cluster:
        raise Refused(
            f"{situation.cluster} is not a twin",
            where="chaos",
            remedy=f"To break it on purpose: --allow-chaos {situation.cluster}",
        )
