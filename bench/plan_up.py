"""`plan_up`: the plan's stacks on demand, deploy to running and healthy, against a bare deploy.

The floor is as many of the smallest containers in one stack file on one overlay, without health
checks, by `docker stack deploy` on the leader and a shell's loop there until all run.
"""

from __future__ import annotations

import statistics
import time
from typing import Final

from bench.entry import Entry
from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import runner
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks import catalogue
from fixtures.stacks.deploy import remove_stacks

_FLOOR: Final = "floor"
_SECONDS: Final = 180.0


def run(rounds: int = 2) -> list[Entry]:
    """Run both `rounds` times in turn, with images in place; medians, in seconds."""
    twin = StandingTwin("bench", keep=False)
    with twin as cluster:
        found = capabilities.probe(cluster)
        twin.deploy(found)
        stacks = OnDemandStacks(twin, cluster, found)
        stacks.give_images(catalogue.PLAN)
        image = twin.give_images(["standin"], list(cluster.nodes))["standin"]
        floor: list[float] = []
        ours: list[float] = []
        count = 0
        for _ in range(rounds):
            started = time.monotonic()
            stacks.stand_together(catalogue.PLAN)
            ours.append(time.monotonic() - started)
            count = _running(cluster)
            stacks.remove()
            floor.append(_bare(cluster, image, count, found.endpoint_mode))
    name = f"plan_up ({count} containers)"
    return [Entry(name, statistics.median(ours), "s", statistics.median(floor), rounds, max(ours))]


def _running(cluster: Cluster) -> int:
    """Count the running tasks of the plan's stacks on demand."""
    snapshot = cluster.snapshot()
    ours = {s.name for s in snapshot.services if s.stack in catalogue.PLAN}
    return sum(task.running and task.service in ours for task in snapshot.tasks)


def _bare(cluster: Cluster, image: str, count: int, endpoint_mode: str) -> float:
    """Return the seconds of the floor; it is removed again."""
    services = "".join(
        f"  s{number}:\n    image: {image}\n    environment: {{SERVICE_NAME: s{number}}}\n"
        f"    networks: [backend]\n    deploy:\n      endpoint_mode: {endpoint_mode}\n"
        f"      labels: {{{catalogue.STACK_LABEL}: {_FLOOR}}}\n"
        for number in range(count)
    )
    file = f'version: "3.8"\nservices:\n{services}networks:\n  backend:\n    external: true\n'
    listed = (
        f"docker service ls --filter label={catalogue.STACK_LABEL}={_FLOOR}"
        " --format '{{.Replicas}}' | grep -c 1/1"
    )
    leader = cluster.leader()
    started = time.monotonic()
    leader.run(
        f"docker stack deploy --resolve-image never -c - {_FLOOR}"
        f" && until [ $({listed}) = {count} ]; do sleep 0.2; done",
        stdin=file.encode(),
        timeout=_SECONDS,
    )
    took = time.monotonic() - started
    remove_stacks(runner(leader), [_FLOOR], within=_SECONDS)
    return took
