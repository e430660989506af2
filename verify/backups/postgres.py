"""A PostgreSQL database: its fingerprint, a mark to know a backup's age by, and its restore."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from fixtures.waiting import Pending
from verify.backups import locale
from verify.backups.comparing import Fingerprint
from verify.backups.isolated import LIFETIME_SECONDS, Container, isolated, started
from verify.backups.names import Backup, Kind
from verify.backups.store import Store

_FINGERPRINT: Final = Path(__file__).with_name("postgres_fingerprint.sql").read_bytes()
_FINGERPRINT_SECONDS: Final = 300.0
# A restore may take so long, or what its compressed dump needs at so many bytes a second.
_RESTORE_SECONDS: Final = 600.0
_SLOWEST_BYTES: Final = 500_000
_SHOWN: Final = 5
#: The harness's own table in the source, while a scenario looks for a mark in its backups.
MARKS: Final = "cutover_backup_marks"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What a server has to be like to be given a dump: its image, superuser and locale.

    `locale` is as CREATE DATABASE takes it.
    """

    image: str
    user: str
    locale: str


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database `database` of the service of that full name, read as its superuser `user`."""

    cluster: Cluster
    service: str
    database: str = "gibd"
    user: str = "postgres"

    def container(self) -> Container:
        """Return where it runs now. Raises `Unreachable` when it does not."""
        node, task = self.cluster.a_task(self.service)
        return Container(node, task.container_id)

    def image(self) -> str:
        """Return the image that its task runs, for a restore must not be into another version."""
        return image_of(self.container())

    def spec(self) -> ServerSpec:
        """Return what a server for its dumps has to be like. Raises `CutoverError`."""
        made = json.loads(self._sql(locale.QUERY))
        return ServerSpec(self.image(), self.user, locale.clause(made))

    def fingerprint(self) -> Fingerprint:
        """Read all that a restore must bring back. Raises `CutoverError`."""
        return fingerprint(self.container(), self.database, self.user)

    def mark(self) -> str:
        """Write a row that no earlier backup can hold, and return it."""
        token = secrets.token_hex(16)
        self._sql(
            f"create table if not exists {MARKS} (token text primary key,"
            " at timestamptz not null default now());\n"
            f"insert into {MARKS} (token) values ('{token}');"
        )
        return token

    def unmark(self) -> None:
        """Drop the table of the marks; safe to repeat."""
        self._sql(f"drop table if exists {MARKS};")

    def _sql(self, statements: str) -> str:
        return psql(self.container(), self.database, self.user, statements)


@dataclass(frozen=True, slots=True)
class Restored:
    """A database in an isolated container. `complaints` are the errors that its restore met."""

    container: Container
    database: str
    user: str
    complaints: list[str] = field(default_factory=list)
    made: datetime | None = None

    def fingerprint(self) -> Fingerprint:
        """Read it as the source is read."""
        return fingerprint(self.container, self.database, self.user)

    def read(self, query: str) -> str:
        """Ask as an application does; returns the unaligned rows. Raises `CommandFailed`."""
        return psql(self.container, self.database, self.user, query)


def fingerprint(container: Container, database: str, user: str) -> Fingerprint:
    """Run the fingerprint in a container with PostgreSQL. Raises `CutoverError`."""
    done = container.run(*_psql(database, user), stdin=_FINGERPRINT, timeout=_FINGERPRINT_SECONDS)
    return parse_fingerprint(done.stdout)


def parse_fingerprint(printed: str) -> Fingerprint:
    """Read the facts. Raises `CutoverError` when there are none: psql says little of much."""
    facts = [json.loads(line) for line in printed.splitlines() if line]
    if not facts:
        raise CutoverError("psql printed nothing", where="the fingerprint of a database")
    return {(kind, name): value for kind, name, value in facts}


def psql(
    container: Container, database: str, user: str, statements: str, *, timeout: float = 30.0
) -> str:
    """Run SQL in a container's own server, and return what it printed. Raises `CommandFailed`."""
    return container.run(
        *_psql(database, user),
        *("--set", "ON_ERROR_STOP=1"),
        stdin=statements.encode(),
        timeout=timeout,
    ).stdout


