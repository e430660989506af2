"""PostgreSQL streaming replication, asked of both ends and proven with a token.

One end's word is not enough: a standby is "in recovery" also with a dead receiver, and
`pg_isready` says nothing about replication at all.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, Unreachable
from fixtures.stacks.catalogue import DATABASES
from fixtures.waiting import Pending, Waited, how_long

POSTGRES_PORT = 5432
_STATEMENT_SECONDS = 10
_DATABASE = "gibd"
_TOKENS = "cutover_token_"
# No scenario needs its tokens for so long.
_LEFT_SECONDS = 1800.0
# read_only_sql_transaction (PostgreSQL manual, appendix A).
READ_ONLY = "25006"


@dataclass(frozen=True, slots=True)
class Server:
    """Where one PostgreSQL server runs: its full service name and the database to use.

    `password_of` is the service whose secret holds the user's password.
    """

    service: str
    password_of: str
    database: str = _DATABASE
    user: str = "postgres"
    port: int = POSTGRES_PORT


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

    Raises `Unreachable` when it does not accept the connection, or drops it on the way.
    """
    password = read_password(cluster, server)
    with cluster.reach(server.service, server.port, socket_name=f".s.PGSQL.{server.port}") as s:
        try:
            connection = psycopg.connect(
                host=str(s.parent),
                port=server.port,
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
        try:
            with connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Unreachable(
                " ".join(str(error).split()), where=f"service {server.service}"
            ) from error


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


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and the replica that must follow it; `name` is its application_name."""

    primary: Server
    replica: Server
    name: str

    def reversed(self) -> Pair:
        """The same two servers with their roles swapped."""
        # A server's application_name is its name in the stack file.
        return Pair(self.replica, self.primary, self.primary.service.partition("_")[2])

    def problems(self, cluster: Cluster) -> list[str]:
        """Ask both ends now whether the primary streams to this replica."""
        try:
            with connected(cluster, self.primary) as source:
                seen = senders(source)
                (identifier,) = _one(
                    source, "select system_identifier::text from pg_control_system()"
                )
            with connected(cluster, self.replica) as copy:
                received = receiver(copy)
        except CutoverError as error:
            return [str(error)]
        tasks = [t for t in cluster.snapshot().tasks_of(self.replica.service) if t.running]
        return streaming_problems(
            seen,
            received,
            primary_identifier=identifier,
            replica=self.name,
            replica_addresses={address for task in tasks for address in task.addresses.values()},
        )

    def problems_within(self, cluster: Cluster, seconds: float) -> list[str]:
        """Ask again and again for up to `seconds`; return the last look's problems."""
        last: list[str] = []

        def look() -> bool | Pending:
            last[:] = self.problems(cluster)
            return Pending("; ".join(last)) if last else True

        how_long(look, within=seconds, every=1.0, what=f"{self.name} streams")
        return last


def server_of(snapshot: Snapshot, name: str) -> Server:
    """Find a server by its name in the stack files. Raises `CutoverError`.

    It is asked with its own secret: the other of its pair may be switched off.
    """
    full = snapshot.service_called(name).name
    return Server(full, full, DATABASES.get(name, _DATABASE))


def pair_of(cluster: Cluster, *, primary: str, replica: str) -> Pair:
    """Find both servers by their names in the stack files. Raises `CutoverError`."""
    snapshot = cluster.snapshot()
    return Pair(server_of(snapshot, primary), server_of(snapshot, replica), replica)


def streams_from_new_start(cluster: Cluster, pair: Pair, start_before: datetime) -> bool | Pending:
    """Return True when the pair streams and the replica was started after `start_before`.

    `start_before` is a moment on the replica's own clock, as `started_at` gives it. Right after a
    kill the primary still shows the dead connection as streaming.
    """
    try:
        if started_at(cluster, pair.replica) <= start_before:
            return Pending(f"{pair.name} has not been started anew")
    except CutoverError as error:
        return Pending(str(error))
    problems = pair.problems(cluster)
    return Pending("; ".join(problems)) if problems else True


def started_at(cluster: Cluster, server: Server) -> datetime:
    """Return when the server was started, on its own clock. Raises `Unreachable`."""
    with connected(cluster, server) as connection:
        (moment,) = _one(connection, "select pg_postmaster_start_time()")
    assert isinstance(moment, datetime)
    return moment


def sync_states(cluster: Cluster, pair: Pair) -> list[str]:
    """Return pg_stat_replication.sync_state of every sender to this replica."""
    with connected(cluster, pair.primary) as source:
        return [s.sync_state for s in senders(source) if s.application_name == pair.name]


@dataclass(frozen=True, slots=True)
class Written:
    """Tokens committed on the primary."""

    table: str
    count: int

    def all_on_replica(self, cluster: Cluster, pair: Pair) -> bool | Pending:
        """Return True when the replica has every one of them."""
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(self.table))
        try:
            with connected(cluster, pair.replica) as copy:
                row = copy.execute(query).fetchone()
        except (CutoverError, psycopg.errors.UndefinedTable) as error:
            return Pending(str(error))
        found = row[0] if row else 0
        return found == self.count or Pending(f"{found} of {self.count} are on the replica")


