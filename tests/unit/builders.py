"""Small builders of what Swarm says, and a fake cluster, shared by the unit tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fixtures.cluster.power import Instant
from fixtures.cluster.swarm import Service, Snapshot, SwarmNode, Task
from fixtures.errors import CutoverError, Unreachable

MANAGERS = ("m1", "m2", "m3")
WORKERS = ("w1",)
ROLES = {**dict.fromkeys(MANAGERS, "manager"), **dict.fromkeys(WORKERS, "worker")}


def node(hostname: str, role: str = "manager", /, **changed: Any) -> SwarmNode:
    """A ready, active, reachable node with the id `id-<hostname>`."""
    values: dict[str, Any] = {
        "id": f"id-{hostname}",
        "hostname": hostname,
        "role": role,
        "state": "ready",
        "availability": "active",
        "leader": False,
        "reachability": "reachable" if role == "manager" else "",
        "address": "192.0.2.1",
        "engine_version": "26.1.5",
        "labels": {},
    }
    return SwarmNode(**{**values, **changed})


def nodes(**changed: Mapping[str, Any]) -> tuple[SwarmNode, ...]:
    """Three managers, m1 leading, and the worker w1; `changed` is by host name."""
    return tuple(
        node(name, role, **{"leader": name == "m1", **changed.get(name, {})})
        for name, role in ROLES.items()
    )


def task(service: str, /, slot: int | None = 1, on: str = "m1", **changed: Any) -> Task:
    """A running task of `service` on the node called `on`."""
    values: dict[str, Any] = {
        "id": f"{service}-{slot}-{on}",
        "service": service,
        "slot": slot,
        "node_id": f"id-{on}",
        "state": "running",
        "desired_state": "running",
        "error": "",
        "container_id": f"c-{service}-{slot}-{on}",
        "pid": 1,
        "addresses": {},
        "updated_at": "2030-01-01T00:00:00Z",
    }
    return Task(**{**values, **changed})


def service(name: str, /, replicas: int | None = 1, **changed: Any) -> Service:
    """A service of the stack `shop`; `replicas` None makes it global."""
    values: dict[str, Any] = {
        "id": f"id-{name}",
        "name": f"shop_{name}",
        "stack": "shop",
        "replicas": replicas,
        "constraints": (),
        "networks": (),
        "update_state": "",
        "labels": {},
    }
    return Service(**{**values, **changed})


def snapshot(
    nodes_seen: Sequence[SwarmNode] | None = None,
    services: Sequence[Service] = (),
    tasks: Sequence[Task] = (),
) -> Snapshot:
    """What a manager says; without nodes given the four of `nodes`."""
    return Snapshot(
        nodes() if nodes_seen is None else tuple(nodes_seen), tuple(services), tuple(tasks)
    )


@dataclass
class FakeNode:
    """A node whose power obeys, unless `refusal` says otherwise."""

    name: str
    is_manager: bool = True
    has_power: bool = True
    refusal: Exception | None = None
    swarm_state: str | Exception = "active"
    runs: Callable[..., Any] | None = None
    done: list[str] = field(default_factory=list)

    def _act(self, action: str) -> Instant:
        self.done.append(action)
        if self.refusal:
            raise self.refusal
        return Instant(10.0, 0.1)

    def power_off(self) -> Instant:
        instant = self._act("off")
        self.has_power = False
        return instant

    def power_on(self) -> Instant:
        instant = self._act("on")
        self.has_power = True
        return instant

    def kill_container(self, container_id: str) -> Instant:
        return self._act(f"kill {container_id}")

    def ask(self, question: Callable[[Any], Any], timeout: float = 10.0) -> Any:
        """Answer `docker info`, the only question that the unit-tested code asks of one node."""
        if isinstance(self.swarm_state, Exception):
            raise self.swarm_state
        return question(_Api({"Swarm": {"LocalNodeState": self.swarm_state}}))

    def run(self, command: str, **options: Any) -> Any:
        assert self.runs is not None, "this test's node was not meant to run a command"
        return self.runs(command, **options)


@dataclass(frozen=True)
class _Api:
    answer: Mapping[str, Any]

    def info(self) -> Mapping[str, Any]:
        return self.answer


Answer = Snapshot | CutoverError


class FakeCluster:
    """A cluster whose managers answer what they are told to.

    `says` is one answer for all, a list of answers given one after the other (the last for ever),
    or a mapping of manager → answer for questions put to one manager. A `CutoverError` is raised.
    """

    def __init__(
        self,
        says: Answer | Sequence[Answer] | Mapping[str, Answer] = (),
        roles: Mapping[str, str] = ROLES,
        *,
        name: str = "twin",
        is_twin: bool = True,
    ) -> None:
        self.name = name
        self.is_twin = is_twin
        self.nodes = {n: FakeNode(n, is_manager=role == "manager") for n, role in roles.items()}
        self.asked = 0
        self._says = says

    @property
    def managers(self) -> list[FakeNode]:
        return [n for n in self.nodes.values() if n.is_manager]

    def node(self, name: str) -> FakeNode:
        return self.nodes[name]

    def on_all(
        self, action: Callable[[FakeNode], Any], nodes: list[FakeNode] | None = None
    ) -> dict[str, Any]:
        chosen = list(self.nodes.values()) if nodes is None else nodes
        return {node.name: action(node) for node in chosen}

    def snapshot(self, *, asked_of: FakeNode | None = None, timeout: float = 10.0) -> Snapshot:
        if isinstance(self._says, Mapping):
            assert asked_of is not None, "this test's answers differ by manager: name one"
            answer = self._says[asked_of.name]
        elif isinstance(self._says, Sequence):
            answer = self._says[min(self.asked, len(self._says) - 1)]
        else:
            answer = self._says
        self.asked += 1
        if isinstance(answer, CutoverError):
            raise answer
        return answer

    def a_task(self, service_name: str) -> tuple[FakeNode, Task]:
        seen = self.snapshot()
        for found in seen.tasks_of(service_name):
            if found.running:
                return self.nodes[seen.hostname_of(found.node_id)], found
        raise Unreachable("no running task", where=f"service {service_name}")


class Clock:
    """A monotonic clock that only moves when someone sleeps or `pass_` is called."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pass_(self, seconds: float) -> None:
        """Let time go by, as a slow look at the cluster does."""
        self.now += seconds
