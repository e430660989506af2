"""Data that nothing brings back: databases that no service of the audited stacks backs up."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from verify.audit.fields import Mount
from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service

#: Where the images of database servers keep their data; a Redis is often a cache, so not its.
_DATA: Final = (
    "/var/lib/postgresql",
    "/var/lib/mysql",
    "/var/lib/mariadb",
    "/var/lib/influxdb",
    "/var/lib/influxdb2",
    "/var/lib/mongodb",
    "/data/db",
    "/bitnami/postgresql",
    "/bitnami/mariadb",
    "/bitnami/mysql",
    "/bitnami/mongodb",
)
_JOB: Final = re.compile(
    r"backup|dump|restic|borg|barman|wal-?g\b|pgbackrest|xtrabackup|duplicati|pg_basebackup", re.I
)
#: Variables that name the other of a pair: its data is the same.
_PEER: Final = re.compile(r"PEER|PRIMARY|MASTER|REPLICA", re.I)


@service_rule(
    "not-backed-up",
    Level.WARNING,
    Criterion.BACKUPS,
    "a database that no audited service backs up: with its disk its data is gone",
    "Add a job that dumps it (and restore from it once), or write down why it may be lost.",
)
def not_backed_up(service: Service, audit: Audit) -> Iterator[Found]:
    """A job names the server, or another service reads its volume; features/ try if it works.

    Of a file that is audited alone nothing is known: its jobs may be in another one.
    """
    data = _data(service)
    if data is None or len(audit.stacks) == 1:
        return
    pair = [service, *(other for other in audit.services if _are_peers(service, other))]
    others = [other for other in audit.services if other not in pair]
    if any(_backs_up(other, each) for other in others for each in pair):
        return
    yield at(service, data.at, "volumes", f"nothing backs up {data.source}", needle=data.source)


def _data(service: Service) -> Mount | None:
    """Return the mount that holds a database's files, if there is one."""
    for mount in service.mounts:
        target = f"{posixpath.normpath(mount.target)}/"
        if mount.source and not mount.read_only and any(target.startswith(f"{d}/") for d in _DATA):
            return mount
    return None


def _are_peers(one: Service, other: Service) -> bool:
    return (
        one is not other
        and _data(other) is not None
        and (_is_peer_of(one, other) or _is_peer_of(other, one))
    )


def _is_peer_of(one: Service, other: Service) -> bool:
    return any(
        _PEER.search(name) and _named(other, entry.text)
        for name, entry in one.environment.items()
        if entry.value is not None
    )


def _backs_up(other: Service, database: Service) -> bool:
    data = _data(database)
    assert data is not None
    if any(m.read_only and _volume(m, other) == _volume(data, database) for m in other.mounts):
        return True
    values = [entry.text for entry in other.environment.values() if entry.value is not None]
    texts = [*values, *(words.script for _, words in other.commands)]
    is_job = any(_JOB.search(text) for text in (other.name, other.image.name, *texts))
    return is_job and any(_named(database, text) for text in texts)


def _named(service: Service, text: str) -> bool:
    names = "|".join(re.escape(n) for n in (service.name, f"{service.stack.name}_{service.name}"))
    return re.search(rf"(?<![\w-])(?:{names})(?![\w-])", text) is not None


def _volume(mount: Mount, service: Service) -> tuple[str, str]:
    """Return what a mount is of: a folder of a node, or a volume by its name in the cluster."""
    if mount.kind != "volume":
        return mount.kind, posixpath.normpath(mount.source)
    declared = service.stack.declared("volumes").get(mount.source)
    name = declared.get("name") if declared is not None else None
    external = declared.get("external") if declared is not None else None
    if name is not None and name.text:
        return "volume", name.text
    if external is not None and external.text.lower() != "false":
        return "volume", mount.source
    return "volume", f"{service.stack.name}_{mount.source}"
