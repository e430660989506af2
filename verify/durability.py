"""Whether PostgreSQL has what it acknowledges on its disk: a drill's kill leaves the kernel alive.

What a real power cut takes is what the kernel had not written yet, so that settings are read here
(PostgreSQL manual, 19.5.1): without fsync or full_page_writes a server survives every drill, and
not the day it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fixtures.cluster.cluster import Cluster
from verify.replication import connected, server_of

#: Setting → the values with which an acknowledged write is on the disk.
SAFE: Final[Mapping[str, frozenset[str]]] = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "local", "remote_write", "remote_apply"}),
}
#: Sources of a setting that are of this connection's role or database, not of the server.
_OVERRIDES: Final = ("database", "user", "database user")


def problems(cluster: Cluster, name: str) -> list[str]:
    """Say which settings of a server (stack-file name) may lose acknowledged writes.

    Those of roles and databases count, too. Raises `CutoverError` when it cannot be asked.
    """
    with connected(cluster, server_of(cluster.snapshot(), name)) as connection:
        settings = connection.execute(
            "select name, setting, source from pg_settings where name = any(%s)", [list(SAFE)]
        ).fetchall()
        own = connection.execute(
            "select coalesce(d.datname, 'every database'), coalesce(r.rolname, 'every role'),"
            " unnest(s.setconfig) from pg_db_role_setting s"
            " left join pg_database d on d.oid = s.setdatabase"
            " left join pg_roles r on r.oid = s.setrole"
        ).fetchall()
    hidden = [name for name, _, source in settings if source in _OVERRIDES]
    return [
        *unsafe({name: setting for name, setting, _ in settings}),
        *unsafe_overrides(own),
        *(f"{name} of the server itself is hidden by an override of ours" for name in hidden),
    ]


def unsafe(settings: Mapping[str, str]) -> list[str]:
    """Say which of a server's settings are not safe, or not known. Pure."""
    return [
        f"{name} is {settings.get(name, 'unknown')}"
        for name, safe in SAFE.items()
        if settings.get(name) not in safe
    ]


def unsafe_overrides(own: Iterable[tuple[str, str, str]]) -> list[str]:
    """Say which databases and roles have unsafe ones: rows of database, role, name=value. Pure."""
    found = []
    for database, role, assigned in own:
        name, _, value = assigned.partition("=")
        if name in SAFE and value.lower() not in SAFE[name] | {"true", "yes", "1"}:
            found.append(f"{name} is {value} for {role} in {database}")
    return found
