"""Whether every service answers as itself, asked by name in the networks that it is in.

A task that runs may be of the wrong image, or its name may lead elsewhere. So each name is looked
up where applications do, in a task's own network, has to lead to the service's own tasks, and what
answers there has to say the service's name, where its protocol has a way to (HTTP stand-ins, SMTP,
IMAP), or else be a server of the right kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Service, Snapshot, Task, alive_tasks
from fixtures.errors import CutoverError
from fixtures.stacks import catalogue
from verify.plan.containers import Container

_PROBE: Final = Path(__file__).with_name("answer_probe.py")
_PROBE_SECONDS: Final = 60.0
#: Protocols whose answer names the service; others only say what kind of server answers.
NAMING: Final = frozenset({"http", "smtp", "imap"})
#: Protocol of the catalogue → of the probe.
_KNOWN: Final = {"http": "http:/", "postgres": "postgres", "redis": "redis"}
#: Whose own path says its name.
_PATHS: Final = {"edge": "http:/edge-version"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A service that speaks a protocol: `http:/path`, `postgres`, … on a port of its tasks."""

    service: str
    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Said:
    """What came back for one name: its addresses, and what each of them said."""

    addresses: tuple[str, ...]
    said: tuple[str, ...]
    failure: str = ""


def how_asked(service: Service) -> Asked | None:
    """Return how a service is asked: by its label, else by the catalogue; None for a silent one."""
    protocol, _, port = service.labels.get(catalogue.ANSWERS_LABEL, "").partition(" ")
    if protocol:
        return Asked(service.name, service.short_name, protocol, int(port))
    try:
        known = catalogue.service(service.short_name)
    except KeyError:
        return None
    if known.full_name != service.name or known.protocol not in _KNOWN:
        return None
    protocol = _PATHS.get(known.name, _KNOWN[known.protocol])
    return Asked(service.name, known.name, protocol, known.port)


def answer_problems(
    snapshot: Snapshot, asked: Sequence[Asked], told: Mapping[str, Said]
) -> list[str]:
    """Say which services were not found, found elsewhere, or answered by another."""
    problems = []
    for one in asked:
        said = told.get(one.service)
        if said is None:
            problems.append(f"{one.name} could not be asked: no task shares a network with it")
            continue
        own = _addresses(snapshot, one.service)
        if said.failure or not said.addresses:
            problems.append(f"{one.name}: {said.failure or 'its name leads nowhere'}")
        elif strange := sorted(set(said.addresses) - own):
            problems.append(f"{one.name} leads to {', '.join(strange)}, which is none of its tasks")
        kind = one.protocol.partition(":")[0]
        wanted = {one.name, one.service} if kind in NAMING else {kind}
        problems += [
            f"{one.name} answers as {words!r}"
            for words in sorted(set(said.said))
            if words not in wanted
        ]
    return problems


def _addresses(snapshot: Snapshot, service: str) -> set[str]:
    """Return every address that may stand behind a service's name."""
    found = {
        address
        for task in alive_tasks(snapshot.tasks_of(service), snapshot.nodes)
        for address in task.addresses.values()
    }
    return found.union(*(s.virtual_addresses for s in snapshot.services if s.name == service))


def askers(
    snapshot: Snapshot, asked: Iterable[Asked], containers: Iterable[Container]
) -> dict[str, list[Asked]]:
    """Return container id → the services that its task asks: one task a network, where possible.

    A service with several networks is asked in one of them. The harness's own idle task is taken
    where there is one, else any other service's.
    """
    running = {c.id for c in containers if c.state == "running"}
    tasks = [t for t in alive_tasks(snapshot.tasks, snapshot.nodes) if t.container_id in running]
    tasks.sort(key=lambda task: (not task.service.startswith("netcheck_"), task.name))
    chosen: dict[str, list[Asked]] = {}
    for one in asked:
        networks = {n for t in tasks if t.service == one.service for n in t.addresses}
        asker = _asker(tasks, one.service, networks)
        if asker is not None:
            chosen.setdefault(asker.container_id, []).append(one)
    return chosen


def _asker(tasks: Sequence[Task], service: str, networks: set[str]) -> Task | None:
    others = (t for t in tasks if t.service != service and networks & t.addresses.keys())
    return next(others, None)


def look(
    cluster: Cluster,
    snapshot: Snapshot,
    asked: Sequence[Asked],
    containers: Sequence[Container],
) -> dict[str, Said]:
    """Ask each service once, from inside a network of its own; returns full name → what it said."""
    by_id = {c.id: c for c in containers}
    chosen = askers(snapshot, asked, containers)

    def question(item: tuple[str, list[Asked]]) -> dict[str, Said]:
        id_, services = item
        told = probe(cluster, by_id[id_], {"ask": [_as_json(one) for one in services]})["answers"]
        return {
            one.service: Said(
                tuple(told[one.name]["addresses"]),
                tuple(told[one.name]["said"]),
                told[one.name]["failure"],
            )
            for one in services
        }

    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        return {
            name: said for part in pool.map(question, chosen.items()) for name, said in part.items()
        }


def _as_json(one: Asked) -> dict[str, Any]:
    return {"name": one.name, "protocol": one.protocol, "port": one.port}


def probe(cluster: Cluster, where: Container, question: Mapping[str, Any]) -> dict[str, Any]:
    """Run the probe inside a container's network. Raises `CutoverError` when it cannot be."""
    node = cluster.node(where.node)
    # The program goes by a here-document's file descriptor: standard input is the question.
    script = f"nsenter --net=/proc/{where.pid}/ns/net python3 /dev/fd/3 3<<'PROBE'\n"
    text = _PROBE.read_text(encoding="utf-8")
    answer = node.run(
        f"{script}{text}\nPROBE",
        stdin=json.dumps(question).encode(),
        timeout=_PROBE_SECONDS,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        raise CutoverError(
            f"the probe said nothing: {answer.stderr.strip()[-300:]}",
            where=f"network of {where.service} on {where.node}",
            remedy="The node needs nsenter and python3.",
        ) from None
    return found
