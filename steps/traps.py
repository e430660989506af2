"""Steps about what Swarm does not say by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pytest_bdd import parsers, then, when

from chaos.faults.network import Isolate
from chaos.session import Chaos, InForce
from chaos.targets import node_in_role
from fixtures.cluster.cluster import Cluster, Node
from fixtures.waiting import NeverTrue, eventually, how_long
from steps.chaos import let_pass
from verify import failover as failovers
from verify import traps
from verify.failover import Failover

NAMES = ["ws-gateway", "canary"]


@dataclass(frozen=True)
class Flapped:
    """A node that lost its network for moments, and the tasks that ran there before (their ids)."""

    node: Node
    before: frozenset[str]


@when(
    parsers.parse(
        "{role} is isolated {times:d} times for {seconds:g} seconds, {gap:g} seconds apart"
    ),
    target_fixture="flapped",
)
def flap(
    cluster: Cluster, chaos: Chaos, role: str, times: int, seconds: float, gap: float
) -> Flapped:
    """Each time undone again."""
    node = node_in_role(cluster, role)
    before = frozenset(traps.containers_of_tasks(node))
    for number in range(times):
        fault = chaos.begin(Isolate(node.name))
        let_pass(fault.proven + seconds, f"isolation {number + 1} of {times}")
        chaos.end(fault)
        if number + 1 < times:
            let_pass(time.monotonic() + gap, "the network is whole")
    return Flapped(node, before)


@when(
    parsers.parse("{role} is isolated and watched for {seconds:g} seconds"),
    target_fixture="failover",
)
def isolate_and_watch(
    cluster: Cluster,
    chaos: Chaos,
    may_stay_down: list[str],
    tied_stacks: list[str],
    role: str,
    seconds: float,
) -> Failover:
    """Look until Swarm has started its tasks elsewhere, or the time is over."""
    lost = node_in_role(cluster, role).name
    displaced = failovers.displaced_by(cluster.snapshot(), lost, may_stay_down, tied_stacks)
    fault = chaos.begin(Isolate(lost))
    return failovers.watch(cluster, Failover(lost, fault.instant, displaced), within=seconds)


@then(parsers.parse("at least {count:d} task runs twice"))
def runs_twice(cluster: Cluster, count: int, measure: Any) -> None:
    """By the word of every engine, the isolated one included: else the trap was not there."""
    found = traps.running_twice(cluster)
    measure.note("tasks that run twice", len(found), unit="")
    if len(found) < count:
        measure.inconclusive("tasks that run twice", f"{len(found)} were found: nothing to end")


@then(parsers.parse("no task runs twice within {seconds:g} seconds"))
def runs_once(cluster: Cluster, put_right: float, seconds: float, measure: Any) -> None:
    """Counted from when the network returned."""
    took = how_long(
        lambda: traps.none_twice(cluster), within=seconds, since=put_right, what="each task once"
    )
    measure.duration("second copies ended", took, limit=seconds)


@then("how many of its tasks left it is reported")
def stayed(flapped: Flapped, measure: Any) -> None:
    """No criterion: a heartbeat that a cut just delays for long enough is as good as lost."""
    left = traps.gone_from(flapped.node, flapped.before)
    measure.note(
        "tasks that left the flapping node", len(left), unit="tasks", n=len(flapped.before)
    )


@then(parsers.parse("names go wrong within {seconds:g} seconds while the node stays Ready"))
def names_go_wrong(cluster: Cluster, fault: InForce, seconds: float, measure: Any) -> None:
    """If they do not, the trap was not there, and that they come right again proves nothing."""
    (node,) = fault.plan.touches
    try:
        seen = eventually(
            lambda: traps.names_wrong(cluster, NAMES, node),
            within=seconds,
            every=1.0,
            what=f"names wrong while {node} is Ready",
        )
    except NeverTrue as error:
        measure.inconclusive("names while gossip is lost", str(error))
        return
    measure.note("names that are wrong", float(seen.partition(":")[0]), unit="")


@then(parsers.parse("the address of its canary is given out no longer than {seconds:g} seconds"))
def forgotten(cluster: Cluster, fault: InForce, seconds: float, measure: Any) -> None:
    """Looked up on the leader's node; counted from the loss."""
    (lost,) = fault.plan.takes_away
    snapshot = cluster.snapshot()
    service = snapshot.service_called("canary").name
    (address, *_) = [
        address
        for task in snapshot.running_on(lost)
        if task.service == service
        for address in task.addresses.values()
    ]
    asked_on = cluster.leader().name
    took = how_long(
        lambda: traps.address_forgotten(cluster, "canary", address, asked_on),
        within=seconds,
        since=fault.instant.at,
        since_error=fault.instant.error,
        what=f"{address} forgotten",
    )
    measure.duration("dead task's address forgotten", took, limit=seconds)
