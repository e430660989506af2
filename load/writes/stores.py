"""Where writers put their keys, and how they are read back: PostgreSQL and Redis."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql

from fixtures.errors import CutoverError
from load.agents.write_agent import EXPIRY_SECONDS

_TABLE: Final = "cutover_writes_"


class Store(Protocol):
    """A pair of servers, of which at least one accepts writes; named by their services."""

    @property
    def servers(self) -> tuple[str, ...]:
        """Their full names, in the order in which writers try them."""

    def make(self) -> None:
        """Make what receives the keys. Raises `CutoverError`."""

    def orders(self) -> dict[str, Any]:
        """Return what the agent has to know of it, the password among it."""

    def writable(self, server: str) -> bool:
        """Say whether it accepts writes. Raises `Unreachable`."""

    def found(self, server: str) -> dict[int, int]:
        """Return the keys on one server, with how often each is there. Raises `CutoverError`."""

    def drop(self) -> None:
        """Remove it wherever it can be written to; what cannot be reached goes later."""


class PostgresStore:
    """A table without any constraint: a row that is there twice must be seen.

    `connect` maps services to what opens a connection of the harness's own, in autocommit, `hosts`
    to the names by which a container of the overlay reaches them.
    """

    def __init__(
        self,
        connect: Mapping[str, Callable[[], AbstractContextManager[psycopg.Connection[Any]]]],
        hosts: list[str],
        login: Mapping[str, Any],
    ) -> None:
        self.servers = tuple(connect)
        self.target = f"{_TABLE}{secrets.token_hex(4)}"
        self._connect, self._hosts, self._login = connect, hosts, login

    def make(self) -> None:
        """Make the table on the primary, and remove those that killed harnesses left.

        A harness that still runs shows in the activity of its writers: its table stays.
        """
        for server in self._primaries():
            with self._connect[server]() as primary:
                _remove_left(primary)
                # Lost with the server, the table would take with it what became of its rows.
                primary.execute("set synchronous_commit to local")
                table = sql.Identifier(self.target)
                primary.execute(sql.SQL("create table {} (key bigint not null)").format(table))
            return
        raise CutoverError("none accepts writes", where=" or ".join(self.servers))

    def orders(self) -> dict[str, Any]:
        """Return the agent's part."""
        return {"kind": "postgresql", "hosts": self._hosts, "target": self.target, **self._login}

    def writable(self, server: str) -> bool:
        """Say whether it is no standby and not set to read only."""
        with self._connect[server]() as connection:
            row = connection.execute(
                "select not pg_is_in_recovery()"
                " and not current_setting('default_transaction_read_only')::boolean"
            ).fetchone()
        return bool(row and row[0])

    def found(self, server: str) -> dict[int, int]:
        """Count each key; a table that is not there has none."""
        query = sql.SQL("select key, count(*) from {} group by key")
        with self._connect[server]() as connection:
            try:
                rows = connection.execute(query.format(sql.Identifier(self.target))).fetchall()
            except psycopg.errors.UndefinedTable:
                return {}
        return dict(rows)

    def drop(self) -> None:
        """Drop the table on every primary that answers."""
        statement = sql.SQL("drop table if exists {}").format(sql.Identifier(self.target))
        for server in self._primaries():
            with contextlib.suppress(CutoverError), self._connect[server]() as primary:
                primary.execute(statement)

    def _primaries(self) -> list[str]:
        return [server for server in self.servers if _quietly(self.writable, server)]


class RedisStore:
    """A hash with a count for each key; it expires by itself.

    `connect` maps services to what opens a client of the harness's own, `hosts` are the names by
    which a container of the overlay reaches them.
    """

    def __init__(
        self,
        connect: Mapping[str, Callable[[], AbstractContextManager[Any]]],
        hosts: list[str],
        login: Mapping[str, Any],
    ) -> None:
        self.servers = tuple(connect)
        self.target = f"cutover:writes:{secrets.token_hex(4)}"
        self._connect, self._hosts, self._login = connect, hosts, login

    def make(self) -> None:
        """Nothing: the first write makes it, and it goes after `EXPIRY_SECONDS` without one."""
        assert EXPIRY_SECONDS > 0

    def orders(self) -> dict[str, Any]:
        """Return the agent's part."""
        return {"kind": "redis", "hosts": self._hosts, "target": self.target, **self._login}

    def writable(self, server: str) -> bool:
        """Say whether its ROLE is master."""
        with self._connect[server]() as client:
            role = client.execute_command("ROLE")
        return bool(role[0] in (b"master", "master"))

    def found(self, server: str) -> dict[int, int]:
        """Return the whole hash."""
        with self._connect[server]() as client:
            return {int(key): int(count) for key, count in client.hgetall(self.target).items()}

    def drop(self) -> None:
        """Delete it on every master that answers."""
        for server in self.servers:
            if _quietly(self.writable, server):
                with contextlib.suppress(CutoverError), self._connect[server]() as client:
                    client.delete(self.target)


def _quietly(ask: Callable[[str], bool], server: str) -> bool:
    try:
        return ask(server)
    except CutoverError:
        return False


def _remove_left(primary: psycopg.Connection[Any]) -> None:
    """Drop the tables of killed harnesses: those into which nobody is writing."""
    active = primary.execute(
        "select count(*) from pg_stat_activity where application_name = 'cutover writes'"
    ).fetchone()
    if active and active[0]:
        return
    for (name,) in primary.execute(
        "select relname from pg_class where relkind = 'r' and relname like 'cutover!_writes!_%'"
        " escape '!'"
    ).fetchall():
        if re.fullmatch(rf"{_TABLE}[0-9a-f]{{8}}", name):
            primary.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(name)))
