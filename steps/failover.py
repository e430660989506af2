"""Steps about losing nodes and getting them back."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.faults.node import PowerOff
from chaos.session import Chaos
from chaos.targets import node_in_role
from fixtures.cluster.cluster import Cluster, Node
from fixtures.stacks.arrange import move_service, spread_service
from fixtures.tables import column
from fixtures.waiting import how_long
from verify import failover as failovers
from verify.failover import Failover
from verify.steady import await_steady, node_is_whole

ARRANGE_SECONDS = 90.0


@given(
    "these services may stay down with their node, because their data is there",
    target_fixture="may_stay_down",
)
def exceptions(datatable: Any) -> list[str]:
    """Every other service must move."""
    return column(datatable, "service")


@given(
    "in these stacks what is tied to one node may stay down with it", target_fixture="tied_stacks"
)
def tied(datatable: Any) -> list[str]:
    """The plan ties them; that they stay down as long as their node is a gap of the plan's."""
    return column(datatable, "stack")


@pytest.fixture
def tied_stacks() -> list[str]:
    """No stack, unless a step names some."""
    return []


@given("the canary has a task on every node")
def canary_everywhere(cluster: Cluster, chaos: Chaos) -> None:
    """So that each node has something to lose."""
    chaos.permit()
    spread_service(cluster, "canary", within=ARRANGE_SECONDS)


@given(parsers.parse("the edge runs on {role}"), target_fixture="edge_node")
def edge_on(cluster: Cluster, chaos: Chaos, role: str) -> Node:
    """Moves the edge there and waits until everything is steady again."""
    chaos.permit()
    node = node_in_role(cluster, role)
    move_service(cluster, "edge", node, within=ARRANGE_SECONDS)
    await_steady(cluster, within=ARRANGE_SECONDS)
    return node


@when(
    parsers.parse("{role} loses its power and is watched for {seconds:g} seconds"),
    target_fixture="failover",
)
def lose_node(
    cluster: Cluster,
    chaos: Chaos,
    clients: Any,
    may_stay_down: list[str],
    tied_stacks: list[str],
    role: str,
    seconds: float,
) -> Failover:
    """Cut the power and look until Swarm has dealt with it, or the time is over."""
    node = node_in_role(cluster, role)
    await_steady(cluster, within=ARRANGE_SECONDS)  # here, so that what is read now is still true
    before = cluster.led()
    displaced = failovers.displaced_by(before, node.name, may_stay_down, tied_stacks)
    fault = chaos.begin(PowerOff(node.name)).instant
    clients.mark("fault", at=fault.at)
    leader = before.leader()
    led = leader is not None and leader.hostname == node.name
    seen = failovers.watch(cluster, Failover(node.name, fault, displaced, led), within=seconds)
    clients.events += seen.events()
    return seen


@then(parsers.re(r"the lost node was (?P<role>the leader|a manager that is not the leader)"))
def was_in_role(failover: Failover, role: str, measure: Any) -> None:
    """An election between the edge's move and the cut would test another case."""
    if failover.led != (role == "the leader"):
        led = "led" if failover.led else "did not lead"
        told = f"{failover.node} {led} when its power was cut: run the scenario again"
        measure.inconclusive(f"the loss of {role}", told, cause="fault")


@then(parsers.parse("every service that may move runs elsewhere within {seconds:g} seconds"))
def moved(failover: Failover, seconds: float, measure: Any) -> None:
    """Judged by the last task to run; control plane and detection are reported beside it."""
    for name, seen in failover.milestones().items():
        measure.note(name, seen.after, unit="s", error=seen.error)
    took = failover.time_to_move()
    measure.duration("services run elsewhere", took, limit=seconds, n=len(failover.displaced))


@when(parsers.re("(?:its|their) power returns"), target_fixture="power_returned")
def power_returns(chaos: Chaos, clients: Any) -> float:
    """Give every lost node its power back; returns the moment (monotonic seconds)."""
    instant = chaos.heal()
    clients.mark("recovery", at=instant)
    return instant


@then(parsers.parse("the node is Ready within {seconds:g} seconds"))
def node_ready(
    cluster: Cluster, failover: Failover, power_returned: float, seconds: float, measure: Any
) -> None:
    """Its own engine and the managers agree that it is back."""
    took = how_long(
        lambda: node_is_whole(cluster, cluster.node(failover.node)),
        within=seconds,
        since=power_returned,
        what=f"{failover.node} Ready",
    )
    measure.duration("node Ready after power-on", took, limit=seconds)


@then(
    parsers.parse(
        "a lost leader is noticed within {seconds:g} seconds at worst, "
        "by the dispatcher's heartbeat"
    )
)
def worst_case(cluster: Cluster, seconds: float, measure: Any) -> None:
    """Computed from the heartbeat in force, since no single drill shows the worst."""
    heartbeat = cluster.heartbeat_seconds()
    measure.note("dispatcher heartbeat", heartbeat, unit="s")
    measure(
        "worst case of noticing a lost leader",
        failovers.worst_leader_detection(heartbeat),
        limit=seconds,
        unit="s",
        reason=failovers.heartbeat_remedy(heartbeat, seconds),
    )
