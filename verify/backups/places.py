"""Where a cluster's backups lie: by its inventory."""

from __future__ import annotations

import shlex
from datetime import date

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.inventory import Backups
from fixtures.errors import CannotProve
from verify.backups.names import snapshots
from verify.backups.store import NothingThere, Store

_LATEST = "latest"
_SNAPSHOTS = "snapshots"
# Prints something where there is no `latest`, not even one to nothing, but a store's folders.
_IS_A_STORE = "[ ! -L latest ] && [ ! -e latest ] && ls -d postgres redis volumes 2>/dev/null"


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
    """Return the newest complete remote copy. Raises `CannotProve` without a backup host.

    It is `latest`, or all there is where a job mirrors into the folder itself, as the plan's does.
    """
    whole, newest = _on_backup_host(cluster), _on_backup_host(cluster, _LATEST)
    look = f"cd {shlex.quote(whole.path)}/ 2>/dev/null && {{ {_IS_A_STORE}; }}; true"
    return whole if whole.node.run(look).stdout.strip() else newest


def remote_snapshots(cluster: Cluster) -> list[Store]:
    """Return every copy that the backup host has: the newest complete one, then newest first."""
    try:
        paths = [entry.path for entry in _on_backup_host(cluster, _SNAPSHOTS).entries()]
    except NothingThere:  # another layout: then there is one copy only
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


def _on_backup_host(cluster: Cluster, folder: str = "") -> Store:
    backups = _named(cluster)
    if backups.host is None or cluster.backup_host is None:
        raise CannotProve(
            "the inventory names no backup host",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `backups.host`.",
        )
    return Store(cluster.backup_host, f"{backups.host.path}/{folder}".rstrip("/"))


def _named(cluster: Cluster) -> Backups:
    backups = cluster.inventory.backups
    if backups is None:
        raise CannotProve(
            "the inventory names no backups",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `backups`.",
        )
    return backups
