"""The containers of Swarm's tasks as their engines tell of them: alive, healthy, started when."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Snapshot, Task, alive_tasks
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually

_READ_SECONDS: Final = 60.0
#: The state as JSON, for a template fails on a container that no check looks after.
_FIELDS: Final = (
    "{{.Id}}",
    '{{index .Config.Labels "com.docker.swarm.service.name"}}',
    "{{.RestartCount}}",
    "{{.HostConfig.Memory}}",
    "{{json .State}}",
)
#: All of a node's, in one command. One that ends meanwhile makes it fail, and the others are told.
READ: Final = (
    "docker ps --quiet --no-trunc --filter label=com.docker.swarm.task.id"
    f" | xargs --no-run-if-empty docker inspect --format '{'|'.join(_FIELDS)}' 2>/dev/null; true"
)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container of a task. `health` is empty where nothing checks it.

    `memory_limit` is what the engine enforces, in bytes, 0 for none; `pid` its first process.
    """

    id: str
    service: str
    node: str
    state: str
    health: str
    restarts: int
    started_at: str
    memory_limit: int
    pid: int


def parse(text: str, node: str) -> list[Container]:
    """Read what `READ` printed on a node. Raises `CutoverError`."""
    found = []
    for line in filter(None, text.splitlines()):
        try:
            id_, service, restarts, memory, told = line.split("|", len(_FIELDS) - 1)
            state = json.loads(told)
        except ValueError:
            raise CutoverError(f"cannot read {line!r}", where=f"containers of {node}") from None
        found.append(
            Container(
                id_,
                service,
                node,
                state["Status"],
                (state.get("Health") or {}).get("Status", "").replace("none", ""),
                int(restarts),
                state["StartedAt"],
                int(memory),
                state["Pid"],
            )
        )
    return found


def read(cluster: Cluster) -> list[Container]:
    """Ask every node for the containers of its tasks. Raises `CutoverError`."""

    def look(node: Node) -> list[Container]:
        return parse(node.run(READ, timeout=_READ_SECONDS).stdout, node.name)

    return [container for found in cluster.on_all(look).values() for container in found]


def read_twice(cluster: Cluster, *, apart: float) -> tuple[list[Container], list[Container]]:
    """Look twice, `apart` seconds from each other. Raises `CutoverError`."""
    first = read(cluster)
    end = time.monotonic() + apart

    def over() -> bool | Pending:
        left = end - time.monotonic()
        return left <= 0 or Pending(f"{left:.0f} s left")

    eventually(over, within=apart + 30, every=1.0, what="containers watched")
    return first, read(cluster)


def health_problems(
    snapshot: Snapshot, services: Sequence[str], containers: Iterable[Container]
) -> list[str]:
    """Say which of `services` (full names) lack tasks, or have one that its engine calls unwell.

    Swarm's word alone is not taken: the container has to be there, running, and healthy where it
    has a check.
    """
    by_id = {container.id: container for container in containers}
    problems = []
    for name in services:
        service = next((s for s in snapshot.services if s.name == name), None)
        if service is None:
            problems.append(f"{name} is not deployed")
            continue
        alive = alive_tasks(snapshot.tasks_of(name), snapshot.nodes)
        wanted = max(1, service.replicas or 0)  # a service scaled to 0 runs nowhere
        if len(alive) < wanted:
            problems.append(f"{name}: {len(alive)} of {wanted} tasks run")
        problems += [p for task in alive if (p := _unwell(task, by_id.get(task.container_id)))]
    return problems


def _unwell(task: Task, container: Container | None) -> str:
    if container is None:
        return f"{task.name} runs by Swarm's word, and its node has no such container"
    if container.state != "running":
        return f"{task.name} is {container.state}"
    if container.health not in ("", "healthy"):
        return f"{task.name} is {container.health}"
    return ""


def restart_problems(
    first: Iterable[Container], last: Iterable[Container], services: Sequence[str]
) -> list[str]:
    """Say which containers of `services` came, went or were started anew between two looks."""
    wanted = set(services)
    before, after = (
        {c.id: c for c in containers if c.service in wanted} for containers in (first, last)
    )
    problems = [f"a container of {before[i].service} ended" for i in sorted(before.keys() - after)]
    problems += [f"a container of {after[i].service} came" for i in sorted(after.keys() - before)]
    for id_ in sorted(before.keys() & after):
        old, new = before[id_], after[id_]
        if (old.started_at, old.restarts) != (new.started_at, new.restarts):
            problems.append(f"a container of {new.service} was restarted")
    return problems


def failure_problems(
    snapshot: Snapshot, services: Sequence[str], since: str
) -> tuple[list[str], int]:
    """Return the tasks of `services` that failed, and how many tasks were looked at.

    What happened before `since`, or before the service was last changed, is not its deployment's. A
    task older than `since` counts when it failed later, unless its service was changed since then:
    the end of a task that an update replaces may look like a failure. Times are ISO 8601 in UTC.
    """
    problems, checked = [], 0
    for name in services:
        service = next((s for s in snapshot.services if s.name == name), None)
        start, changed = _seconds(since), _seconds(service.updated_at if service else "")
        tasks = [
            task
            for task in snapshot.tasks_of(name)
            if _seconds(task.created_at) >= max(start, changed)
            or (changed < start <= _seconds(task.updated_at))
        ]
        checked += len(snapshot.tasks_of(name))
        problems += [
            f"{task.name} {task.state}: {task.error or 'it ended'}"
            for task in tasks
            if task.state in _FAILED
        ]
    return problems, checked


#: `complete` too: these services are to run for ever.
_FAILED: Final = frozenset({"failed", "rejected", "orphaned", "complete"})


def _seconds(stamp: str) -> str:
    """Cut a time to whole seconds, as text: the engine's fractions have no fixed length."""
    return stamp[:19]
