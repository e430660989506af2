"""Where keys are put and read back: which server, which table, and what is cleared away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from fixtures.errors import CutoverError, Unreachable
from load.writes.stores import PostgresStore, RedisStore


class Answer:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


class Postgres:
    """A server that knows the statements of the store."""

    def __init__(self, *, primary: bool, tables: tuple[str, ...] = (), writers: int = 0) -> None:
        self.primary, self.tables, self.writers = primary, list(tables), writers
        self.rows: list[tuple[int, int]] = []
        self.up, self.durable = True, False

    @contextmanager
    def connect(self) -> Iterator[Any]:
        if not self.up:
            raise Unreachable("no running task", where="service")
        yield self

    def execute(self, statement: str | sql.Composable) -> Answer:
        text = statement if isinstance(statement, str) else statement.as_string(None)
        word, *_ = text.split()
        name = text.split('"')[1] if '"' in text else ""
        if word == "create":
            assert self.durable
            self.tables.append(name)
        elif word == "drop":
            self.tables = [table for table in self.tables if table != name]
        elif text == "set synchronous_commit to local":
            self.durable = True
        elif "pg_is_in_recovery" in text:
            return Answer([(self.primary,)])
        elif "pg_stat_activity" in text:
            return Answer([(self.writers,)])
        elif "pg_class" in text:
            return Answer([(table,) for table in self.tables])
        elif name in self.tables:
            return Answer(list(self.rows))
        else:
            raise psycopg.errors.UndefinedTable(name)
        return Answer([])


def store(a: Postgres, b: Postgres) -> PostgresStore:
    connect: dict[str, Any] = {"s_a": a.connect, "s_b": b.connect}
    return PostgresStore(connect, ["a", "b"], {"port": 5432, "password": "s3cret"})


def test_the_table_is_made_where_writes_are_accepted_and_goes_again() -> None:
    standby, primary = Postgres(primary=False), Postgres(primary=True)
    made = store(standby, primary)
    made.make()
    assert (standby.tables, primary.tables) == ([], [made.target])
    assert made.orders()["target"] == made.target
    made.drop()
    assert primary.tables == []


def test_without_a_primary_nothing_can_be_written() -> None:
    one, other = Postgres(primary=False), Postgres(primary=True)
    other.up = False
    with pytest.raises(CutoverError, match="none accepts writes"):
        store(one, other).make()


def test_tables_of_killed_harnesses_go_and_other_tables_stay() -> None:
    left, others = "cutover_writes_0a1b2c3d", ("items", "cutover_writes_of_mine")
    primary = Postgres(primary=True, tables=(left, *others))
    made = store(primary, Postgres(primary=False))
    made.make()
    assert primary.tables == [*others, made.target]


def test_tables_into_which_somebody_writes_stay() -> None:
    primary = Postgres(primary=True, tables=("cutover_writes_0a1b2c3d",), writers=8)
    store(primary, Postgres(primary=False)).make()
    assert "cutover_writes_0a1b2c3d" in primary.tables


def test_keys_are_counted_and_a_server_without_the_table_has_none() -> None:
    primary, standby = Postgres(primary=True), Postgres(primary=False)
    made = store(primary, standby)
    made.make()
    primary.rows = [(1, 1), (2, 2)]
    assert made.found("s_a") == {1: 1, 2: 2}
    assert made.found("s_b") == {}
    assert [made.writable(server) for server in made.servers] == [True, False]


def test_a_server_that_is_away_keeps_its_table_for_now() -> None:
    primary = Postgres(primary=True)
    made = store(primary, Postgres(primary=False))
    made.make()
    primary.up = False
    made.drop()
    assert primary.tables == [made.target]


class Redis:
    def __init__(self, role: bytes) -> None:
        self.role = role
        self.hashes: dict[str, dict[bytes, bytes]] = {}

    def opener(self) -> AbstractContextManager[Any]:
        @contextmanager
        def opened() -> Iterator[Any]:
            yield self

        return opened()

    def execute_command(self, command: str) -> list[bytes]:
        assert command == "ROLE"
        return [self.role, b"0"]

    def hgetall(self, name: str) -> dict[bytes, bytes]:
        return self.hashes.get(name, {})

    def delete(self, name: str) -> None:
        self.hashes.pop(name, None)


def test_redis_keys_are_counted_on_each_server_and_deleted_on_masters() -> None:
    master, replica = Redis(b"master"), Redis(b"slave")
    made = RedisStore({"a": master.opener, "b": replica.opener}, ["a", "b"], {"port": 6379})
    made.make()
    master.hashes[made.target] = {b"1": b"1", b"2": b"2"}
    replica.hashes[made.target] = {b"1": b"1"}
    assert made.found("a") == {1: 1, 2: 2}
    assert made.found("b") == {1: 1}
    assert [made.writable(server) for server in made.servers] == [True, False]
    made.drop()
    assert master.hashes == {}
    assert replica.hashes != {}
