"""Where a cluster's backups lie: by its inventory."""

from __future__ import annotations

from datetime import date

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.inventory import Backups
from fixtures.errors import CannotProve
from verify.backups.names import snapshots
from verify.backups.store import NothingThere, Store

_SNAPSHOTS = "snapshots"


def data_node(cluster: Cluster) -> Node:
    """Return the node that keeps the local copies. Raises `CannotProve` if none is named."""
    return cluster.node(_named(cluster).node)


def local(cluster: Cluster) -> Store:
    """Return the local copies. Raises `CannotProve` if the inventory names none."""
    return Store(data_node(cluster), _named(cluster).path)


def taken_since(cluster: Cluster) -> date | None:
    """Return the day since which backups are taken, None when the inventory does not say it."""
    return _named(cluster).since


def remote(cluster: Cluster) -> Store:
    """Return the newest complete remote copy. Raises `CannotProve` without a backup host."""
    return _on_backup_host(cluster, "latest")


def remote_snapshots(cluster: Cluster) -> list[Store]:
    """Return every copy that the backup host has: the newest complete one, then newest first."""
    try:
        paths = [entry.path for entry in _on_backup_host(cluster, _SNAPSHOTS).entries()]
    except NothingThere:  # another layout: then `latest` is all there is
        paths = []
    found = [_on_backup_host(cluster, f"{_SNAPSHOTS}/{name}") for name in snapshots(paths)]
    return [remote(cluster), *found]


def newest_snapshot(cluster: Cluster) -> str:
    """Return the name of the newest remote copy, complete or not; empty when there is none."""
    paths = [entry.path for entry in _on_backup_host(cluster, _SNAPSHOTS).entries()]
    return next(iter(snapshots(paths)), "")


def patience(cluster: Cluster) -> float:
    """Return the seconds that a run may wait for a job. Raises `CannotProve` like `local`."""
    return _named(cluster).wait


def _on_backup_host(cluster: Cluster, folder: str) -> Store:
    backups = _named(cluster)
    if backups.host is None or cluster.backup_host is None:
        raise CannotProve(
            "the inventory names no backup host",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `backups.host`.",
        )
    return Store(cluster.backup_host, f"{backups.host.path}/{folder}")


def _named(cluster: Cluster) -> Backups:
    backups = cluster.inventory.backups
    if backups is None:
        raise CannotProve(
            "the inventory names no backups",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `backups`.",
        )
    return backups
