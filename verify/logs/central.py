"""Whether what was written on the nodes is found centrally, by asking Loki alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, Waited, eventually, how_long
from verify.logs import loki
from verify.logs.judging import Findings, judge, told
from verify.logs.speaking import Said, every_container_says

COLLECTORS: Final = ("promtail", "alloy")
#: Around the writing, so that a wrong time stamp is found and named.
_MARGIN_NS: Final = 3600 * 10**9
_CAUGHT_UP_SECONDS: Final = 120.0


def collector(cluster: Cluster) -> str:
    """Return the full name of the collector's service. Raises `CutoverError`."""
    snapshot = cluster.snapshot()
    for name in COLLECTORS:
        for service in snapshot.services:
            if name in (service.short_name, service.name):
                return service.name
    raise CutoverError(f"no service is called {' or '.join(COLLECTORS)}", where=cluster.name)


def stacks_with_loki(cluster: Cluster) -> list[str]:
    """Return the names of the stacks that have one."""
    return [s.stack for s in cluster.snapshot().services if loki.SERVICE in (s.short_name, s.name)]


def span_of(said: Said) -> loki.Span:
    """Return the time to ask for."""
    return loki.Span(
        min(line.after_ns for line in said.lines) - _MARGIN_NS,
        max(line.before_ns for line in said.lines) + _MARGIN_NS,
    )


@dataclass
class Search:
    """Looks for written lines; `findings` are those of the last look that got an answer."""

    cluster: Cluster
    said: Said
    findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.findings = judge(self.said.lines, ())

    def look(self) -> bool | Pending:
        """Return True when every line was found; else which are missing. Raises `CutoverError`."""
        span = span_of(self.said)
        with loki.opened(self.cluster) as asked:
            entries = [
                entry
                for node in self.cluster.nodes
                for entry in asked.entries(loki.lines_with(self.said.mark, node=node), span)
            ]
        self.findings = judge(self.said.lines, entries)
        missing = self.findings.missing
        return Pending(told(missing, self.said.lines)) if missing else True

    def within(self, seconds: float) -> Waited:
        """Measure how long after the last line was written all are found."""
        return how_long(
            self.look,
            within=seconds,
            since=self.said.at,
            every=0.25,
            retry_on=(CutoverError,),
            what=f"{len(self.said.lines)} lines found centrally",
        )


def await_caught_up(cluster: Cluster) -> None:
    """Wait until collectors that just started have sent what they found. Raises `NeverTrue`."""
    search = Search(cluster, every_container_says(cluster))
    eventually(
        search.look,
        within=_CAUGHT_UP_SECONDS,
        every=0.5,
        retry_on=(CutoverError,),
        what="collectors that have caught up",
    )


def label_problems(cluster: Cluster, said: Said) -> tuple[list[str], int]:
    """Say which nodes and services that wrote Loki's labels lack; returns how many wrote, too."""
    wanted = {"node": said.nodes, "service": {line.service for line in said.lines} - {""}}
    with loki.opened(cluster) as asked:
        known = {label: asked.values(label, span_of(said)) for label in wanted}
    problems = [
        f"no logs of {label} {name}"
        for label, names in wanted.items()
        for name in sorted(names - known[label])
    ]
    return problems, sum(len(names) for names in wanted.values())


def running(node: Node, service: str) -> list[str]:
    """Return the ids of the containers of the service of that full name that run on a node."""
    listed = f"docker ps --quiet --no-trunc --filter label=com.docker.swarm.service.name={service}"
    return node.run(listed, timeout=15).stdout.split()
