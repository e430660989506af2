"""Whether Prometheus scrapes every service that the Swarm runs, and each under its own name. Pure.

The word of Prometheus alone ("all targets are up") says nothing of a service that no target is of;
so what runs is asked of the Swarm, and each task is looked for among the targets by its address.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fixtures.cluster.swarm import Snapshot, Task, alive_tasks
from fixtures.errors import CutoverError
from verify.monitoring.api import Sample

#: How a service is asked → the metric that says whether it answered. Exporters that ask others
#: answer with 200, and Prometheus' `up` is theirs.
ANSWERED: Final = {
    "http": "probe_success",
    "tcp": "probe_success",
    "postgres": "pg_up",
    "redis": "redis_up",
    "metrics": "up",
}
ANSWERS_QUERY: Final = '{__name__=~"up|pg_up|redis_up|probe_success|scrape_samples_scraped"}'
CONTAINERS_QUERY: Final = "container_last_seen"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SERVICE_LABEL: Final = "container_label_com_docker_swarm_service_name"


@dataclass(frozen=True, slots=True)
class Target:
    """One target: whose it says it is, whom it asks, and how its last scrape was.

    `age` and `interval` are in seconds; `age` is None before the first scrape.
    """

    service: str
    how: str
    instance: str
    asked: str
    health: str
    error: str
    age: float | None
    interval: float


def parse(data: Mapping[str, Any], now: float) -> list[Target]:
    """Read /api/v1/targets; `now` is Prometheus' own time. Raises `CutoverError`."""
    try:
        return [_target(each, now) for each in data["activeTargets"]]
    except (KeyError, ValueError) as error:
        raise CutoverError(f"{error!r}", where="Prometheus /api/v1/targets") from error


def _target(each: Mapping[str, Any], now: float) -> Target:
    labels, last = each["labels"], each["lastScrape"]
    url = urlsplit(each["scrapeUrl"])
    asked = parse_qs(url.query).get("target", [each["scrapeUrl"]])[0]
    host = urlsplit(asked if "//" in asked else f"//{asked}").hostname or asked
    return Target(
        service=labels.get("service", ""),
        how=labels.get("how", "metrics"),
        instance=labels.get("instance", ""),
        asked=host,
        health=each["health"],
        error=each["lastError"],
        age=None if last.startswith("0001-") else now - _seconds(last),
        interval=_duration(each["scrapeInterval"]),
    )


def _seconds(stamp: str) -> float:
    """Read RFC 3339 with nanoseconds, which Python's reader takes microseconds of."""
    fraction = re.search(r"\.\d+", stamp)
    whole = re.sub(r"\.\d+", "", stamp)
    return datetime.fromisoformat(whole).timestamp() + float(fraction[0] if fraction else 0)


def _duration(text: str) -> float:
    """Read Prometheus' way of writing a duration: 1m30s, 500ms."""
    parts = re.findall(r"(\d+)(ms|[smhd])", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def problems(
    targets: Sequence[Target],
    snapshot: Snapshot,
    *,
    excepted: Collection[str] = (),
    most_intervals: float,
    most_seconds: float,
) -> list[str]:
    """Say which services are not scraped, or not as themselves; `excepted` are full names.

    A scrape may be `most_intervals` of its own intervals old, and `most_seconds` whatever they are.
    """
    owners = _owners(snapshot)
    by_service = defaultdict(list)
    for target in targets:
        by_service[target.service].append(target)
    found = []
    for service in snapshot.services:
        if service.name in excepted:
            continue
        tasks = alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        if tasks and not by_service[service.name]:
            found.append(f"{service.name} runs, and no target is of it")
        elif missing := _unscraped(tasks, by_service[service.name], service.name):
            found.append(f"{service.name}: no target asks {', '.join(missing)}")
    running = {service.name for service in snapshot.services}
    for target in targets:
        oldest = min(most_intervals * target.interval, most_seconds)
        found += _target_problems(target, owners, running, oldest)
        # A look right after one of its scrapes finds it fresh.
        if target.interval > most_seconds and target.age is not None and target.age <= oldest:
            found.append(f"{_named(target)} is scraped every {target.interval:g} s only")
    return found


def _owners(snapshot: Snapshot) -> dict[str, str]:
    """Return address or DNS name → the service it is of."""
    owners = {}
    for service in snapshot.services:
        owners[service.name] = owners[f"tasks.{service.name}"] = service.name
        for task in alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes):
            owners |= dict.fromkeys(task.addresses.values(), service.name)
    return owners


def _unscraped(tasks: Iterable[Task], targets: Sequence[Target], service: str) -> list[str]:
    """Return the tasks that no target asks, by address or (a single one) by the service's name."""
    asked = {target.asked for target in targets}
    listed = list(tasks)
    if len(listed) == 1 and asked & {service, f"tasks.{service}"}:
        return []
    return [task.name for task in listed if not asked & set(task.addresses.values())]


def _target_problems(
    target: Target, owners: Mapping[str, str], running: Collection[str], oldest: float
) -> list[str]:
    named = _named(target)
    found = []
    if target.service not in running:
        found.append(f"{named}: the Swarm runs no such service")
    owner = owners.get(target.asked)
    if owner != target.service:
        found.append(f"{named} asks {target.asked}, which is {owner or 'nobody'}'s")
    if target.health != "up":
        found.append(f"{named} is {target.health}: {target.error}")
    if target.age is None or target.age > oldest:
        age = "never" if target.age is None else f"{target.age:.1f} s ago"
        found.append(f"{named} was scraped {age}, every {target.interval:g} s is due")
    return found


def _named(target: Target) -> str:
    return f"target {target.instance} of {target.service or 'no service'}"


def silent(targets: Sequence[Target], samples: Iterable[Sample]) -> list[str]:
    """Say which targets are up and yet say nothing of their service.

    `samples` are those of `ANSWERS_QUERY`: each must have the metric of its kind with the value 1,
    and have given any metrics at all.
    """
    values = {
        (s.labels["__name__"], s.labels.get("service", ""), s.labels.get("instance", "")): s.value
        for s in samples
    }
    found = []
    for target in targets:
        key = (target.service, target.instance)
        named = f"target {target.instance} of {target.service}"
        metric = ANSWERED.get(target.how)
        if metric is None:
            found.append(f"{named} is asked in an unknown way, {target.how!r}")
        elif (metric, *key) not in values:
            found.append(f"{named} gives no {metric}")
        elif values[metric, *key] != 1:
            found.append(f"{named}: {metric} is {values[metric, *key]:g}")
        elif not values.get(("scrape_samples_scraped", *key)):
            found.append(f"{named} gives no metrics")
    return found


def unseen_containers(samples: Iterable[Sample], snapshot: Snapshot) -> list[str]:
    """Say which tasks' containers no cAdvisor sees as their service's, by the container's id.

    A count would let one that just ended on a node stand for another on a node that nobody watches.
    """
    seen: dict[str, str] = defaultdict(str)
    for sample in samples:
        seen[sample.labels.get(SERVICE_LABEL, "")] += f"{sample.labels.get('id', '')} "
    return [
        f"{service.name}: the container of {task.name} on {snapshot.hostname_of(task.node_id)}"
        " is not seen"
        for service in snapshot.services
        for task in alive_tasks(snapshot.tasks_of(service.name), snapshot.nodes)
        if not task.container_id or task.container_id not in seen[service.name]
    ]
