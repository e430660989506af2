"""Steps about writes that were acknowledged, and must still be there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.runbook import ACTS
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue
from load.query_run import place_to_ask
from load.writes import findings
from load.writes.findings import Writers
from load.writes.run import WriteRun
from load.writes.stores import PostgresStore, RedisStore, Store
from signoff.write_plots import Mark, attach_writes, picture_name
from verify.redis_server import (
    REDIS_PORT,
    redis_connected,
    redis_password,
    save_snapshot,
)
from verify.replication import POSTGRES_PORT, connected, read_password, server_of

GOOD_FIRST = 50
STEADY_SECONDS = 30.0
PGBOUNCER_PORT = 6432
Start = Callable[[Store, float], Writers]


@pytest.fixture
def start_writers(
    cluster: Cluster, chaos: Chaos, run: Any, measure: Any, tmp_path: Path
) -> Iterator[Start]:
    """Yield what starts writers; in the end they stop, and their history is attached."""
    with ExitStack() as stack:
        started: list[Writers] = []

        def start(store: Store, rate: float) -> Writers:
            store.make()
            stack.callback(store.drop)
            place = place_to_ask(cluster.snapshot(), store.servers)
            writing = WriteRun(
                cluster.node(place.node).connection,
                place.container,
                store.orders(),
                tmp_path / f"history-{len(started)}.jsonl",
                rate=rate,
            )
            writers = Writers(stack.enter_context(writing), store)
            started.append(writers)
            measure.evidence.append(picture_name(measure.scenario, len(started)))
            try:
                writing.wait_until_acknowledged(n=GOOD_FIRST, within=STEADY_SECONDS)
            except NeverTrue as error:
                measure.inconclusive("acknowledged writes first", str(error))
            return writers

        yield start
        for number, writers in enumerate(started, start=1):
            writers.run.stop()
            with suppress(CutoverError):  # it is judged by now, or will not be
                writers.examine()
            attach_writes(
                measure.scenario,
                run.folder,
                _marks(writers),
                chaos.windows(),
                writers.checked.table() if writers.checked else [],
                writers.run.file,
                number,
            )


@given(
    parsers.parse("writers commit {rate:g} rows a second to {first} or {second}"),
    target_fixture="writers",
)
@when(
    parsers.parse("writers commit {rate:g} rows a second to {first} or {second}"),
    target_fixture="writers",
)
def commit(cluster: Cluster, start_writers: Start, rate: float, first: str, second: str) -> Writers:
    """Each row its own transaction, at whichever of two PostgreSQL servers is writable."""
    return start_writers(_postgres(cluster, (first, second)), rate)


@given(
    parsers.parse("writers commit {rate:g} rows a second through {proxy} to {first} or {second}"),
    target_fixture="writers",
)
def commit_through(
    cluster: Cluster, start_writers: Start, rate: float, proxy: str, first: str, second: str
) -> Writers:
    """They know a PgBouncer only; the rows are looked up on the servers themselves."""
    return start_writers(_postgres(cluster, (first, second), proxy=proxy), rate)


@given(
    parsers.parse("writers set {rate:g} keys a second in {first} or {second}"),
    target_fixture="writers",
)
def set_keys(
    cluster: Cluster, start_writers: Start, rate: float, first: str, second: str
) -> Writers:
    """At whichever of two Redis servers calls itself master."""
    return start_writers(_redis(cluster, (first, second)), rate)


@when(parsers.parse("{redis} saves a snapshot"))
def snapshot_saved(cluster: Cluster, writers: Writers, redis: str) -> None:
    """As its own rules have it do: what was written before is on disk."""
    service = cluster.snapshot().service_called(redis).name
    writers.saved_at = time.monotonic()
    save_snapshot(cluster, service, within=STEADY_SECONDS)


@then(parsers.parse("writes are acknowledged again within {seconds:g} seconds"))
def acknowledged_again(writers: Writers, chaos: Chaos, seconds: float, measure: Any) -> None:
    """For good, from the newest fault on, or from when that was put right."""
    # An operator's acts are part of the recovery: it does not begin with the last of them.
    broken = [fault for fault in chaos.faults if not isinstance(fault.fault, ACTS)] or chaos.faults
    since = writers.newest([(fault.instant, fault.healed) for fault in broken])
    if since is None:
        measure.inconclusive("writes are acknowledged again", "they never ceased")
        return
    took = writers.acknowledged_again(since, within=seconds)
    _believe(writers, measure, "writes are acknowledged again", writers.outage(_faults(chaos)))
    if silence := writers.silence():
        name = "longest time without an acknowledged write"
        measure.note(name, silence.seconds, unit="s", error=silence.error)
    measure.duration("writes are acknowledged again", took, limit=seconds, n=took.n)


@then(parsers.parse("at most {count:d} acknowledged writes are lost"))
def few_lost(writers: Writers, chaos: Chaos, count: int, measure: Any) -> None:
    """Looked up on the server that accepts writes now; the writers end here."""
    checked = writers.examine()
    outage = writers.outage(_faults(chaos))
    lost = len(checked.lost)
    if lost <= count:
        _believe(writers, measure, "acknowledged writes that are lost", outage)
    measure.note("writes of unknown end that are there", len(checked.unknown_present), unit="")
    if outage is not None:
        loss = writers.loss(outage)
        if not loss.reason:
            measure.note("age of the oldest lost write", loss.seconds, unit="s", error=loss.error)
    impossible = checked.impossible()
    measure.each(
        [
            partial(
                measure,
                "acknowledged writes that are lost",
                lost,
                limit=count,
                unit="writes",
                n=checked.acknowledged,
                reason=findings.oldest_lost(checked.lost),
            ),
            partial(
                measure.violations,
                "writes that must not be there",
                impossible,
                checked=len(writers.run.writes()),
            ),
        ]
    )


@then(parsers.parse("acknowledged writes of at most {seconds:g} seconds are lost"))
def recent_lost(writers: Writers, chaos: Chaos, seconds: float, measure: Any) -> None:
    """How far back they reach from the fault: the recovery point; the writers end here."""
    checked = writers.examine()
    outage = writers.outage(_faults(chaos))
    if outage is None:
        measure.inconclusive("acknowledged writes lost, in time", "nothing ever ceased")
        return
    _believe(writers, measure, "acknowledged writes lost, in time", outage)
    judged = []
    if kept := writers.saved():
        gone = findings.oldest_lost([write for write in checked.lost if write.key in kept])
        criterion = "writes in a saved snapshot are kept"
        lost = [gone] if gone else []
        judged.append(partial(measure.violations, criterion, lost, checked=len(kept)))
    loss = writers.loss(outage)
    measure.note(
        "acknowledged writes that are lost", len(checked.lost), unit="", n=checked.acknowledged
    )
    criterion = "acknowledged writes lost, in time"
    if loss.reason:
        judged.append(partial(measure.inconclusive, criterion, loss.reason))
    else:
        of = partial(measure.duration, criterion, loss)
        judged.append(partial(of, limit=seconds, n=checked.acknowledged))
    measure.each(judged)


@then(parsers.parse("{copy} has the same writes as {original} within {seconds:g} seconds"))
def same_writes(
    cluster: Cluster, writers: Writers, copy: str, original: str, seconds: float, measure: Any
) -> None:
    """Key by key; the writers end here."""
    checked = writers.examine()
    snapshot = cluster.snapshot()
    took = writers.same_on(
        snapshot.service_called(copy).name,
        snapshot.service_called(original).name,
        within=seconds,
    )
    measure.duration(
        f"{copy} has the same writes as {original}", took, limit=seconds, n=checked.acknowledged
    )


def _faults(chaos: Chaos) -> list[Instant]:
    return [fault.instant for fault in chaos.faults]


def _believe(writers: Writers, measure: Any, criterion: str, outage: Instant | None) -> None:
    """End as inconclusive when the writers spoiled it themselves."""
    if spoiled := writers.run.objections(outage.at if outage else None):
        measure.inconclusive(criterion, "; ".join(spoiled))


def _postgres(cluster: Cluster, names: Sequence[str], *, proxy: str = "") -> PostgresStore:
    snapshot = cluster.snapshot()
    services = [snapshot.service_called(name) for name in names]
    servers = [server_of(snapshot, name) for name in names]
    login = {
        "port": PGBOUNCER_PORT if proxy else POSTGRES_PORT,
        "dbname": servers[0].database,
        "user": servers[0].user,
        "password": read_password(cluster, servers[0]),
    }
    hosts = [proxy] if proxy else [service.short_name for service in services]
    connect = {server.service: partial(connected, cluster, server) for server in servers}
    return PostgresStore(connect, hosts, login)


def _redis(cluster: Cluster, names: Sequence[str]) -> RedisStore:
    services = [cluster.snapshot().service_called(name) for name in names]
    login = {"port": REDIS_PORT, "password": redis_password(cluster, services[0].name)}
    connect = {
        service.name: partial(redis_connected, cluster, service.name) for service in services
    }
    return RedisStore(connect, [service.short_name for service in services], login)


def _marks(writers: Writers) -> list[Mark]:
    lost = {write.key for write in writers.checked.lost} if writers.checked else set()
    kinds = {"ack": "acknowledged", "fail": "refused", "unknown": "unknown"}
    return [
        Mark(
            write.ended,
            write.ended - write.due,
            "lost" if write.key in lost else kinds[write.became],
        )
        for write in writers.run.writes()
        if write.ended is not None
    ]
