"""Staging and development kept apart from production: servers, networks, secrets, ways in.

What Swarm's specifications say is one thing; a staging task's own network and files are looked at
as well.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Service, Snapshot, alive_tasks
from verify.plan.answers import Asked, how_asked, probe
from verify.plan.containers import Container, read
from verify.plan.memory import of_the_plan

_READ_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sides:
    """The plan's services, in full names. What runs on every node is of neither side."""

    staging: frozenset[str]
    production: frozenset[str]


def sides(snapshot: Snapshot, staging_stacks: Collection[str]) -> Sides:
    """Tell staging and development, which are the stacks named, from production: all the others."""
    services = [s for s in of_the_plan(snapshot) if not s.is_global]
    staging = frozenset(s.name for s in services if s.stack in staging_stacks)
    return Sides(staging, frozenset(s.name for s in services) - staging)


def node_problems(snapshot: Snapshot, of: Sides, server: str) -> tuple[list[str], int]:
    """Say what of staging runs beside `server`, and what of production on it; and tasks checked."""
    problems, checked = [], 0
    for name in sorted(of.staging | of.production):
        for task in alive_tasks(snapshot.tasks_of(name), snapshot.nodes):
            checked += 1
            host = snapshot.hostname_of(task.node_id)
            if (host == server) is not (name in of.staging):
                problems.append(f"{name} runs on {host}")
    return sorted(set(problems)), checked


def network_problems(snapshot: Snapshot, of: Sides) -> tuple[list[str], int]:
    """Say which networks have tasks of both sides, and how many networks were looked at."""
    on: dict[str, set[str]] = {}
    for task in alive_tasks(snapshot.tasks, snapshot.nodes):
        for network in task.addresses:
            on.setdefault(network, set()).add(task.service)
    problems = [
        f"{', '.join(sorted(names & of.staging))} and production's"
        f" {', '.join(sorted(names & of.production)[:3])} are both on {network}"
        for network, names in sorted(on.items())
        if names & of.staging and names & of.production
    ]
    return problems, sum(bool(names & of.staging) for names in on.values())


def secret_problems(
    services: Iterable[Service], of: Sides, values: Mapping[str, Collection[str]]
) -> tuple[list[str], int]:
    """Say which secrets both sides have, by name or by what they hold; and how many there are.

    `values` maps full names to digests of what the tasks have in /run/secrets: a production secret
    under another name is one all the same.
    """
    names = {s.name: set(s.secrets) for s in services}
    problems = []
    for staging in sorted(of.staging):
        for production in sorted(of.production):
            shared = names.get(staging, set()) & names.get(production, set())
            problems += [
                f"{staging} has the secret {secret} of {production}" for secret in sorted(shared)
            ]
            if not shared and set(values.get(staging, ())) & set(values.get(production, ())):
                problems.append(f"{staging} has a secret of {production}'s under another name")
    count = len({secret for name in of.staging | of.production for secret in names.get(name, ())})
    return problems, count


def unread(
    services: Iterable[Service], of: Sides, values: Mapping[str, Collection[str]]
) -> list[str]:
    """Say of which services that run not every secret was read: nothing is known of the others."""
    return [
        f"{read} of {wanted} secrets of {service.name}"
        for service in services
        if service.name in of.staging | of.production and service.replicas
        if (read := len(values.get(service.name, ()))) < (wanted := len(set(service.secrets)))
    ]


def secret_digests(cluster: Cluster, containers: Iterable[Container]) -> dict[str, list[str]]:
    """Return full service name → a digest of each secret in its tasks, with a salt of this call's.

    Neither values nor digests are shown or kept.
    """
    salt = secrets.token_hex(16)
    by_node: dict[str, list[Container]] = {}
    for container in containers:
        by_node.setdefault(container.node, []).append(container)

    def look(node: Node) -> list[str]:
        processes = " ".join(
            f"{c.pid}:{shlex.quote(c.service)}" for c in by_node.get(node.name, ())
        )
        script = f"""
for one in {processes}; do
  for file in /proc/${{one%%:*}}/root/run/secrets/*; do
    [ -f "$file" ] && cat "$file" >/dev/null || continue  # the salt alone is a digest, too
    sum=$({{ echo {salt}; cat "$file"; }} | sha256sum | cut -c1-32)
    echo "${{one#*:}} $sum ${{file##*/}}"
  done
done; true"""
        return node.run(script, timeout=_READ_SECONDS).stdout.splitlines()

    return parse_digests(line for lines in cluster.on_all(look).values() for line in lines)


