"""Memory: what is asked for, and whether the nodes have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from fixtures.sizes import memory_text
from verify.audit.rule import Audit, Criterion, Found, Level, at, rule, service_rule
from verify.audit.stack import Service

_FIELD = "deploy.resources.{}.memory"


@service_rule(
    "no-memory-limit",
    Level.WARNING,
    Criterion.MEMORY,
    "no memory limit: one service's leak takes its node's memory from all others",
    "Set deploy.resources.limits.memory.",
)
def no_memory_limit(service: Service, audit: Audit) -> Iterator[Found]:
    """The kernel then kills whom it likes."""
    if not service.memory("limits"):
        yield at(service, "deploy.resources.limits", _FIELD.format("limits"), "no memory limit")


@service_rule(
    "no-memory-reservation",
    Level.NOTE,
    Criterion.MEMORY,
    "no memory reservation: Swarm places the task as if it needed nothing",
    "Set deploy.resources.reservations.memory to what it uses.",
)
def no_memory_reservation(service: Service, audit: Audit) -> Iterator[Found]:
    """So a failover may put more on a node than it has memory for."""
    if not service.memory("reservations"):
        field = _FIELD.format("reservations")
        yield at(service, "deploy.resources.reservations", field, "no memory reservation")


@service_rule(
    "reservation-above-limit",
    Level.ERROR,
    Criterion.RUNNING,
    "reserves more memory than its limit",
    "Correct one of them.",
)
def reservation_above_limit(service: Service, audit: Audit) -> Iterator[Found]:
    """Swarm reserves memory that the task may never use."""
    limit, reserved = service.memory("limits"), service.memory("reservations")
    if limit and reserved and reserved > limit:
        field = _FIELD.format("reservations")
        message = f"{memory_text(reserved)} reserved, limit {memory_text(limit)}"
        yield at(service, field, field, message)


@rule(
    "unknown-memory",
    Level.WARNING,
    Criterion.MEMORY,
    "the inventory does not say how much memory a node has, so no budget could be checked on it",
    "Add memory: 28G (what `docker node inspect` says) to the node.",
)
def unknown_memory(audit: Audit) -> Iterator[Found]:
    """A check that did not take place is not a good one."""
    for name in audit.nodes.nodes:
        if name not in audit.nodes.memory:
            yield Found(audit.inventory, 1, name, f"nodes.{name}.memory", f"{name} has no memory")


def _only_there(audit: Audit) -> Mapping[str, list[Service]]:
    """Return node → the services that have to run a task there, as often as they run there."""
    there: dict[str, list[Service]] = defaultdict(list)
    for service in audit.together:
        nodes = audit.fitting(service)
        if service.is_global:
            for node in nodes:
                there[node].append(service)
        elif len(nodes) == 1:
            there[nodes[0]] += [service] * service.replicas
    return there


@rule(
    "limits-above-memory",
    Level.WARNING,
    Criterion.MEMORY,
    "the limits of what can run on one node only add up to more than its memory",
    "Lower them, or let some run elsewhere.",
)
def limits_above_memory(audit: Audit) -> Iterator[Found]:
    """When all use what they may, the node swaps or kills."""
    for node, services in _only_there(audit).items():
        total = sum(service.memory("limits") or 0 for service in services)
        yield from _above(audit, node, services, total, "limits")


@rule(
    "reserved-above-memory",
    Level.ERROR,
    Criterion.RUNNING,
    "the reservations do not fit into the nodes' memory",
    "Lower them, or add memory; Swarm leaves what does not fit Pending.",
)
def reserved_above_memory(audit: Audit) -> Iterator[Found]:
    """First what has to be on one node; then the rest, largest first, where most is free."""
    free = {name: float(size) for name, size in audit.nodes.memory.items()}
    full = set()
    for node, services in _only_there(audit).items():
        total = sum(service.memory("reservations") or 0 for service in services)
        found = list(_above(audit, node, services, total, "reservations"))
        yield from found
        if node in free:
            free[node] = max(0.0, free[node] - total)
        full |= {node} if found else set()
    movable = [
        (service, service.memory("reservations") or 0)
        for service in audit.together
        if not service.is_global and len(audit.fitting(service)) > 1
        for _ in range(service.replicas)
    ]
    told = set()
    for service, size in sorted(movable, key=lambda each: -each[1]):
        nodes = audit.fitting(service)
        if not size or any(node not in free for node in nodes):
            continue
        best = max(nodes, key=lambda node: free[node])
        if free[best] >= size:
            free[best] -= size
        elif service.subject not in told:
            told.add(service.subject)
            left = ", ".join(f"{node} {memory_text(free[node])}" for node in nodes)
            field = _FIELD.format("reservations")
            message = f"a task that reserves {memory_text(size)} fits nowhere; left: {left}"
            yield at(service, field, field, message)


def _above(
    audit: Audit, node: str, services: list[Service], total: int, kind: str
) -> Iterator[Found]:
    """Say so at the service that asks most when `total` is more than the node has."""
    memory = audit.nodes.memory.get(node)
    if memory is None or total <= memory:
        return
    most = max(services, key=lambda service: service.memory(kind) or 0)
    field = _FIELD.format(kind)
    found = at(
        most,
        field,
        field,
        f"{kind} of {len(services)} task(s) on {node} add up to {memory_text(total)}, "
        f"it has {memory_text(memory)}",
    )
    yield Found(found.path, found.line, node, found.field, found.message)
