"""What queries need in the database before they can be asked, made and taken away again."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from fixtures.errors import CutoverError
from fixtures.waiting import Pending, how_long
from load.queries import PRIMARY, REPLICA, Drawn, Queries, Value, named, values

_SEED_SECONDS: Final = 120
_REPLICA_SECONDS: Final = 60.0
_MOST_DRAWN: Final = 1000

_Connection = psycopg.Connection[Any]
#: Opens a connection in autocommit.
Connect = Callable[[], AbstractContextManager[_Connection]]


@dataclass(frozen=True, slots=True)
class Seed:
    """The scenario's own table while it is there.

    `drawn` is what the parameters with `from` gave, `plans` what EXPLAIN says of each query at each
    of its servers.
    """

    table: str
    drawn: Drawn
    plans: dict[tuple[str, str], str]


@contextmanager
def seeded(connect: Mapping[str, Connect], queries: Queries, where: str) -> Iterator[Seed]:
    """Make the table on the primary, wait until the replica has it, and drop it in the end.

    `connect` has an entry for the primary and one for the replica; `where` is the file of the
    queries, for errors. Raises `CutoverError` for a query that the database refuses, before any is
    asked, and for a replica that does not follow.
    """
    table = f"cutover_query_{secrets.token_hex(4)}"
    with ExitStack() as undo:
        # Open to the end, for its lock: that goes with it, also when this process is killed.
        primary = undo.enter_context(connect[PRIMARY]())
        primary.execute(f"set statement_timeout = '{_SEED_SECONDS}s'")
        _first(primary, f"select pg_advisory_lock(hashtext('{table}'))")
        _remove_left(primary, queries, where)
        undo.callback(_on_primary, connect[PRIMARY], [f"drop table if exists {table}"])
        _make(primary, table, queries.rows)
        _before(primary, queries, table, where)
        # Registered last, so done first.
        undo.callback(_on_primary, connect[PRIMARY], [named(s, table) for s in queries.after])
        drawn = _draw(primary, queries, table, where)
        (written,) = _first(primary, "select pg_current_wal_lsn()::text")
        _replayed(connect[REPLICA], written)
        yield Seed(table, drawn, _plans(connect, queries, table, drawn, where))


def _remove_left(primary: _Connection, queries: Queries, where: str) -> None:
    """Take away what a harness that was killed left; one that still runs holds its table's lock."""
    found = primary.execute(
        "select relname from pg_class where relkind = 'r'"
        " and relname ~ '^cutover_query_[0-9a-f]{8}$'"
    ).fetchall()
    for (table,) in found:
        (free,) = _first(primary, f"select pg_try_advisory_lock(hashtext('{table}'))")
        if not free:
            continue
        for number, statement in enumerate(queries.after):
            with _refused(f"{where}: after.{number}"):
                primary.execute(named(statement, table).encode())
        primary.execute(f"drop table if exists {table}".encode())
        _first(primary, f"select pg_advisory_unlock(hashtext('{table}'))")


def _make(primary: _Connection, table: str, rows: int) -> None:
    for statement in (
        f"create table {table} (id bigint generated always as identity primary key,"
        " created_at timestamptz not null, payload text not null)",
        f"insert into {table} (created_at, payload)"  # noqa: S608 - a name and a number of ours
        " select timestamptz '2026-01-01 00:00+00' + n * interval '1 second',"
        f" repeat(md5(n::text), 6) from generate_series(1, {rows}) as n order by n",
        f"create index on {table} (created_at)",
        f"analyze {table}",
    ):
        primary.execute(statement.encode())


def _before(primary: _Connection, queries: Queries, table: str, where: str) -> None:
    with primary.transaction():
        for number, statement in enumerate(queries.before):
            with _refused(f"{where}: before.{number}"):
                primary.execute(named(statement, table).encode())


def _draw(primary: _Connection, queries: Queries, table: str, where: str) -> Drawn:
    drawn: dict[tuple[str, str], list[Value]] = {}
    for number, query in enumerate(queries.queries):
        for name, source in query.parameters.items():
            if source.drawn_from is None:
                continue
            field = f"{where}: queries.{number}.parameters.{name}.from"
            with _refused(field):
                cursor = primary.execute(named(source.drawn_from, table).encode())
                rows = cursor.fetchmany(_MOST_DRAWN)
            if not rows:
                raise CutoverError(
                    "gave no row", where=field, remedy="Without values the query cannot be asked."
                )
            drawn[query.name, name] = [_plain(row[0]) for row in rows]
    return drawn


def _plain(value: Any) -> Value:
    """Return what JSON can carry; the server reads text as the type that it needs."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _replayed(replica: Connect, written: str) -> None:
    """Wait until the replica shows what the primary had `written`."""

    def look() -> bool | Pending:
        with replica() as copy:
            (behind,) = _first(
                copy,
                f"select pg_wal_lsn_diff('{written}', pg_last_wal_replay_lsn())::bigint",
            )
        return behind <= 0 or Pending(f"{behind} bytes are missing")

    waited = how_long(look, within=_REPLICA_SECONDS, what="the replica has the queries' table")
    if waited.reason:
        raise CutoverError(
            waited.reason, where="replica", remedy="features/replication tells what is wrong."
        )


def _plans(
    connect: Mapping[str, Connect], queries: Queries, table: str, drawn: Drawn, where: str
) -> dict[tuple[str, str], str]:
    """Have each server plan each of its queries: none is asked that it would refuse."""
    plans: dict[tuple[str, str], str] = {}
    chance = random.Random(0)  # noqa: S311 - nothing secret
    for server in (PRIMARY, REPLICA):
        with connect[server]() as connection:
            for number, query in enumerate(queries.queries):
                if server not in query.servers:
                    continue
                explain = f"explain {named(query.sql, table)}".encode()
                with _refused(f"{where}: queries.{number}.sql, on the {server}"):
                    rows = connection.execute(
                        explain, values(queries, query.name, table, drawn, chance)
                    ).fetchall()
                plans[server, query.name] = "\n".join(str(row[0]) for row in rows)
    return plans


@contextmanager
def _refused(field: str) -> Iterator[None]:
    """Turn the database's refusal into an error about the file."""
    try:
        yield
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise CutoverError(
            f"PostgreSQL refuses it: {' '.join(str(error).split())}",
            where=field,
            remedy="Edit the file: it must ask what your services ask of their own tables.",
        ) from error


def _on_primary(connect: Connect, statements: list[str]) -> None:
    with connect() as primary:
        for statement in statements:
            primary.execute(statement.encode())


def _first(connection: _Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)
