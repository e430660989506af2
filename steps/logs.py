"""Steps about central logging: lines are written on the nodes, and looked for in Loki."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.faults.task import Kill
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.tables import rows
from fixtures.waiting import eventually
from verify.logs import central, loki, speaking
from verify.logs.central import Search
from verify.logs.own_service import OwnService, own_service
from verify.logs.speaking import Said
from verify.logs.texts import line_of

STACK = "logging"
STANDINGS = {
    "loki": "a receiver of this project that speaks Loki's push and query API (JSON) over SQLite",
    "promtail": "a collector of this project for json-file logs; one a node, the plan has one",
}
FOUND_SECONDS = 60.0
REMOVED_SECONDS = 60.0

Speak = Callable[[Mapping[str, str]], OwnService]


class Away(NamedTuple):
    """A service, by its full name, and the node where its container was killed."""

    service: str
    node: Node


@given("the logs of every node are collected")
def collected(cluster: Cluster, on_demand: OnDemandStacks | None, run: Any) -> None:
    """By what is there already; a twin without any gets the stack, and time to catch up."""
    if on_demand is None:
        return
    stacks = central.stacks_with_loki(cluster)
    run.standins |= STANDINGS
    if stacks in ([], [STACK]):
        on_demand.stand(STACK, [])
    if not stacks:
        central.await_caught_up(cluster)


@pytest.fixture
def speak(cluster: Cluster) -> Iterator[Speak]:
    """Yield what starts an idle service of our own on every node; it goes in the end."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(own_service(cluster, options))


@when("every container writes a line to each of its outputs", target_fixture="said")
def all_write(cluster: Cluster) -> Said:
    """Of every service, and of none."""
    return speaking.every_container_says(cluster)


@given("every container has written a line that was found", target_fixture="earlier")
def have_written(cluster: Cluster) -> Said:
    """What must outlive whatever comes."""
    earlier = speaking.every_container_says(cluster)
    eventually(Search(cluster, earlier).look, within=FOUND_SECONDS, what="earlier lines found")
    return earlier


@when("a container on every node writes these lines", target_fixture="said")
def long_lines(cluster: Cluster, speak: Speak, datatable: Any) -> Said:
    """Of so many bytes of these characters."""
    wanted = rows(datatable, "bytes", "characters")

    def texts(node: str, mark: str) -> list[str]:
        return [
            line_of(f"{mark} {node} {n} ", int(row["bytes"]), row["characters"])
            for n, row in enumerate(wanted)
        ]

    return speaking.own_say(cluster, speak({}).speakers, texts)


@when(
    parsers.parse("a container on every node writes {count:d} lines and is killed at once"),
    target_fixture="said",
)
def last_words(cluster: Cluster, speak: Speak, count: int) -> Said:
    """SIGKILL, by its node, right after the last line."""
    return speaking.own_say(
        cluster, speak({}).speakers, speaking.numbered(count), then="docker kill {0.id}"
    )


@when(
    parsers.parse("a service writes {count:d} lines on every node and is removed at once"),
    target_fixture="said",
)
def removed(cluster: Cluster, speak: Speak, count: int) -> Said:
    """The engines remove its containers, and with them the files of their logs."""
    own = speak({})
    said = speaking.own_say(cluster, own.speakers, speaking.numbered(count))
    own.remove()
    eventually(own.gone, within=REMOVED_SECONDS, what="the engines have removed its containers")
    return said


@when(
    parsers.parse(
        "a container on every node writes {count:d} lines over log files of {size}, {files:d} kept"
    ),
    target_fixture="said",
)
def rotated(cluster: Cluster, speak: Speak, count: int, size: str, files: int) -> Said:
    """Slower than a collector looks, so that no file goes before it was seen."""
    own = speak({"max-size": size, "max-file": str(files)})
    texts = speaking.numbered(count, 400)
    return speaking.own_say(cluster, own.speakers, texts, at_a_time=12, pause=0.1)


@when("the collector of one node is killed", target_fixture="away")
def collector_killed(cluster: Cluster, chaos: Chaos) -> Away:
    """SIGKILL; Swarm starts another after its restart delay."""
    return _killed(cluster, chaos, central.collector(cluster))


@when("Loki is killed", target_fixture="away")
def loki_killed(cluster: Cluster, chaos: Chaos) -> Away:
    """SIGKILL; what it had taken must be on its disk."""
    return _killed(cluster, chaos, cluster.snapshot().service_called(loki.SERVICE).name)


def _killed(cluster: Cluster, chaos: Chaos, service: str) -> Away:
    (node,) = chaos.begin(Kill(service)).plan.touches
    return Away(service, cluster.node(node))


@when("every container of that node writes a line while it is away", target_fixture="said")
def node_writes(cluster: Cluster, away: Away, measure: Any) -> Said:
    """That it stayed away for so long is looked at."""
    return _while_away(cluster, away, [away.node.name], measure)


@when("every container writes a line while it is away", target_fixture="said")
def all_write_meanwhile(cluster: Cluster, away: Away, measure: Any) -> Said:
    """That it stayed away for so long is looked at."""
    return _while_away(cluster, away, list(cluster.nodes), measure)


def _while_away(cluster: Cluster, away: Away, nodes: list[str], measure: Any) -> Said:
    said = speaking.every_container_says(cluster, nodes)
    if central.running(away.node, away.service):
        measure.inconclusive(
            "log lines found centrally", f"{away.service} was back too early", cause="fault"
        )
    return said


@then(
    parsers.parse(
        "every line is found centrally within {seconds:g} seconds, once, under its own service, "
        "node, container and stream, stamped within {off:g} second of its writing"
    )
)
def found(cluster: Cluster, said: Said, seconds: float, off: float, run: Any, measure: Any) -> None:
    """Counted from the last line."""
    search = Search(cluster, said)
    took = search.within(seconds)
    seen, n = search.findings, len(said.lines)
    judged = [partial(measure.duration, "log lines found centrally", took, limit=seconds, n=n)]
    if seen.found:
        of = partial(measure.violations, checked=seen.found)
        judged += [
            partial(of, "log lines under their own labels", seen.misplaced),
            partial(of, "log lines kept once", seen.repeated),
            partial(
                measure, "log lines' time stamps off", seen.off, limit=off, unit="s", n=seen.found
            ),
        ]
    closed = [each for each in said.unsaid if each.endswith(speaking.NO_PIPE)]
    if closed:
        run.notes.append(f"Not tried, for their output is no pipe: {', '.join(closed)}.")
    if failed := [each for each in said.unsaid if each not in closed]:
        reason = f"could not be written to: {'; '.join(failed)}"
        judged.append(partial(measure.inconclusive, "containers with logs", reason))
    measure.each(judged)


@then("Loki's labels name every node and every service that wrote")
def labelled(cluster: Cluster, said: Said, measure: Any) -> None:
    """The sets, so that a forgotten one is seen."""
    problems, checked = central.label_problems(cluster, said)
    measure.violations("nodes and services with logs", problems, checked=checked)


@then("the earlier lines are still found")
def still_there(cluster: Cluster, earlier: Said, measure: Any) -> None:
    """Of what Loki had taken nothing went with it."""
    search = Search(cluster, earlier)
    search.look()
    lost = [line.text for line in search.findings.missing]
    measure.violations("log lines kept over Loki's death", lost, checked=len(earlier.lines))
