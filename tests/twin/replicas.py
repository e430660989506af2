"""A replica that follows something else than its primary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from fixtures.cluster.cluster import Cluster
from verify.replication import Pair, connected


@contextmanager
def replica_following(cluster: Cluster, pair: Pair, conninfo: str) -> Iterator[None]:
    """Let the replica's receiver follow `conninfo` instead of its primary."""
    setting = "alter system set primary_conninfo = {}"
    with connected(cluster, pair.replica) as copy:
        row = copy.execute("select current_setting('primary_conninfo')").fetchone()
        assert row is not None
        copy.execute(sql.SQL(setting).format(sql.Literal(conninfo)))
        copy.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        with connected(cluster, pair.replica) as copy:
            copy.execute(sql.SQL(setting).format(sql.Literal(row[0])))
            copy.execute("select pg_reload_conf()")
        assert pair.problems_within(cluster, 60) == []
