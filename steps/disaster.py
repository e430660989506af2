"""Steps about losing the data node with its disk."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.faults.node import PowerOff
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.errors import Unreachable
from fixtures.waiting import Pending, Waited, how_long
from verify.backups import disaster, places
from verify.backups.disaster import Moved, Writer
from verify.backups.observed import Watched
from verify.backups.subjects import PostgresSubject


@dataclass
class Lost:
    """When the node was lost and the restore had ended (monotonic seconds), and its complaints."""

    at: float
    restored_at: float
    writer: Writer
    subject: PostgresSubject
    complaints: list[str]


@given(parsers.parse("a client writes {rate:g} rows a second there"), target_fixture="writer")
def client_writes(
    cluster: Cluster, watched: list[Watched], request: pytest.FixtureRequest, rate: float
) -> Writer:
    """Each a transaction of its own, until the node is lost."""
    (only,) = watched
    assert isinstance(only.subject, PostgresSubject)
    only.subject.mark()  # makes the table
    writer = Writer(cluster, only.subject.source, every=1 / rate)
    request.addfinalizer(writer.stop)
    writer.start()
    return writer


@when("the data node is lost with its disk", target_fixture="lost")
def lose_data_node(cluster: Cluster, chaos: Chaos, watched: list[Watched], writer: Writer) -> Lost:
    """Its plug is pulled; nothing of its disk is used by what follows."""
    (only,) = watched
    assert isinstance(only.subject, PostgresSubject)
    at = chaos.begin(PowerOff(places.data_node(cluster).name)).instant.at
    writer.stop()
    return Lost(at, at, writer, only.subject, [])


@when(
    parsers.parse(
        "the database is started empty on another node, without {replica}, "
        "and restored from the backup host"
    )
)
def restore_elsewhere(
    cluster: Cluster, chaos: Chaos, lost: Lost, request: pytest.FixtureRequest, replica: str
) -> None:
    """From the newest complete copy there."""
    home = places.data_node(cluster)
    source = lost.subject.source
    to = next(n for n in cluster.nodes.values() if n.has_power and n is not home)
    copy = cluster.led().service_called(replica).name
    moved = Moved(cluster, source, copy, home.name, to)
    request.addfinalizer(partial(put_back, chaos, moved))
    container = moved.start_empty()
    store = places.remote(cluster)
    dump = store.backups(lost.subject.kind, source.database)[-1]
    lost.complaints = disaster.restore_into(container, store, dump, source)
    lost.restored_at = time.monotonic()


def put_back(chaos: Chaos, moved: Moved) -> None:
    """Heal, then put the service back whatever became of that; raises what went wrong."""
    with ExitStack() as last_first:
        last_first.callback(moved.put_back)
        last_first.callback(chaos.heal)  # first: the service's own node has to be there


@then(parsers.parse("{application} writes to it again within {limit:g} seconds of the loss"))
def writes_again(
    cluster: Cluster, lost: Lost, application: str, limit: float, measure: Any
) -> None:
    """Through the application's own connection, by the database's name."""
    measure.violations("restore after the disaster", lost.complaints, checked=1)
    until_restored = lost.restored_at - lost.at
    took = how_long(
        lambda: disaster.application_writes(cluster, application),
        within=max(0.0, limit - until_restored),
        since=lost.restored_at,
        what=f"{application} writes again",
    )
    whole = Waited(until_restored + took.seconds, took.error, took.reason)
    measure.duration("recovery time after the disaster", whole, limit=limit)


@then(parsers.parse("no more than the last {seconds:g} seconds of what was acknowledged is lost"))
def bounded_loss(cluster: Cluster, lost: Lost, seconds: float, measure: Any) -> None:
    """Every acknowledged row is looked for, of a client that wrote until the loss."""
    criterion = "age of the first lost write"
    found: set[str] = set()

    def read() -> bool | Pending:
        found.update(disaster.tokens_in(cluster, lost.subject.source))
        return True

    how_long(read, within=30, what="the restored rows", retry_on=(Unreachable,))
    gone = disaster.loss(lost.writer.acknowledged, found, lost.at)
    measure.note("acknowledged writes lost", gone.lost, unit="writes", n=gone.acknowledged)
    silent = disaster.silence(lost.writer.acknowledged, lost.at)
    if silent > disaster.SILENT_SECONDS and gone.seconds <= seconds:
        why = lost.writer.ended_by or "the client was silent"
        measure.inconclusive(
            criterion, f"nothing was acknowledged in the last {silent:.1f} s before the loss: {why}"
        )
    measure(
        criterion,
        gone.seconds,
        limit=seconds,
        unit="s",
        n=gone.acknowledged if found else 0,
    )