def parse_digests(lines: Iterable[str]) -> dict[str, list[str]]:
    """Read lines of `service digest file`; a file that several tasks have counts once."""
    found: dict[str, list[str]] = {}
    for service, digest, _ in sorted({tuple(line.split(" ", 2)) for line in lines}):
        found.setdefault(service, []).append(digest)
    return found


@dataclass(frozen=True, slots=True)
class Doors:
    """How production's databases might be reached: by these names, at these addresses and ports.

    `own` are each database's own addresses among the targets.
    """

    names: tuple[str, ...]
    targets: tuple[tuple[str, int], ...]
    own: Mapping[str, frozenset[tuple[str, int]]]


def doors(snapshot: Snapshot, databases: Sequence[str]) -> Doors:
    """Return every name and address of `databases` (names in the stack files).

    Their ports at each node's own address are among them: a published one would be a way in.
    Raises `CutoverError` for one that does not run.
    """
    names: list[str] = []
    targets: set[tuple[str, int]] = set()
    own: dict[str, frozenset[tuple[str, int]]] = {}
    hosts = [node.address for node in snapshot.nodes if node.address]
    for database in databases:
        service = snapshot.service_called(database)
        asked = how_asked(service) or Asked(service.name, database, "", 0)
        names += [database, service.name, f"tasks.{database}"]
        tasks = alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        addresses = {a for t in tasks for a in t.addresses.values()}
        own[database] = frozenset(
            (address, asked.port) for address in (*addresses, *service.virtual_addresses)
        )
        targets |= {*own[database], *((address, asked.port) for address in hosts)}
    return Doors(tuple(names), tuple(sorted(targets)), own)


def reach(cluster: Cluster, where: Container, ways: Doors) -> dict[str, Any]:
    """Try every way from inside a container's network; returns `found` names and `open` targets."""
    return probe(cluster, where, {"look_up": list(ways.names), "knock": list(ways.targets)})


def reach_problems(service: str, seen: Mapping[str, Any]) -> list[str]:
    """Say what a staging task could find or connect to."""
    problems = [
        f"{service} finds {name} at {', '.join(addresses)}"
        for name, addresses in sorted(seen["found"].items())
    ]
    return problems + [
        f"{service} connects to {address} port {port}" for address, port in sorted(seen["open"])
    ]


def blind(ways: Doors, seen: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the databases that production itself does not find by name or does not reach.

    Of each on its own: one that listens elsewhere than it was tried is out of anybody's reach.
    """
    found = {name for one in seen for name in one["found"]}
    opened = {(address, port) for one in seen for address, port in one["open"]}
    return [name for name, own in ways.own.items() if name not in found or not own & opened]


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried from inside: `looks` networks; `blind` are databases that nobody reaches."""

    problems: list[str]
    blind: list[str]
    looks: int


def tried(cluster: Cluster, of: Sides, databases: Sequence[str]) -> Tried:
    """Try to find and reach `databases` from each network of staging's, and from production's own.

    A look that reaches nothing from anywhere would call every network isolated. Raises
    `CutoverError`.
    """
    snapshot = cluster.snapshot()
    ways = doors(snapshot, databases)
    there = {container.id: container for container in read(cluster)}
    inside = one_a_network(snapshot, of.staging, there)
    outside = one_a_network(snapshot, of.production, there)
    with ThreadPoolExecutor(max(1, len(inside) + len(outside))) as pool:
        seen = list(pool.map(lambda where: reach(cluster, where, ways), [*inside, *outside]))
    problems = [
        problem
        for where, one in zip(inside, seen, strict=False)
        for problem in reach_problems(where.service, one)
    ]
    return Tried(problems, blind(ways, seen[len(inside) :]), len(inside))


def one_a_network(
    snapshot: Snapshot, services: Collection[str], there: Mapping[str, Container]
) -> list[Container]:
    """Return containers of `services` that stand in all of their networks together, few of them."""
    covered: set[str] = set()
    chosen = []
    for task in sorted(alive_tasks(snapshot.tasks, snapshot.nodes), key=lambda t: t.name):
        where = there.get(task.container_id)
        if task.service in services and where is not None and set(task.addresses) - covered:
            covered |= set(task.addresses)
            chosen.append(where)
    return chosen
