"""Has a container of an application's node ask the queries, and reads what it saw."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot, alive_tasks
from fixtures.errors import CutoverError
from load.agents import query_agent
from load.queries import Ask, Queries, draw, named
from load.query_findings import Answer, Asked
from load.query_seed import Connect, Seed, seeded

_AGENT: Final = Path(query_agent.__file__)
_PORT: Final = 5432


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL server: its full service name, and how an application reaches it as `host`.

    `connect` opens a connection of the harness's own, in autocommit.
    """

    service: str
    host: str
    dbname: str
    user: str
    connect: Connect
    password: str = field(repr=False)

    def login(self) -> dict[str, Any]:
        """Return what `psycopg.connect` takes, inside the overlay."""
        names = ("host", "dbname", "user", "password")
        return {"port": _PORT, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, slots=True)
class Place:
    """A container that can ask, and its node."""

    node: str
    container: str


def ask_from_inside(
    cluster: Cluster,
    databases: Mapping[str, Database],
    queries: Queries,
    *,
    where: str,
    rate: float,
    seconds: float,
    seed: int,
) -> Asked:
    """Ask `rate` queries a second for `seconds`, over all servers, from a node of applications.

    `databases` has a primary and a replica; `where` is the file of the queries. Raises
    `CutoverError` when they cannot be asked at all.
    """
    snapshot = cluster.snapshot()
    place = place_to_ask(snapshot, [database.service for database in databases.values()])
    connect = {server: database.connect for server, database in databases.items()}
    with seeded(connect, queries, where) as made:
        asks = draw(queries, made.table, round(rate * seconds), made.drawn, seed)
        progress.say(f"  {len(asks)} queries from {place.node}, {rate:g} a second")
        printed = _run(
            cluster, place, orders(databases, queries, made, asks, rate), seconds + queries.timeout
        )
    answers, ending = parse(printed, asks, place.node)
    return Asked(
        asked_from=place.node,
        services={server: database.host for server, database in databases.items()},
        answers=answers,
        seconds=float(ending["seconds"]),
        timeout=queries.timeout,
        intended=round(rate * seconds),
        cpu=float(ending["cpu"]),
        plans=made.plans,
    )


def place_to_ask(snapshot: Snapshot, databases: Sequence[str]) -> Place:
    """Choose the netcheck container whose node runs none of `databases` and most else.

    That is where applications run: a query from the database's own node crosses no network. Raises
    `CutoverError` when there is no such container anywhere.
    """
    service = snapshot.service_called("netcheck").name
    found = alive_tasks(snapshot.tasks_of(service), snapshot.nodes)
    if not found:
        raise CutoverError(
            "no task runs",
            where=f"service {service}",
            remedy="Deploy the netcheck stack: queries are asked from one of its containers.",
        )

    def fitness(node: str) -> tuple[bool, int, str]:
        running = [task.service for task in snapshot.running_on(node)]
        return bool(set(databases) & set(running)), -len(running), node

    node, task = min(
        ((snapshot.hostname_of(task.node_id), task) for task in found),
        key=lambda pair: fitness(pair[0]),
    )
    return Place(node, task.container_id)


def orders(
    databases: Mapping[str, Database],
    queries: Queries,
    seed: Seed,
    asks: Sequence[Ask],
    rate: float,
) -> dict[str, Any]:
    """Return what the agent is told; `load/agents/query_agent.py` says what each part means."""
    return {
        "servers": {server: database.login() for server, database in databases.items()},
        "connections": queries.connections,
        "statements": {
            query.name: {"sql": named(query.sql, seed.table), "rows": query.rows}
            for query in queries.queries
        },
        "asks": [list(asdict(ask).values()) for ask in asks],
        "rate": rate,
        "timeout": queries.timeout,
    }


def parse(printed: str, asks: Sequence[Ask], node: str) -> tuple[list[Answer], Mapping[str, float]]:
    """Read what the agent printed: the answers and its ending (cpu, seconds).

    Raises `CutoverError` when it did not come to its end, or says why it could not ask.
    """
    try:
        *lines, ending = [json.loads(line) for line in printed.splitlines()]
        if "failure" in ending:
            raise CutoverError(
                ending["failure"],
                where=f"netcheck container on {node}",
                remedy="Its image needs python3 and psycopg 3.",
            )
        answers = [
            Answer(asks[number].server, asks[number].query, due, started, ended, error)
            for number, due, started, ended, error in lines
        ]
        return answers, {"cpu": ending["cpu"], "seconds": ending["seconds"]}
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise CutoverError(
            f"printed no result: {printed[-200:]!r}", where=f"query agent on {node}"
        ) from error


def _run(cluster: Cluster, place: Place, told: Mapping[str, Any], seconds: float) -> str:
    """Send the agent and its orders on standard input: a password stands in no command line."""
    program = _AGENT.read_bytes()
    start = (
        f"import sys; exec(compile(sys.stdin.buffer.read({len(program)}), 'query_agent', 'exec'))"
    )
    done = cluster.node(place.node).run(
        shlex.join(["docker", "exec", "-i", place.container, "python3", "-c", start]),
        stdin=program + json.dumps(told).encode() + b"\n",
        stdin_stays_open=True,
        timeout=seconds + 2 * query_agent.MARGIN_SECONDS,
        check=False,
    )
    if done.rc != 0 and not done.stdout:
        raise CutoverError(
            f"ended with {done.rc}: {' '.join(done.stderr.split())[-300:]}",
            where=f"query agent on {place.node}",
        )
    return done.stdout
