"""Targets named by what they are. An empty or ambiguous one is refused, never read as *all*."""

from __future__ import annotations

from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Snapshot, alive_tasks
from fixtures.errors import CutoverError

_RUNS: Final = "the node that runs "
_MAJORITY: Final = "a majority of the managers"
_MINORITY: Final = "a minority of the managers"
_HELP: Final = (
    "the leader, a manager that is not the leader, the worker, the node that runs SERVICE, the "
    "primary's node"
)
_PRIMARY_SERVICE: Final = "gibd-postgres"


class NoTarget(CutoverError):
    """The words name no node, or more than one."""


def node_in_role(cluster: Cluster, role: str) -> Node:
    """Return the node that `role` names now. Raises `NoTarget`.

    A node's name, `the leader`, `a manager that is not the leader` (the first in the inventory),
    `the worker`, `the node that runs SERVICE`, or `the primary's node` (PostgreSQL's).
    """
    return cluster.node(hostname_in_role(cluster.snapshot(), role, list(cluster.nodes)))


def hostname_in_role(snapshot: Snapshot, role: str, order: list[str]) -> str:
    """Resolve `role` against a snapshot; `order` lists the inventory's node names."""
    if role in order:
        return role
    managers = _managers(snapshot, order)
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
    if role == "the primary's node":
        role = f"{_RUNS}{_PRIMARY_SERVICE}"
    if role.startswith(_RUNS):
        service = snapshot.service_called(role.removeprefix(_RUNS))
        tasks = alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        return _only(role, sorted({snapshot.hostname_of(task.node_id) for task in tasks}))
    raise NoTarget(
        f"cannot read {role!r}",
        where="target",
        remedy=f"Name a node ({', '.join(order)}), or: {_HELP}.",
    )


def hostnames_in_group(snapshot: Snapshot, words: str, order: list[str]) -> tuple[str, ...]:
    """Resolve a group of nodes. Raises `NoTarget`.

    `a minority of the managers` (as many as may be lost, not the leader), `a majority of the
    managers` (as many as quorum needs, the leader among them), or nodes and roles with commas
    between them.
    """
    if words not in (_MAJORITY, _MINORITY):
        parts = [part.strip() for part in words.split(",")]
        names = [hostname_in_role(snapshot, part, order) for part in parts]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise NoTarget(f"names {', '.join(doubled)} twice", where="target")
        return tuple(names)
    managers = _managers(snapshot, order)
    leader = snapshot.leader()
    if leader is None:
        raise NoTarget("the managers have no leader", where="target")
    leader_last = sorted(managers, key=lambda name: name == leader.hostname)
    needed = len(managers) // 2 + 1
    chosen = leader_last[len(managers) - needed :]
    if words == _MINORITY:
        chosen = leader_last[: len(managers) - needed]
    if not chosen:
        raise NoTarget(f"{len(managers)} managers have no minority", where="target")
    return tuple(name for name in order if name in chosen)


def _managers(snapshot: Snapshot, order: list[str]) -> list[str]:
    return [n for n in order if (m := snapshot.node_named(n)) and m.role == "manager"]


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
