"""`failover_overhead`: the harness's recovery time of a lost worker, against Swarm's own events.

The floor is when the engines' event streams say that the last replacement became healthy; what the
harness reports beyond that is its own looking.
"""

from __future__ import annotations

import statistics
import time
from typing import Final

from bench.entry import Entry
from chaos.faults.node import PowerOff
from chaos.ledger import Ledger
from chaos.session import Chaos
from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Task
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.errors import CutoverError
from fixtures.stacks.arrange import spread_service
from verify import failover as failovers
from verify.failover import Failover
from verify.steady import await_steady, unsteady

_WATCH_SECONDS: Final = 90.0
_STEADY_SECONDS: Final = 180.0
_LOST: Final = "hpr"


def run(rounds: int = 3) -> list[Entry]:
    """Lose the worker `rounds` times; medians, in seconds since the power was cut."""
    reported, shown = [], []
    twin = StandingTwin("bench", keep=False)
    with twin as cluster:
        twin.deploy(capabilities.probe(cluster))
        for _ in range(rounds):
            ours, theirs = _lose_worker(cluster)
            reported.append(ours)
            shown.append(theirs)
    return [
        Entry(
            "failover_overhead",
            statistics.median(reported),
            "s",
            statistics.median(shown),
            rounds,
        )
    ]


def _lose_worker(cluster: Cluster) -> tuple[float, float]:
    spread_service(cluster, "canary", within=_STEADY_SECONDS)
    await_steady(cluster, within=_STEADY_SECONDS)
    faults = Chaos(cluster, Ledger.of(cluster.name, cluster.source), lambda: unsteady(cluster))
    displaced = failovers.displaced_by(cluster.snapshot(), _LOST, [])
    try:
        fault = faults.begin(PowerOff(_LOST)).instant
        wall = time.time() - (time.monotonic() - fault.at)
        watched = Failover(_LOST, fault, displaced)
        took = failovers.watch(cluster, watched, within=_WATCH_SECONDS).time_to_move()
        if took.reason:
            raise CutoverError(took.reason, where="failover_overhead")
        healthy = _last_healthy(cluster, displaced, wall)
    finally:
        faults.close()
    await_steady(cluster, within=_STEADY_SECONDS)
    return took.seconds, healthy - wall


def _last_healthy(cluster: Cluster, displaced: tuple[Task, ...], since: float) -> float:
    """Return when (wall clock) the engines' events say the last replacement became healthy."""
    names = {(task.service, task.slot) for task in displaced}
    snapshot = cluster.snapshot()
    ids = {
        task.container_id
        for task in snapshot.tasks
        if task.running and (task.service, task.slot) in names
    }
    moments = [
        moment
        for node in cluster.nodes.values()
        if node.has_power
        for container, moment in _became_healthy(node, since)
        if container in ids
    ]
    if len(moments) < len(names):
        raise CutoverError("the engines show no such event", where="failover_overhead")
    return max(moments)


def _became_healthy(node: Node, since: float) -> list[tuple[str, float]]:
    """Return container ids and when each became healthy, from the node's own event stream."""
    events = node.ask(
        lambda api: list(
            api.api.events(
                since=int(since),
                until=int(time.time()) + 1,
                filters={"type": "container", "event": "health_status"},
                decode=True,
            )
        )
    )
    return [
        (str(event["Actor"]["ID"]), event["timeNano"] / 1e9)
        for event in events
        if str(event["Action"]).endswith(": healthy")
    ]
