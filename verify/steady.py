"""Steady state: the hypothesis that a fault needs before it, and the proof of recovery after it."""

from __future__ import annotations

from collections.abc import Sequence

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.constraints import eligible
from fixtures.cluster.swarm import Service, Snapshot, SwarmNode, Task, alive_tasks
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually

_UPDATING = {"updating", "paused", "rollback_started", "rollback_paused"}


def node_problems(
    snapshot: Snapshot, expected: Sequence[str], managers: Sequence[str]
) -> list[str]:
    """Say what keeps the nodes from being whole: `expected` host names, of them `managers`."""
    found = [_node_problem(snapshot, hostname, hostname in managers) for hostname in expected]
    problems = [problem for problem in found if problem]
    leaders = [node.hostname for node in snapshot.nodes if node.leader]
    if len(leaders) != 1:
        problems.append(f"{len(leaders)} leaders: {', '.join(leaders) or 'none'}")
    return problems


def _node_problem(snapshot: Snapshot, hostname: str, manager: bool) -> str:
    node = snapshot.node_named(hostname)
    if node is None:
        return f"node {hostname} is not in the Swarm"
    if not node.ready:
        return f"node {hostname} is {node.state}"
    if node.availability != "active":
        return f"node {hostname} is {node.availability}"
    if manager and node.reachability != "reachable":
        return f"manager {hostname} is {node.reachability or 'not a manager'}"
    return ""


def service_problems(snapshot: Snapshot) -> list[str]:
    """Say which services lack running tasks on nodes that are alive, or are being updated."""
    problems = []
    for service in snapshot.services:
        if service.is_job:  # it ends by design
            continue
        alive = alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        wanted = _wanted(service, snapshot.nodes)
        if len(alive) != wanted:
            problems.append(
                f"{service.name}: {len(alive)} of {wanted} tasks running"
                + _latest_error(snapshot.tasks_of(service.name))
                + _overlooked(service.name, snapshot)
            )
        elif service.update_state in _UPDATING:
            problems.append(f"{service.name}: update is {service.update_state}")
    return problems


def unsteady(cluster: Cluster) -> bool | Pending:
    """Return True when every node is whole and every service has its tasks; else why not."""
    for node in cluster.nodes.values():
        if not node.has_power:
            return Pending(f"node {node.name} has no power")
    try:
        snapshot = cluster.snapshot(timeout=5)
    except CutoverError as error:
        return Pending(str(error))
    managers = [node.name for node in cluster.managers]
    problems = node_problems(snapshot, list(cluster.nodes), managers) + service_problems(snapshot)
    return Pending("; ".join(problems)) if problems else True


def node_is_whole(cluster: Cluster, node: Node) -> bool | Pending:
    """Return True when the node's own engine is active in the Swarm and the managers see it whole.

    The managers' word alone is stale for some seconds; the engine's alone says nothing of them.
    """
    try:
        state = node.ask(lambda api: api.info(), timeout=3)["Swarm"]["LocalNodeState"]
        snapshot = cluster.snapshot(timeout=5)
    except CutoverError as error:
        return Pending(str(error))
    if state != "active":
        return Pending(f"its own engine says {state}")
    problem = _node_problem(snapshot, node.name, node.is_manager)
    return Pending(problem) if problem else True


def await_steady(cluster: Cluster, *, within: float) -> None:
    """Wait up to `within` seconds for the steady state. Raises `NeverTrue`."""
    eventually(
        lambda: unsteady(cluster),
        within=within,
        every=0.5,
        what=f"{cluster.name} steady",
        diagnose=lambda: task_story(cluster),
    )


def task_story(cluster: Cluster) -> str:
    """Tell what Swarm itself says of every task that is not running, newest first."""
    snapshot = cluster.snapshot(timeout=5)
    lines = [
        f"{task.updated_at[:19]} {task.name} on {snapshot.hostname_of(task.node_id) or '-'}: "
        f"{task.state} (wanted {task.desired_state}) {task.error}".rstrip()
        for task in sorted(snapshot.tasks, key=lambda t: t.updated_at, reverse=True)
        if (task.desired_state == "running" and task.state != "running") or task.error
    ]
    return "What Swarm says of its tasks:\n" + "\n".join(lines[:30] or ["all of them run"])


def _wanted(service: Service, nodes: Sequence[SwarmNode]) -> int:
    if service.replicas is not None:
        return service.replicas
    return sum(
        node.availability == "active" and node.ready and eligible(node, service.constraints)
        for node in nodes
    )


def _overlooked(name: str, snapshot: Snapshot) -> str:
    """Say what helps a task that was refused in a change of leader, and never looked at again.

    A new leader knows every node as unknown at first; Swarm tries again when a node changes.
    """
    refused = [
        task
        for task in snapshot.tasks_of(name)
        if task.state == "pending" and "not available for new tasks" in task.error
    ]
    if not refused or not all(n.ready and n.availability == "active" for n in snapshot.nodes):
        return ""
    return f"; all nodes are ready: if it stays so, docker service update --force {name}"


def _latest_error(tasks: Sequence[Task]) -> str:
    errors = [task for task in tasks if task.error]
    return f" ({max(errors, key=lambda t: t.updated_at).error})" if errors else ""
