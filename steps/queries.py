"""Steps about how long PostgreSQL takes to answer an application."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest
from pytest_bdd import parsers, then, when

from fixtures.cluster.cluster import Cluster
from load import query_findings
from load.queries import PRIMARY, REPLICA, load_queries
from load.query_findings import Asked
from load.query_run import Database, ask_from_inside
from signoff.plots import Point
from signoff.query_plots import attach_queries, picture_name
from verify.replication import Pair, Server, connected, read_password


@when(
    parsers.parse(
        "an application asks the queries of {file} {rate:g} times a second for {seconds:g} seconds"
    ),
    target_fixture="asked",
)
def application_asks(
    cluster: Cluster,
    pair: Pair,
    pytestconfig: pytest.Config,
    run: Any,
    measure: Any,
    file: str,
    rate: float,
    seconds: float,
) -> Asked:
    """Open loop, from inside the overlay; `rate` is that of all queries at both servers."""
    asked = ask_from_inside(
        cluster,
        {PRIMARY: _database(cluster, pair.primary), REPLICA: _database(cluster, pair.replica)},
        load_queries(file),
        where=file,
        rate=rate,
        seconds=seconds,
        seed=pytestconfig.option.seed,
    )
    measure.evidence.append(picture_name(measure.scenario))
    attach_queries(
        measure.scenario,
        run.folder,
        _points(asked),
        query_findings.table(asked),
        query_findings.story(asked),
        [asdict(answer) for answer in asked.answers],
    )
    return asked


@then(
    parsers.parse(
        "{share:g} % of the answers of every query come within {limit:g} ms from the {servers}"
    )
)
def answered_in_time(asked: Asked, share: float, limit: float, servers: str, measure: Any) -> None:
    """Every query on its own at each server; one that failed was never answered."""
    if spoiled := query_findings.objections(asked):
        measure.inconclusive("query times", "; ".join(spoiled))
    times = query_findings.query_times(asked, servers.split(" and the "), share)
    for time in times:
        where = f"{time.query} on {asked.services[time.server]}"
        measure.note(f"p99 of {where}", time.p99, unit="ms", n=time.n)
    measure.each(
        partial(
            measure,
            f"query time of {time.query} on {asked.services[time.server]}",
            time.within.value,
            limit=limit,
            unit="ms",
            error=time.within.error,
            n=time.n,
            reason="; ".join(time.failures),
        )
        for time in times
    )


@then("no query fails")
def none_fails(asked: Asked, measure: Any) -> None:
    """Refused, too late, without a free connection, or with too few rows."""
    kinds = Counter(answer.error for answer in asked.answers if answer.error)
    measure(
        "queries that failed",
        sum(kinds.values()),
        limit=0,
        unit="queries",
        n=len(asked.answers),
        reason="; ".join(f"{count} x {kind}" for kind, count in kinds.most_common()),
    )


def _database(cluster: Cluster, server: Server) -> Database:
    return Database(
        service=server.service,
        host=cluster.snapshot().service_called(server.service).short_name,
        dbname=server.database,
        user=server.user,
        connect=partial(connected, cluster, server),
        password=read_password(cluster, server),
    )


def _points(asked: Asked) -> dict[str, dict[str, list[Point]]]:
    return {
        service: {
            query: [Point(a.due, a.ended - a.due, not a.error) for a in answers]
            for query, answers in asked.of(server).items()
        }
        for server, service in asked.services.items()
    }