def write_tokens(cluster: Cluster, pair: Pair, count: int) -> Written:
    """Commit `count` tokens, each in its own transaction, into a new table on the primary."""
    name = _new_table()
    table = sql.Identifier(name)
    with connected(cluster, pair.primary) as source:
        _remove_left(source)
        source.execute(sql.SQL("create table {} (token text primary key)").format(table))
        for _ in range(count):
            source.execute(
                sql.SQL("insert into {} values (%s)").format(table), [secrets.token_hex(16)]
            )
    return Written(name, count)


def drop_tokens(cluster: Cluster, pair: Pair, written: Written) -> None:
    """Remove the table that `write_tokens` made; safe to repeat.

    When the primary cannot be reached, a later run's first tokens have it removed.
    """
    drop = sql.SQL("drop table if exists {}").format(sql.Identifier(written.table))
    with contextlib.suppress(CutoverError), connected(cluster, pair.primary) as source:
        source.execute(drop)


def token_lag(cluster: Cluster, pair: Pair, *, tokens: int, within: float) -> Waited:
    """Write `tokens` rows one by one and time each until the replica shows it.

    Returns the slowest, from the acknowledged commit to the first successful read, in seconds. A
    token that does not arrive `within` seconds ends it, with the reason.
    """
    worst = Waited(0.0, 0.0)
    table = sql.Identifier(_new_table())
    with connected(cluster, pair.primary) as source, connected(cluster, pair.replica) as copy:
        _remove_left(source)
        source.execute(sql.SQL("create table {} (token text primary key)").format(table))
        try:
            for _ in range(tokens):
                token = secrets.token_hex(16)
                source.execute(sql.SQL("insert into {} values (%s)").format(table), [token])
                took = how_long(
                    partial(_is_readable, copy, table, token),
                    within=within,
                    every=0.01,
                    what="token on the replica",
                )
                worst = max(worst, took, key=lambda waited: waited.seconds)
                if took.reason:
                    break
        finally:
            source.execute(sql.SQL("drop table {}").format(table))
    return worst


def _new_table() -> str:
    # With the time, for the run that finds it left.
    return f"{_TOKENS}{int(time.time()):08x}_{secrets.token_hex(4)}"


def _remove_left(primary: psycopg.Connection[Any]) -> None:
    """Drop the token tables of killed harnesses; those of one that may still run stay."""
    tables = primary.execute(
        "select relname from pg_class where relkind = 'r' and relname like 'cutover!_token!_%'"
        " escape '!' and pg_table_is_visible(oid)"
    ).fetchall()
    for (name,) in tables:
        found = re.fullmatch(rf"{_TOKENS}([0-9a-f]{{8}})_[0-9a-f]{{8}}", name)
        if found and time.time() - int(found[1], 16) > _LEFT_SECONDS:
            primary.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(name)))


def refuses_writes(cluster: Cluster, pair: Pair) -> str:
    """Try to write on the replica; return the refusal's SQLSTATE, empty if it was accepted."""
    with connected(cluster, pair.replica) as copy:
        try:
            copy.execute("create table cutover_must_not_exist (x int)")
        except psycopg.Error as error:
            return error.sqlstate or "unknown"
        copy.execute("drop table cutover_must_not_exist")
    return ""


def _is_readable(
    copy: psycopg.Connection[Any], table: sql.Identifier, token: str
) -> bool | Pending:
    query = sql.SQL("select 1 from {} where token = %s").format(table)
    try:
        row = copy.execute(query, [token]).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    return row is not None or Pending("the token is not on the replica")


def _one(connection: psycopg.Connection[Any], query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def read_password(cluster: Cluster, server: Server) -> str:
    """Read the superuser's password where the service itself does: it is kept nowhere else."""
    return cluster.in_task(server.password_of, ["cat", "/run/secrets/postgres_password"]).strip()
