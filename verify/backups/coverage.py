"""Whether anything is forgotten: the databases that there are against those that have backups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from fixtures.cluster.cluster import Cluster
from verify.backups.listing import holds_something
from verify.backups.names import Kind, backups
from verify.backups.store import Store
from verify.replication import Server, connected, server_of

_DATABASES: Final = (
    "select datname from pg_database where datallowconn and not datistemplate order by datname"
)
#: Of the maintenance database too, should somebody have made tables in it.
_MAINTENANCE: Final = "postgres"
_TABLES: Final = (
    "select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
)


def databases_of(cluster: Cluster, service: str) -> list[str]:
    """Return the databases of a server (stack-file name) that hold anything of anyone's.

    Raises `CutoverError` when it cannot be asked.
    """
    server = server_of(cluster.snapshot(), service)
    with connected(cluster, server) as connection:
        found = [str(row[0]) for row in connection.execute(_DATABASES).fetchall()]
    empty = Server(server.service, server.password_of, _MAINTENANCE)
    with connected(cluster, empty) as connection:
        row = connection.execute(_TABLES).fetchone()
    assert row is not None
    return [name for name in found if name != _MAINTENANCE or row[0]]


def newest_of(store: Store, databases: Iterable[str]) -> dict[str, datetime | None]:
    """Return when each database's newest backup in `store` was begun; None without one.

    A file that holds nothing is none.
    """
    paths = [entry.path for entry in store.entries() if holds_something(entry)]
    found = {name: backups(paths, Kind.POSTGRES, name) for name in databases}
    return {name: copies[-1].taken if copies else None for name, copies in found.items()}


def forgotten(
    newest: Mapping[str, datetime | None], now: datetime, most_seconds: float
) -> list[str]:
    """Say which databases have no backup of the last `most_seconds`, by their names.

    One from the future, by more than clocks differ, would be young for ever: it is none.
    """
    problems = []
    for database, taken in newest.items():
        if taken is None:
            problems.append(f"the database {database} has no backup")
        elif (age := (now - taken).total_seconds()) > most_seconds:
            problems.append(f"the newest backup of {database} is {age:.0f} s old")
        elif age < -1:
            problems.append(f"the newest backup of {database} says that it is of the future")
    return problems


def ambiguous(databases: Mapping[str, Collection[str]]) -> list[str]:
    """Say which name several servers (server → its databases) have: a dump tells the name only."""
    servers: dict[str, list[str]] = {}
    for server, names in databases.items():
        for name in names:
            servers.setdefault(name, []).append(server)
    return [
        f"{' and '.join(having)} each have a database {name}: their backups cannot be told apart"
        for name, having in servers.items()
        if len(having) > 1
    ]
