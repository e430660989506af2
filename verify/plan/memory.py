"""What the plan's memory adds up to on each server. Pure.

Figures are bytes of the plan: a twin's are multiplied by what they were divided by. A reservation
is what Swarm's scheduler sets aside, a limit what the kernel enforces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.constraints import eligible
from fixtures.cluster.swarm import Service, Snapshot, SwarmNode, alive_tasks
from fixtures.stacks import catalogue
from verify.plan.containers import Container

#: The engine's M and G are binary, and so the plan's MB and GB are taken to be.
GB: Final = float(1 << 30)
_MB: Final = float(1 << 20)


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the plan: its memory, and what of it the plan gives to containers, in bytes."""

    name: str
    ram: float
    budget: float


@dataclass(frozen=True, slots=True)
class Share:
    """A task of a service needs that much, in bytes of the plan."""

    service: str
    limit: float
    reserved: float


@dataclass(frozen=True)
class Ledger:
    """All tasks that run, by server: the share of each."""

    tasks: Mapping[str, Sequence[Share]]

    def reserved(self, server: str) -> float:
        """Return the sum of the reservations there."""
        return sum(share.reserved for share in self.tasks.get(server, ()))

    def limits(self, server: str) -> float:
        """Return the sum of the limits there."""
        return sum(share.limit for share in self.tasks.get(server, ()))


def servers(rows: Iterable[Mapping[str, str]]) -> list[Server]:
    """Read rows of server, RAM GB and budget GB."""
    return [
        Server(row["server"], float(row["RAM GB"]) * GB, float(row["budget GB"]) * GB)
        for row in rows
    ]


def share_of(service: Service, divisor: float) -> Share:
    """Return what a task of the service needs by the plan; `divisor` is the twin's, 1 elsewhere.

    A service labelled so is not divided.
    """
    scale = 1.0 if service.labels.get(catalogue.MEMORY_LABEL) == "plan" else divisor
    return Share(service.name, service.memory_limit * scale, service.memory_reserved * scale)


def of_the_plan(snapshot: Snapshot) -> list[Service]:
    """Return the services that are not the harness's own."""
    return [s for s in snapshot.services if s.stack not in catalogue.OWN_STACKS]


def as_they_run(snapshot: Snapshot, divisor: float) -> Ledger:
    """Return every task of the plan's services on the server where it runs."""
    found: dict[str, list[Share]] = {}
    for service in of_the_plan(snapshot):
        share = share_of(service, divisor)
        for task in alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes):
            found.setdefault(snapshot.hostname_of(task.node_id), []).append(share)
    return Ledger(found)


def as_laid_out(snapshot: Snapshot, divisor: float, home: str) -> Ledger:
    """Return every task where the plan has it: what may move is counted on `home`."""
    found: dict[str, list[Share]] = {}
    for service in of_the_plan(snapshot):
        share = share_of(service, divisor)
        allowed = [n.hostname for n in snapshot.nodes if eligible(n, service.constraints)]
        if service.is_global:
            places = allowed
        else:
            places = [allowed[0] if len(allowed) == 1 else home] * (service.replicas or 0)
        for place in places:
            found.setdefault(place, []).append(share)
    return Ledger(found)


def over(ledger: Ledger, limits: Mapping[str, float], *, what: str, of: str) -> list[str]:
    """Say on which servers `what` (reserved or limits) is above `limits`, whose name is `of`."""
    problems = []
    for server, most in limits.items():
        total = ledger.reserved(server) if what == "reserved" else ledger.limits(server)
        if total > most:
            problems.append(
                f"{server}: {total / GB:.2f} GB are above its {of} of {most / GB:g} GB;"
                f" the largest: {largest(ledger.tasks[server], what)}"
            )
    return problems


def outside(ledger: Ledger, servers: Collection[str]) -> list[str]:
    """Say which servers run tasks of the plan and are none of `servers`: nobody adds them up."""
    return [
        f"{server} runs {len(tasks)} tasks, and is not in the table"
        for server, tasks in sorted(ledger.tasks.items())
        if tasks and server not in servers
    ]


def largest(shares: Sequence[Share], what: str, count: int = 3) -> str:
    """Name the services that add most, for a message."""
    sums: dict[str, float] = {}
    for share in shares:
        own = share.reserved if what == "reserved" else share.limit
        sums[share.service] = sums.get(share.service, 0.0) + own
    most = sorted(sums.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{name} {total / _MB:.0f} MB" for name, total in most)


def unlimited(
    snapshot: Snapshot, containers: Iterable[Container], tolerated: Collection[str] = ()
) -> tuple[list[str], int]:
    """Return services without a limit, by their specification or in a container; and those checked.

    `tolerated` are full names.
    """
    services = [s for s in of_the_plan(snapshot) if s.name not in tolerated]
    names = {s.name for s in services}
    problems = [f"{s.name} has no memory limit" for s in services if not s.memory_limit]
    problems += [
        f"a container of {c.service} on {c.node} has no memory limit"
        for c in containers
        if c.service in names and not c.memory_limit
    ]
    return sorted(set(problems)), len(services)


def unreserved(snapshot: Snapshot) -> list[str]:
    """Return the services that reserve nothing: the scheduler would put them anywhere."""
    return sorted(s.name for s in of_the_plan(snapshot) if not s.memory_reserved)


def table(ledger: Ledger, layout: Ledger, plan: Sequence[Server]) -> list[dict[str, str]]:
    """Return the sums a server, for the report."""
    return [
        {
            "server": server.name,
            "tasks": str(len(ledger.tasks.get(server.name, ()))),
            "reserved GB": f"{ledger.reserved(server.name) / GB:.2f}",
            "limits GB": f"{ledger.limits(server.name) / GB:.2f}",
            "limits in the plan's places GB": f"{layout.limits(server.name) / GB:.2f}",
            "budget GB": f"{server.budget / GB:g}",
            "RAM GB": f"{server.ram / GB:g}",
        }
        for server in plan
    ]


def without(nodes: Sequence[SwarmNode], lost: str) -> list[SwarmNode]:
    """Return the nodes that may take tasks once `lost` is gone."""
    return [n for n in nodes if n.ready and n.availability == "active" and n.hostname != lost]
