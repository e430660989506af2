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
#: What holds no server's name, though its words may be the same: `POSTGRES_USER: postgres`.
_NO_SERVER: Final = re.compile(r"(USER|USERNAME|DB|DATABASE|PASS|PASSWORD|TOKEN|SCHEMA)(_FILE)?$")
_NO_SERVER_IN_TEXT: Final = re.compile(
    r"\b\w*(?:USER|DB|DATABASE|PASSWORD)=\S+|(?<!\S)(?:-[uUdp]|--(?:user\w*|dbname))[\s=]+[\w.]+(?!\S)"
)
#: Of a URL only the host counts.
_URL: Final = re.compile(r"\b\w[\w+.]*://(?:[^/@\s]*@)?([^/\s?\"']*)[^\s\"']*")
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
    if any(_backs_up(other, each, audit) for other in others for each in pair):
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


def _backs_up(other: Service, database: Service, audit: Audit) -> bool:
    data = _data(database)
    assert data is not None
    if any(m.read_only and _volume(m, other) == _volume(data, database) for m in other.mounts):
        return True
    variables = {
        name: entry.text for name, entry in other.environment.items() if entry.value is not None
    }
    scripts = [words.script for _, words in other.commands]
    texts = (other.name, other.image.name, *variables.values(), *scripts)
    if not any(_JOB.search(text) for text in texts):
        return False
    places = [text for name, text in variables.items() if not _NO_SERVER.search(name)]
    # Two stacks may have a `db` each: the short name is then that of the job's own stack.
    namesakes = [s for s in audit.services if s.name == database.name and s is not database]
    short = other.stack is database.stack or not namesakes
    return any(_named(database, _hosts(text), short=short) for text in (*places, *scripts))


def _hosts(text: str) -> str:
    """Leave of a text what may name a server."""
    return _NO_SERVER_IN_TEXT.sub(" ", _URL.sub(r" \1 ", text))


def _named(service: Service, text: str, *, short: bool = True) -> bool:
    full = f"{service.stack.name}_{service.name}"
    names = "|".join(re.escape(name) for name in ([service.name] if short else []) + [full])
    return re.search(rf"(?<![\w/-])(?:{names})(?![\w/-])", text) is not None


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
