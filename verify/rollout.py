"""Rolling updates: asked for, watched to their end, and put back to what the service was.

A service's specification is read, changed and written as the engine's own JSON, so that what is put
back is exactly what was there, whatever the harness does not know of.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self

import requests
from docker import DockerClient
from docker.errors import create_api_error_from_http_exception

from fixtures.cluster.cluster import API_SECONDS, Cluster, Node
from fixtures.cluster.power import Instant
from fixtures.errors import CannotProve, CutoverError
from fixtures.waiting import NeverTrue, Pending, Waited, eventually, how_long
from load.changeover import Update

Json = dict[str, Any]

ORDERS: Final = ("start-first", "stop-first")
#: The variables by which a service of ours is told its version, which its answers then name.
VERSION_VARIABLES: Final = ("WEB_VERSION", "EDGE_VERSION")
#: RFC 2606 keeps the name free for ever.
ABSENT_IMAGE: Final = "cutover.invalid/absent:0"
#: The port that a version listens on which nobody looks at.
WRONG_PORT: Final = "8081"

_UNHEALTHY: Final = re.compile(r"a version that is not healthy within (\d+(?:\.\d+)?) seconds")
_TERMINAL: Final = ("completed", "paused", "rollback_completed", "rollback_paused")
_POLL_SECONDS: Final = 0.2
_WRITE_SECONDS: Final = 10.0
_RESTORE_SECONDS: Final = 120.0
_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Change:
    """What an update asks for; what is left out stays as it is.

    `start_seconds`: how long a task may take to its first good health check; after that one failed
    check is enough. `order` and `parallelism` are of `update_config`. `secrets`: name of the file
    in /run/secrets → id and name of the secret that takes its place.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    start_seconds: float | None = None
    order: str = ""
    parallelism: int | None = None
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def changed(spec: Mapping[str, Any], change: Change) -> Json:
    """Return a copy of a service's specification with `change` made.

    Raises `CutoverError` for an unknown order or a service without a health check to change.
    """
    if change.order not in ("", *ORDERS):
        raise CutoverError(
            f"{change.order!r} is no update order", where="feature", remedy=" or ".join(ORDERS)
        )
    new: Json = copy.deepcopy(dict(spec))
    container = new["TaskTemplate"]["ContainerSpec"]
    if change.environment:
        container["Env"] = [
            *(
                entry
                for entry in container.get("Env") or ()
                if entry.partition("=")[0] not in change.environment
            ),
            *(f"{name}={value}" for name, value in change.environment.items()),
        ]
    for mounted in container.get("Secrets") or ():
        if (file := mounted["File"]["Name"]) in change.secrets:
            mounted["SecretID"], mounted["SecretName"] = change.secrets[file]
    if change.image:
        container["Image"] = change.image
    if change.start_seconds is not None:
        if not container.get("Healthcheck"):
            raise CutoverError("has no health check", where=f"service {spec.get('Name')}")
        container["Healthcheck"] |= {
            "StartPeriod": int(change.start_seconds * _NANOSECONDS),
            "Retries": 1,
        }
    new["UpdateConfig"] = dict(new.get("UpdateConfig") or {})
    if change.order:
        new["UpdateConfig"]["Order"] = change.order
    if change.parallelism is not None:
        new["UpdateConfig"]["Parallelism"] = change.parallelism
    return new


