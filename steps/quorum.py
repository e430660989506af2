"""Steps about the managers' quorum."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, parsers, then, when

from chaos.faults.node import PowerOff
from chaos.guard import Permission
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CannotProve
from fixtures.waiting import how_long
from verify.quorum import State, in_state


@given("a majority of the managers may be lost here", target_fixture="quorum_permission")
def may_be_lost(cluster: Cluster) -> Permission:
    """On a twin only; said first, before anything is moved."""
    if not cluster.is_twin:
        raise CannotProve(
            "a majority of production's managers is not taken away",
            where=f"cluster {cluster.name}",
            remedy="A twin shows it; answer for it with --accept.",
        )
    return Permission(quorum_may_be_lost=True)


@when("the other managers lose their power", target_fixture="power_lost")
def lose_other_managers(
    cluster: Cluster, chaos: Chaos, clients: Any, edge_node: Node, quorum_permission: Permission
) -> float:
    """All but the one that runs the edge; returns when the last was cut off."""
    others = [manager for manager in cluster.managers if manager.name != edge_node.name]
    instants = [
        chaos.begin(PowerOff(manager.name), quorum_permission).instant for manager in others
    ]
    clients.mark("fault", at=instants[0].at)
    return instants[-1].at


@then(parsers.parse("the control plane is reported lost within {seconds:g} seconds"))
def reported_lost(cluster: Cluster, power_lost: float, seconds: float, measure: Any) -> None:
    """No manager that is left knows a leader, and the harness says so."""
    took = how_long(
        lambda: in_state(cluster, State.LOST),
        within=seconds,
        since=power_lost,
        what="control plane reported lost",
    )
    measure.duration("control plane reported lost", took, limit=seconds)


@then(parsers.parse("the control plane is whole within {seconds:g} seconds"))
def whole(cluster: Cluster, power_returned: float, seconds: float, measure: Any) -> None:
    """Every manager answers, knows a leader and calls every other reachable."""
    took = how_long(
        lambda: in_state(cluster, State.WHOLE),
        within=seconds,
        since=power_returned,
        what="control plane whole",
    )
    measure.duration("control plane whole again", took, limit=seconds)
