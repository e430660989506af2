"""What happens to a lost server's tasks, computed: who finds room, who may not move. Pure.

As Swarm's scheduler decides (swarmkit, manager/scheduler): a node has to meet the constraints and
to have the reservation free; of those the one with fewest tasks of the service is taken, then the
one with fewest tasks. Memory only: the plan reserves nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fixtures.cluster.constraints import eligible
from fixtures.cluster.swarm import Service, Snapshot, SwarmNode, alive_tasks
from verify.plan.memory import GB, Server, of_the_plan, share_of, without


@dataclass(frozen=True, slots=True)
class Loss:
    """What losing one server does, in full names of services (once a task).

    `moved` pairs each task with its new server. `no_room` may run elsewhere and do not fit;
    `pinned` may run nowhere else. `overcommitted`: servers whose limits are then above their RAM.
    """

    server: str
    moved: Sequence[tuple[str, str]]
    no_room: Sequence[str]
    pinned: Sequence[str]
    overcommitted: Mapping[str, float]

    def problems(self, services: Sequence[str]) -> list[str]:
        """Say which of `services` (full names) do not get all of their tasks back."""
        return [
            f"without {self.server} {name} {why}"
            for found, why in ((self.no_room, "finds no room"), (self.pinned, "may not move"))
            for name in sorted(set(found) & set(services))
        ]

    def story(self) -> str:
        """Tell it in one paragraph."""
        told = [f"Without {self.server}: {len(self.moved)} tasks move"]
        for names, why in ((self.no_room, "find no room"), (self.pinned, "may run nowhere else")):
            if names:
                told.append(f"{len(names)} {why} ({', '.join(sorted(set(names)))})")
        for server, limits in self.overcommitted.items():
            told.append(f"the limits on {server} then add up to {limits / GB:.1f} GB, over its RAM")
        return "; ".join(told) + "."


def lose(snapshot: Snapshot, lost: str, servers: Sequence[Server], divisor: float) -> Loss:
    """Compute where the tasks of `lost` go, by what the servers of the plan have."""
    ram = {server.name: server.ram for server in servers}
    reserved = dict.fromkeys(ram, 0.0)
    limits = dict.fromkeys(ram, 0.0)
    counts: dict[tuple[str, str], int] = {}
    total = dict.fromkeys(ram, 0)
    homeless: list[Service] = []
    for service in of_the_plan(snapshot):
        share = share_of(service, divisor)
        for task in alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes):
            host = snapshot.hostname_of(task.node_id)
            if host == lost:
                if not service.is_global:  # its node's task is not missed elsewhere
                    homeless.append(service)
                continue
            if host in ram:
                reserved[host] += share.reserved
                limits[host] += share.limit
                total[host] += 1
            counts[host, service.name] = counts.get((host, service.name), 0) + 1
    moved, no_room, pinned = [], [], []
    left = [n for n in without(snapshot.nodes, lost) if n.hostname in ram]
    for service in homeless:
        share = share_of(service, divisor)
        allowed = [n for n in left if eligible(n, service.constraints)]
        if not allowed:
            pinned.append(service.name)
            continue
        fitting = [n for n in allowed if reserved[n.hostname] + share.reserved <= ram[n.hostname]]
        if not fitting:
            no_room.append(service.name)
            continue
        host = min(_rank(node, service, counts, total) for node in fitting)[-1]
        moved.append((service.name, host))
        reserved[host] += share.reserved
        limits[host] += share.limit
        total[host] += 1
        counts[host, service.name] = counts.get((host, service.name), 0) + 1
    overcommitted = {name: limits[name] for name in ram if limits[name] > ram[name]}
    return Loss(lost, moved, no_room, pinned, overcommitted)


def _rank(
    node: SwarmNode,
    service: Service,
    counts: Mapping[tuple[str, str], int],
    total: Mapping[str, int],
) -> tuple[int, int, str]:
    host = node.hostname
    return counts.get((host, service.name), 0), total[host], host
