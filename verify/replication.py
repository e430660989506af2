"""PostgreSQL streaming replication, asked of both ends and proven with a token.

One end's word is not enough: a standby is "in recovery" also with a dead receiver, and
`pg_isready` says nothing about replication at all.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import NeverTrue, Pending, eventually

POSTGRES_PORT = 5432
_STATEMENT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Server:
    """Where one PostgreSQL server runs: its full service name and the database to use."""

    service: str
    database: str = "gibd"
    user: str = "postgres"


@dataclass(frozen=True, slots=True)
class Sender:
    """A row of the primary's pg_stat_replication."""

    application_name: str
    client_address: str
    state: str
    sync_state: str
    bytes_behind: int | None


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the standby says of itself; `status` is empty without a WAL receiver."""

    in_recovery: bool
    status: str
    sender_host: str
    system_identifier: str


@contextmanager
def connected(cluster: Cluster, server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Connect to the server's running task with the password that its own secret holds.

    Raises `Unreachable` when it does not accept the connection.
    """
    password = _password(cluster, server.service)
    with cluster.reach(server.service, POSTGRES_PORT, socket_name=f".s.PGSQL.{POSTGRES_PORT}") as s:
        try:
            connection = psycopg.connect(
                host=str(s.parent),
                port=POSTGRES_PORT,
                dbname=server.database,
                user=server.user,
                password=password,
                connect_timeout=5,
                autocommit=True,
                options=f"-c statement_timeout={_STATEMENT_SECONDS}s",
            )
        except psycopg.OperationalError as error:
            raise Unreachable(
                " ".join(str(error).split()), where=f"service {server.service}"
            ) from error
        with connection:
            yield connection


def senders(primary: psycopg.Connection[Any]) -> list[Sender]:
    """Read whom the primary streams to."""
    rows = primary.execute(
        "select application_name, coalesce(host(client_addr), ''), state, sync_state,"
        " pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint from pg_stat_replication"
    ).fetchall()
    return [Sender(*row) for row in rows]


def receiver(standby: psycopg.Connection[Any]) -> Receiver:
    """Read what the standby receives, and from whom."""
    recovery, identifier = _one(
        standby,
        "select pg_is_in_recovery(), system_identifier::text from pg_control_system()",
    )
    row = standby.execute(
        "select status, coalesce(sender_host, '') from pg_stat_wal_receiver"
    ).fetchone()
    status, host = row or ("", "")
    return Receiver(recovery, status or "", host, identifier)


def streaming_problems(
    senders_seen: list[Sender],
    standby: Receiver,
    *,
    primary_identifier: str,
    replica: str,
    replica_addresses: set[str],
) -> list[str]:
    """Say why the primary does not stream to this very replica; empty when it does."""
    problems = []
    named = [s for s in senders_seen if s.application_name == replica]
    if not named:
        others = ", ".join(s.application_name for s in senders_seen) or "nobody"
        problems.append(f"the primary streams to {others}, not to {replica}")
    for sender in named:
        if sender.state != "streaming":
            problems.append(f"the primary's sender is in state {sender.state}")
        if sender.client_address not in replica_addresses:
            problems.append(
                f"{replica} connects from {sender.client_address or 'nowhere'}, which is not an "
                f"address of the replica's task ({', '.join(sorted(replica_addresses))})"
            )
    if not standby.in_recovery:
        problems.append("the replica is not in recovery: it is a primary of its own")
    if standby.status != "streaming":
        problems.append(f"the replica's receiver is {standby.status or 'absent'}")
    if standby.system_identifier != primary_identifier:
        problems.append("the replica is a copy of another database system")
    return problems


def check_streaming(cluster: Cluster, primary: Server, standby: Server, name: str) -> list[str]:
    """Ask both ends now; returns the problems. `name` is the replica's application_name."""
    try:
        with connected(cluster, primary) as source:
            seen = senders(source)
            (identifier,) = _one(source, "select system_identifier::text from pg_control_system()")
        with connected(cluster, standby) as copy:
            received = receiver(copy)
    except CutoverError as error:
        return [str(error)]
    tasks = [t for t in cluster.snapshot().tasks_of(standby.service) if t.running]
    return streaming_problems(
        seen,
        received,
        primary_identifier=identifier,
        replica=name,
        replica_addresses={address for task in tasks for address in task.addresses.values()},
    )


@dataclass(frozen=True, slots=True)
class TokenLag:
    """How long committed tokens took to be readable on the replica, in seconds.

    `worst` is an upper bound of each delay (commit acknowledged → first successful read), so its
    true value lies up to `error` below it: the poll in which it was first seen.
    """

    worst: float
    error: float
    n: int
    missing: int


def token_lag(
    cluster: Cluster, primary: Server, standby: Server, *, tokens: int, within: float
) -> TokenLag:
    """Write `tokens` rows one by one; wait up to `within` seconds for each on the replica."""
    table = sql.Identifier(f"cutover_token_{secrets.token_hex(4)}")
    worst, error, missing = 0.0, 0.0, 0
    with connected(cluster, primary) as source, connected(cluster, standby) as copy:
        source.execute(sql.SQL("create table {} (token text primary key)").format(table))
        try:
            for _ in range(tokens):
                token = secrets.token_hex(16)
                source.execute(sql.SQL("insert into {} values (%s)").format(table), [token])
                committed = time.monotonic()
                delay, gap = _time_until_read(copy, table, token, committed, within)
                if delay is None:
                    missing += 1
                elif delay > worst:
                    worst, error = delay, gap
        finally:
            source.execute(sql.SQL("drop table {}").format(table))
    return TokenLag(worst, error, tokens, missing)


def refuses_writes(cluster: Cluster, standby: Server) -> str:
    """Try to write on the replica; returns the SQLSTATE of the refusal, empty if it was accepted.

    25006 is read_only_sql_transaction (PostgreSQL manual, appendix A).
    """
    with connected(cluster, standby) as copy:
        try:
            copy.execute("create table cutover_must_not_exist (x int)")
        except psycopg.Error as error:
            return error.sqlstate or "unknown"
        copy.execute("drop table cutover_must_not_exist")
    return ""


def _time_until_read(
    copy: psycopg.Connection[Any],
    table: sql.Identifier,
    token: str,
    committed: float,
    within: float,
) -> tuple[float | None, float]:
    asked = committed

    def read() -> tuple[float, float] | Pending:
        nonlocal asked
        previous, asked = asked, time.monotonic()
        try:
            row = copy.execute(
                sql.SQL("select 1 from {} where token = %s").format(table), [token]
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            row = None
        if row is None:
            return Pending("the token is not on the replica")
        now = time.monotonic()
        return now - committed, now - previous

    try:
        return eventually(read, within=within, every=0.01, what="token on the replica")
    except NeverTrue:
        return None, 0.0


def _one(connection: psycopg.Connection[Any], query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def _password(cluster: Cluster, service: str) -> str:
    """Read the superuser's password where the service itself does: it is kept nowhere else."""
    return cluster.in_task(service, ["cat", "/run/secrets/postgres_password"]).strip()
