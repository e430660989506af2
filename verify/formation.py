"""Cluster formation: who is in the Swarm, as what, with which labels, version and tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot, SwarmNode, alive_tasks
from fixtures.errors import CutoverError


def views_of_managers(cluster: Cluster) -> tuple[dict[str, Snapshot], list[str]]:
    """Ask every manager for its own view; one that does not answer is a problem, not an exception.

    A single manager's word is not enough: in a split each side has its own.
    """
    views, problems = {}, []
    for manager in cluster.managers:
        try:
            views[manager.name] = cluster.snapshot(asked_of=manager)
        except CutoverError as error:
            problems.append(f"manager {manager.name} does not answer: {error}")
    return views, problems


def membership_problems(
    view: Snapshot, managers: Sequence[str], workers: Sequence[str]
) -> list[str]:
    """Compare one manager's view with the expected members: all Ready, managers reachable."""
    present = {node.hostname for node in view.nodes}
    problems = [
        f"{hostname} is in the Swarm and not in the inventory"
        for hostname in sorted(present - {*managers, *workers})
    ]
    for hostname, role in [*((m, "manager") for m in managers), *((w, "worker") for w in workers)]:
        node = view.node_named(hostname)
        if node is None:
            problems.append(f"{hostname} is not in the Swarm")
            continue
        if node.role != role:
            problems.append(f"{hostname} is a {node.role}, not a {role}")
        if not node.ready or node.availability != "active":
            problems.append(f"{hostname} is {node.state}/{node.availability}")
        if role == "manager" and node.reachability != "reachable":
            problems.append(f"manager {hostname} is {node.reachability or 'of no reachability'}")
    return problems


def membership_problems_of_all(
    views: Mapping[str, Snapshot], silent: Sequence[str], roles: Mapping[str, str]
) -> list[str]:
    """Compare every manager's view with `roles` (host name → role); `silent` are problems too."""
    managers = [hostname for hostname, role in roles.items() if role == "manager"]
    workers = [hostname for hostname, role in roles.items() if role == "worker"]
    return [
        *silent,
        *(
            f"{problem} (says {manager})"
            for manager, view in views.items()
            for problem in membership_problems(view, managers, workers)
        ),
    ]


def leaders(views: Mapping[str, Snapshot]) -> set[str]:
    """Return the host names that any manager believes to lead."""
    return {node.hostname for view in views.values() for node in view.nodes if node.leader}


def label_problems(nodes: Sequence[SwarmNode], expected: Sequence[Mapping[str, str]]) -> list[str]:
    """Compare node labels with rows of `node`, `label`, `value`."""
    # A node that joined again has an older entry that is down; the living one counts.
    actual = {n.hostname: n.labels for n in sorted(nodes, key=lambda n: n.ready)}
    problems = []
    for row in expected:
        value = actual.get(row["node"], {}).get(row["label"])
        if value != row["value"]:
            problems.append(f"{row['node']}: label {row['label']} is {value}, not {row['value']}")
    return problems


#: CVE-2023-28840 to -28842 are mended in 23.0.3, and in the series that Debian 12 has since this.
_MENDED_IN = (23, 0, 3)
_MENDED = (20, 10, 24)


def version_key(version: str) -> tuple[int, ...]:
    """Read the leading numbers of an engine version: `26.1.5+dfsg1` → (26, 1, 5)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def version_problems(nodes: Sequence[SwarmNode], at_least: str) -> list[str]:
    """Name the nodes whose engine is older than `at_least`.

    20.10.24 and what follows it in its series is as good as 23.0.3: it has the same repairs.
    """
    floor = version_key(at_least)
    return [
        f"{node.hostname} runs engine {node.engine_version or '(unknown)'}"
        for node in nodes
        if version_key(node.engine_version) < floor
        and not (floor <= _MENDED_IN and _mended(node.engine_version))
    ]


def _mended(version: str) -> bool:
    """Whether an engine of the older series has the repairs."""
    key = version_key(version)
    return key[:2] == _MENDED[:2] and key >= _MENDED


def placement_problems(view: Snapshot, places: Mapping[str, str]) -> tuple[list[str], int]:
    """Compare every task with the plan's placement; return the problems and the tasks checked.

    `places` maps service names (as in the stack file) to a place: `node NAME`, `label KEY=VALUE`
    or `every node`.
    """
    problems: list[str] = []
    checked = 0
    for short_name, place in places.items():
        services = [s for s in view.services if s.short_name == short_name]
        tasks = [t for s in services for t in alive_tasks(view.tasks_of(s.name), view.nodes)]
        if not tasks:
            problems.append(f"{short_name} runs nowhere")
        on = {view.hostname_of(task.node_id) for task in tasks}
        checked += len(tasks)
        if place == "every node":
            problems += [
                f"{short_name} is not on {n.hostname}" for n in view.nodes if n.hostname not in on
            ]
        else:
            allowed = hostnames_of(view.nodes, place)
            problems += [
                f"{short_name} runs on {hostname}, not on {place}"
                for hostname in sorted(on - allowed)
            ]
    return problems, checked


def hostnames_of(nodes: Sequence[SwarmNode], place: str) -> set[str]:
    """Return the host names that a place means. Raises `CutoverError` for one it cannot read."""
    kind, _, value = place.partition(" ")
    if kind == "node" and value:
        return {value}
    key, equals, wanted = value.partition("=")
    if kind == "label" and equals:
        return {node.hostname for node in nodes if node.labels.get(key) == wanted}
    raise CutoverError(
        f"cannot read the place {place!r}",
        where="features, placement table",
        remedy="Write: node NAME, label KEY=VALUE, or every node.",
    )
