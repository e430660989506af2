"""Targets named by what they are. An empty or ambiguous one is refused, never read as *all*."""

from __future__ import annotations

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Snapshot, alive_tasks
from fixtures.errors import CutoverError

_RUNS = "the node that runs "


class NoTarget(CutoverError):
    """The words name no node, or more than one."""


def node_in_role(cluster: Cluster, role: str) -> Node:
    """Return the node that `role` names now. Raises `NoTarget`.

    A node's name, `the leader`, `a manager that is not the leader` (the first in the inventory),
    `the worker`, or `the node that runs SERVICE`.
    """
    return cluster.node(hostname_in_role(cluster.snapshot(), role, list(cluster.nodes)))


def hostname_in_role(snapshot: Snapshot, role: str, order: list[str]) -> str:
    """Resolve `role` against a snapshot; `order` lists the inventory's node names."""
    if role in order:
        return role
    managers = [n for n in order if (m := snapshot.node_named(n)) and m.role == "manager"]
    leader = snapshot.leader()
    if role == "the leader":
        return _only(role, [leader.hostname] if leader else [])
    if role == "a manager that is not the leader":
        others = [
            name
            for name in managers
            if leader is not None and name != leader.hostname and _is_ready(snapshot, name)
        ]
        return _only(role, others[:1])
    if role == "the worker":
        return _only(role, [n for n in order if n not in managers and snapshot.node_named(n)])
    if role.startswith(_RUNS):
        service = snapshot.service_called(role.removeprefix(_RUNS))
        tasks = alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        return _only(role, sorted({snapshot.hostname_of(task.node_id) for task in tasks}))
    raise NoTarget(
        f"cannot read {role!r}",
        where="target",
        remedy=f"Name a node ({', '.join(order)}), the leader, a manager that is not the leader, "
        "the worker, or the node that runs SERVICE.",
    )


def _is_ready(snapshot: Snapshot, hostname: str) -> bool:
    node = snapshot.node_named(hostname)
    return node is not None and node.ready


def _only(role: str, found: list[str]) -> str:
    if len(found) != 1:
        raise NoTarget(
            f"{role!r} is {', '.join(found) if found else 'no node'}",
            where="target",
            remedy="A fault needs exactly one node: name it.",
        )
    return found[0]
