"""What exporters of metrics say of a node: node-exporter of its machine, cAdvisor of its cgroup.

Parsing is pure. The formats: Prometheus' text exposition format, version 0.0.4; the names are those
of node_exporter's collectors `cpu` and `meminfo`, and cAdvisor's, whose `id="/"` is the root of the
cgroups that it sees.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError

SCRAPE_SECONDS: Final = 10.0

_LINE = re.compile(
    r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+(?P<ms>-?\d+))?\s*"
)
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_IDLE: Final = ("idle", "iowait")


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of metrics; `at` is its own time stamp in seconds, None when it has none."""

    name: str
    labels: Mapping[str, str]
    value: float
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What an exporter says at the moment `at` (seconds; only differences mean something).

    `cpu_busy` seconds of CPU time so far; `cpu_all` with the idle ones, None when it does not say.
    `memory_used` in bytes.
    """

    at: float
    cpu_busy: float
    cpu_all: float | None
    memory_used: float


@dataclass(frozen=True, slots=True)
class Exporter:
    """A kind of exporter: how its services are called, its port, how its metrics are read.

    `of_group`: it tells of the node's cgroup; else of the machine whose /proc the node shows.
    """

    prefix: str
    port: int
    read: Callable[[str, float], Story]
    of_group: bool


def parse(text: str) -> list[Metric]:
    """Read metrics. Raises `CutoverError` for a line that is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        try:
            if match is None:
                raise ValueError("not a metric")
            at = None if match["ms"] is None else int(match["ms"]) / 1000
            found.append(
                Metric(match["name"], _labels(match["labels"] or ""), float(match["value"]), at)
            )
        except ValueError as error:
            raise CutoverError(f"{error}: {line[:80]!r}", where=f"metrics, line {number}") from None
    return found


def _labels(text: str) -> dict[str, str]:
    labels, position = {}, 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise ValueError("bad labels")
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else str(m[1]), match[2])
        position = match.end()
    return labels


def node_story(text: str, scraped: float) -> Story:
    """Read node_exporter's metrics, scraped at `scraped` seconds. Raises `CutoverError`."""
    metrics = parse(text)
    modes = [(m.labels.get("mode", ""), m.value) for m in _named(metrics, "node_cpu_seconds_total")]
    total = _one(metrics, "node_memory_MemTotal_bytes")
    available = _one(metrics, "node_memory_MemAvailable_bytes")
    return Story(
        scraped,
        sum(value for mode, value in modes if mode not in _IDLE),
        sum(value for _, value in modes),
        total - available,
    )


def cadvisor_story(text: str, scraped: float) -> Story:
    """Read what cAdvisor says of its root cgroup. Raises `CutoverError`.

    It looks by itself now and then: its own time stamps count where it gives them.
    """
    roots = [m for m in parse(text) if m.labels.get("id") == "/"]
    cpu = _named(roots, "container_cpu_usage_seconds_total")
    whole = [m for m in cpu if m.labels.get("cpu") == "total"] or cpu
    return Story(
        whole[0].at if whole[0].at is not None else scraped,
        sum(m.value for m in whole),
        None,
        _one(roots, "container_memory_working_set_bytes"),
    )


EXPORTERS: Final = (
    Exporter("node-exporter", 9100, node_story, of_group=False),
    Exporter("cadvisor", 8080, cadvisor_story, of_group=True),
)


def _named(metrics: list[Metric], name: str) -> list[Metric]:
    found = [metric for metric in metrics if metric.name == name]
    if not found:
        raise CutoverError(f"no {name}", where="metrics", remedy="Enable the collector of it.")
    return found


def _one(metrics: list[Metric], name: str) -> float:
    return _named(metrics, name)[0].value


def on_node(snapshot: Snapshot, hostname: str) -> list[tuple[str, Exporter]]:
    """Return the exporters that run on a node: full service name and kind."""
    running = {task.service for task in snapshot.running_on(hostname)}
    return [
        (service.name, kind)
        for service in snapshot.services
        for kind in EXPORTERS
        if service.name in running and service.short_name.startswith(kind.prefix)
    ]


def scrape(cluster: Cluster, service: str, kind: Exporter, hostname: str) -> Story:
    """Ask the task of `service` on a node. Raises `CutoverError`."""
    with (
        cluster.reach(service, kind.port, on=hostname) as socket,
        httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), timeout=SCRAPE_SECONDS
        ) as client,
    ):
        before = time.monotonic()
        try:
            answer = client.get("http://localhost/metrics")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise CutoverError(
                f"gives no metrics: {type(error).__name__}: {error}",
                where=f"{service} on {hostname}",
            ) from error
        return kind.read(answer.text, (before + time.monotonic()) / 2)