@contextlib.contextmanager
def restored(
    store: Store,
    dump: Backup,
    roles: Backup | None,
    *,
    node: Node,
    spec: ServerSpec,
) -> Iterator[Restored]:
    """Restore a dump, after the roles where there are any, into a fresh server on `node`.

    Its database is made as `spec` says, which the dump does not. What the restore itself complains
    of is in the result. Raises `CutoverError` when it could not be tried.
    """
    user = spec.user
    lifetime = patience(store, dump) + LIFETIME_SECONDS
    with server(node, spec.image, user, lifetime=lifetime) as container:
        complaints = []
        if roles is not None:
            complaints += load(store, roles, container, "postgres", user, stop=False)
        create = f'create database "{dump.database}" template template0 {spec.locale};'
        psql(container, "postgres", user, create)
        complaints += load(store, dump, container, dump.database, user, stop=True)
        yield Restored(container, dump.database, user, complaints)


@contextlib.contextmanager
def server(node: Node, image: str, user: str, *, lifetime: float) -> Iterator[Container]:
    """Run an empty PostgreSQL of `image` on `node` that nothing can reach, for `lifetime` s."""
    environment = (
        f"POSTGRES_USER={user}\nPOSTGRES_DB=postgres\nPOSTGRES_PASSWORD={secrets.token_hex(16)}\n"
    )
    command = ("docker-entrypoint.sh", "postgres")
    with isolated(node, image, command, environment=environment, lifetime=lifetime) as container:
        started(
            lambda: _accepts(container, user),
            container,
            what="an isolated PostgreSQL",
            log=f"docker logs --tail 20 {container.name} 2>&1",
        )
        yield container


def image_of(container: Container) -> str:
    """Return the image that a container runs."""
    inspect = f"docker inspect --format '{{{{.Image}}}}' {container.name}"
    return container.node.run(inspect).stdout.strip()


def complaints_of(stderr: str) -> list[str]:
    """Return the errors that a restore met, but for the superuser who is there already."""
    lines = [
        line
        for line in stderr.splitlines()
        if ("ERROR:" in line or "FATAL:" in line or line.startswith("gzip:"))
        and not ('role "' in line and line.endswith("already exists"))
    ]
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def patience(store: Store, dump: Backup) -> float:
    """Return for how many seconds a restore of the dump is waited for: by its size."""
    size = next((e.size for e in store.entries() if e.path == dump.path), 0)
    return max(_RESTORE_SECONDS, size / _SLOWEST_BYTES)


def load(
    store: Store, backup: Backup, container: Container, database: str, user: str, *, stop: bool
) -> list[str]:
    """Stream one file into a server; returns what that complained of.

    The roles name one that is there already, so an error must not `stop` them.
    """
    load = " ".join([*_psql(database, user), "--set", f"ON_ERROR_STOP={int(stop)}"])
    script = f"set -o pipefail; gzip -dc | {load} >/dev/null"
    done = store.send(
        backup.path,
        container.node,
        container.command("bash", "-c", script),
        timeout=patience(store, backup),
    )
    found = complaints_of(done.stderr)
    if done.rc != 0 and not found:
        found = [f"ended with {done.rc}: {' '.join(done.stderr.split())[-200:]}"]
    return [f"{backup.path}: {complaint}" for complaint in found]


def _accepts(container: Container, user: str) -> bool | Pending:
    # Over TCP: the server that initialises listens on its socket only.
    ready = ("pg_isready", "--quiet", "--host", "127.0.0.1", "--username", user)
    done = container.run(*ready, timeout=10, check=False)
    return done.rc == 0 or Pending(f"pg_isready ended with {done.rc} {done.stderr.strip()}")


def _psql(database: str, user: str) -> list[str]:
    quiet = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
    return [*quiet, "--username", user, "--dbname", database]


def roles_for(store: Store, dump: Backup) -> Backup | None:
    """Return the first roles saved with or after a dump, else the last before; None without any.

    Those that name the dump's database, where there are such: another server has the others.
    """
    saved = store.backups(Kind.ROLES)
    found = [r for r in saved if r.database == dump.database] or [
        r for r in saved if not r.database
    ]
    later = [roles for roles in found if roles.taken >= dump.taken]
    return later[0] if later else found[-1] if found else None
