"""What Swarm does not say: tasks that run twice, names that lead to the dead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError
from fixtures.waiting import Pending
from verify import discovery

_TASK_IDS: Final = (
    "docker ps --filter label=com.docker.swarm.task.id"
    " --format '{{.Label \"com.docker.swarm.task.id\"}}'"
)


def containers_of_tasks(node: Node) -> set[str]:
    """Return the ids of the tasks whose containers really run on `node`, by its own engine."""
    return set(node.run(_TASK_IDS, timeout=10).stdout.split())


def gone_from(node: Node, before: Collection[str]) -> list[str]:
    """Name the tasks of `before` (ids) whose containers do not run on `node` any more."""
    really = containers_of_tasks(node)
    return [f"task {task} does not run on {node.name}" for task in sorted(set(before) - really)]


def doubles(snapshot: Snapshot, really: Mapping[str, Collection[str]]) -> list[str]:
    """Name the slots that have containers on more than one node.

    `really` maps node names to the ids of the tasks that run there by the nodes' own word. Tasks of
    a global service have a slot on each node and cannot run twice.
    """
    where: dict[tuple[str, int], set[str]] = {}
    for task in snapshot.tasks:
        for name, ids in really.items():
            if task.id in ids and task.slot is not None:
                where.setdefault((task.service, task.slot), set()).add(name)
    return [
        f"{service}.{slot} on {' and '.join(sorted(nodes))}"
        for (service, slot), nodes in sorted(where.items())
        if len(nodes) > 1
    ]


def running_twice(cluster: Cluster) -> list[str]:
    """Ask every engine what it runs, and name what runs more than once."""
    return doubles(cluster.snapshot(), cluster.on_all(containers_of_tasks))


def none_twice(cluster: Cluster) -> bool | Pending:
    """Return True when every node answers and no task runs twice."""
    try:
        found = running_twice(cluster)
    except CutoverError as error:
        return Pending(str(error))
    return Pending(f"twice: {', '.join(found)}") if found else True


def names_wrong(cluster: Cluster, names: list[str], node: str) -> str | Pending:
    """Return what is wrong with the names while the managers call `node` Ready.

    Raises `CutoverError` when they do not: then it is no trap but an ordinary loss.
    """
    snapshot = cluster.snapshot()
    seen = snapshot.node_named(node)
    if seen is None or not seen.ready:
        raise CutoverError(f"is {seen.state if seen else 'gone'}", where=f"node {node}")
    wanted = discovery.endpoints_of(snapshot, names)
    found = discovery.look_from_every_node(cluster, discovery.netcheck_service(cluster), wanted)
    problems = discovery.discovery_problems(found, wanted, snapshot)
    return f"{len(problems)}: {problems[0]}" if problems else Pending("every name is right")


def address_forgotten(
    cluster: Cluster, service: str, address: str, asked_on: str
) -> bool | Pending:
    """Return True when `service`, looked up on `asked_on`, does not give `address` any more."""
    try:
        given = discovery.look_from(cluster, asked_on, service).task_addresses
    except CutoverError as error:
        return Pending(str(error))
    if not given:  # the other tasks run: no answer is not the right one
        return Pending(f"{asked_on} is given no address at all")
    return Pending(f"{asked_on} is given {', '.join(given)}") if address in given else True