def version_of(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Return the variable that holds a service's version, and the version.

    Raises `CannotProve` for a service that is not told one, as its answers cannot name it.
    """
    for entry in spec["TaskTemplate"]["ContainerSpec"].get("Env") or ():
        name, _, value = entry.partition("=")
        if name in VERSION_VARIABLES:
            return name, value
    raise CannotProve(
        "shows clients no version, so that what they see of an update cannot be told",
        where=f"service {spec.get('Name')}",
        remedy=f"Give it {' or '.join(VERSION_VARIABLES)} and let its answers name it.",
    )


def next_version(old: str) -> str:
    """Return another version than `old`, of its kind."""
    return str(int(old) + 1) if old.isdigit() else f"{old}-next"


def change_called(spec: Mapping[str, Any], words: str) -> Change:
    """Return the change to the next version that `words` call for.

    `a new version`, `an image that does not exist`, or `a version that is not healthy within N
    seconds`: it listens where nobody asks. Raises `CannotProve` as `version_of`, and for a service
    whose port is not ours to set; `CutoverError` for other words.
    """
    variable, old = version_of(spec)
    environment = {variable: next_version(old)}
    if words == "a new version":
        return Change(environment)
    if words == "an image that does not exist":
        return Change(environment, image=ABSENT_IMAGE)
    if found := _UNHEALTHY.fullmatch(words):
        if variable != "WEB_VERSION":
            raise CannotProve("has no WEB_PORT to get wrong", where=f"service {spec.get('Name')}")
        environment["WEB_PORT"] = WRONG_PORT
        return Change(environment, start_seconds=float(found[1]))
    raise CutoverError(
        f"{words!r} is no update",
        where="feature",
        remedy="There are: a new version, an image that does not exist, a version that is not "
        "healthy within N seconds.",
    )


def unlike(tasks: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> str:
    """Say what keeps a service's tasks from being as many as `spec` wants and all made from it.

    Empty when nothing does; a task that is being stopped still counts as one too many.
    """
    wanted = spec["TaskTemplate"]
    running = [task for task in tasks if task["Status"]["State"] == "running"]
    right = [
        task
        for task in running
        if task["DesiredState"] == "running"
        and task["Spec"].get("ContainerSpec") == wanted["ContainerSpec"]
        and task["Spec"].get("ForceUpdate", 0) == wanted.get("ForceUpdate", 0)
    ]
    if len(right) < len(running):
        return f"{len(running) - len(right)} tasks of another specification run"
    replicas = spec["Mode"].get("Replicated", {}).get("Replicas")
    if replicas is not None and len(right) != replicas:
        return f"{len(right)} of {replicas} tasks run"
    return ""


class Services(Protocol):
    """Reads and writes the services of a Swarm."""

    def read(self, name: str) -> Json:
        """Return the Service object."""

    def tasks(self, name: str) -> list[Json]:
        """Return its Task objects."""

    def write(self, service: Json, spec: Json) -> None:
        """Give it another specification; refused when it changed since `service` was read."""


class SwarmServices:
    """The services of a cluster, through one of its managers."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._found: Node | None = None

    @property
    def _manager(self) -> Node:
        if self._found is None:
            self._found = self._cluster.leader()
        return self._found

    def full_name(self, service: str) -> str:
        """Return the name in the Swarm of a service of the stack files. Raises `CutoverError`."""
        return self._cluster.snapshot().service_called(service).name

    def read(self, name: str) -> Json:
        """Return the Service object. Raises `CutoverError`."""
        return dict(self._manager.ask(lambda api: api.api.inspect_service(name)))

    def tasks(self, name: str) -> list[Json]:
        """Return its Task objects. Raises `CutoverError`."""
        return list(self._manager.ask(lambda api: api.api.tasks(filters={"service": name})))

    def write(self, service: Json, spec: Json) -> None:
        """Give it another specification, whole. Raises `CutoverError`, also when it changed."""

        def update(api: DockerClient) -> None:
            # docker-py's own call builds a specification of the parts that it knows of.
            url = f"{api.api.base_url}/v{api.api.api_version}/services/{service['ID']}/update"
            version = {"version": service["Version"]["Index"]}
            answer = api.api.post(url, params=version, json=spec, timeout=API_SECONDS)
            try:
                answer.raise_for_status()
            except requests.HTTPError as error:
                create_api_error_from_http_exception(error)

        self._manager.ask(update)


@dataclass
class Rollout:
    """An update of `service` (full name), from `old` to `new`, and how it ended.

    `began` is when Swarm took it. `took` is the time to its end; when it did not end, `state` is
    the last one seen and `took` says so. `states` are all that were seen, with when.
    """

    service: str
    old: str
    new: str
    replicas: int
    began: Instant
    took: Waited = field(default_factory=lambda: Waited(0.0, 0.0, "not watched yet"))
    state: str = ""
    message: str = ""
    states: list[tuple[str, float]] = field(default_factory=list)

    @property
    def ended(self) -> Instant:
        """When its end was seen, or how long was watched."""
        return Instant(self.began.at + self.took.seconds, self.took.error)

    @property
    def update(self) -> Update:
        """What clients' answers are held against."""
        return Update(self.old, self.new, self.began, self.ended, self.replicas)

    def problems(self, wanted: str) -> list[str]:
        """Say how its end differs from `wanted`, an UpdateStatus."""
        if self.took.reason:
            return [self.took.reason]
        return [] if self.state == wanted else [f"ended as {self.state}: {self.message}"]

    def events(self) -> list[tuple[str, float]]:
        """Return its beginning and every state as moments (monotonic seconds), for a plot."""
        return [("update begins", self.began.at), *self.states]

    def look(self, service: Json) -> bool | Pending:
        """Take in the Service object as it is now; say whether the update has ended."""
        # Swarm forgets the status of the update before when it takes a new specification.
        status = service.get("UpdateStatus") or {}
        state = status.get("State", "")
        if state and state != self.state:
            self.states.append((state.replace("_", " "), time.monotonic()))
        self.state, self.message = state, status.get("Message", "")
        if state in _TERMINAL:
            return True
        return Pending(f"{state or 'not begun'}: {self.message}".removesuffix(": "))


class Rollouts:
    """Updates services while entered; in the end each is what it was before its first update.

    `steady` waits until the cluster is steady, and raises when it does not become so.
    """

    def __init__(
        self, services: Services, steady: Callable[[], None], *, within: float = _RESTORE_SECONDS
    ) -> None:
        self._services = services
        self._steady = steady
        self._within = within
        self._former: dict[str, Json] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # One that cannot be put back must not keep the others from it.
        with ExitStack() as stack:
            if self._former:
                stack.callback(self._steady)
            for name, spec in self._former.items():
                stack.callback(self._restore, name, spec)
        self._former.clear()

    def spec(self, name: str) -> Json:
        """Return a service's specification as it is now. Raises `CutoverError`."""
        spec: Json = self._services.read(name)["Spec"]
        return spec

    def begin(self, name: str, change: Change) -> Rollout:
        """Update the service of that full name. Raises `CutoverError`, `CannotProve`, `NeverTrue`.

        A change that is refused before it is written leaves nothing to put back.
        """
        before = self.spec(name)
        _, old = version_of(before)
        spec = changed(before, change)
        _, new = version_of(spec)
        self._former.setdefault(name, before)
        replicas = before["Mode"].get("Replicated", {}).get("Replicas", 1)
        return Rollout(
            name, old, new, replicas, self._write(name, lambda now: changed(now, change))
        )

    def apply(self, name: str, change: Callable[[Json], Json]) -> None:
        """Change a service's specification in any way, and wait until its tasks are made from it.

        Raises `CutoverError`, `NeverTrue`.
        """
        self._former.setdefault(name, self.spec(name))
        self._replace(name, change(self.spec(name)))

    def watch(self, rollout: Rollout, *, within: float) -> Rollout:
        """Look until the update has ended, or for `within` seconds since it began."""
        rollout.took = how_long(
            lambda: rollout.look(self._services.read(rollout.service)),
            within=within,
            every=_POLL_SECONDS,
            since=rollout.began.at,
            since_error=rollout.began.error,
            retry_on=(CutoverError,),
            what=f"update of {rollout.service} ended",
        )
        return rollout

    def _write(self, name: str, change: Callable[[Json], Json]) -> Instant:
        """Write what `change` makes of the specification; return when Swarm took it."""
        before = time.monotonic()

        def write() -> bool:
            # Swarm counts its own notes on a running update as changes, and refuses what is older.
            service = self._services.read(name)
            self._services.write(service, change(service["Spec"]))
            return True

        eventually(write, within=_WRITE_SECONDS, what=f"{name} written", retry_on=(CutoverError,))
        return Instant.between(before, time.monotonic())

    def _replace(self, name: str, spec: Json) -> None:
        """Bring tasks and specification to `spec`: first all tasks at once, then word by word."""
        quick = copy.deepcopy(spec)
        quick["UpdateConfig"] = {
            **(spec.get("UpdateConfig") or {}),
            "Parallelism": 0,
            "Delay": 0,
            "Monitor": 1_000_000,  # 1 ms; 0 means Swarm's default
            "FailureAction": "continue",  # there is nothing to roll back to
        }
        self._write(name, lambda _: quick)

        def settled() -> bool | Pending:
            problem = unlike(self._services.tasks(name), spec)
            return Pending(problem) if problem else True

        eventually(
            settled,
            within=self._within,
            what=f"{name} as it is to be",
            retry_on=(CutoverError,),
        )
        self._write(name, lambda _: spec)

    def _restore(self, name: str, spec: Json) -> None:
        try:
            self._replace(name, spec)
        except NeverTrue as error:
            raise CutoverError(
                f"could not be put back to what it was: {error}",
                where=f"service {name}",
                remedy=f"Look at docker service ps {name}; docker service rollback {name}.",
            ) from error
        if self.spec(name) != spec:
            raise CutoverError("is not what it was before", where=f"service {name}")
