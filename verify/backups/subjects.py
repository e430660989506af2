"""What is backed up, each with the same few things that can be asked of it."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CannotProve, CutoverError, RemoteTimeout, Unreachable
from verify.backups import completeness, postgres, redis, seed, volumes
from verify.backups.comparing import Comparison, Fingerprint, compare
from verify.backups.names import Backup, Kind
from verify.backups.store import Store

#: The rows that a twin's database is given: a restore of an empty one would prove nothing.
CUSTOMERS: Final = 200
ORDERS: Final = 5000


class RestoredSubject(Protocol):
    """What came out of a restore."""

    @property
    def complaints(self) -> list[str]:
        """The errors that the restore itself met."""

    @property
    def made(self) -> datetime | None:
        """When the backup's content shows that it was made, if it does."""

    def fingerprint(self) -> Fingerprint:
        """Read it as its source is read."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with one backup, and when its content shows that it was made, if it does."""

    problems: list[str]
    made: datetime | None = None


class Subject(Protocol):
    """Something that is backed up.

    `mark` writes what no earlier backup can hold and `unmark` removes it. `look` reads a backup
    without restoring it, `restored` restores it on `node`. All raise `CutoverError` when they could
    not do it, which says nothing of the backup.
    """

    @property
    def kind(self) -> Kind:
        """As what the store has it."""

    @property
    def database(self) -> str:
        """The database's name, or empty."""

    @property
    def tolerance(self) -> Mapping[str, float]:
        """By how much a number may differ in a restore, by kind of fact."""

    def home(self) -> Node:
        """Return the node that it is on."""

    def image(self) -> str:
        """Return the image that it is read and restored with, which its home has."""

    def mark(self) -> str:
        """Write the mark and return it."""

    def unmark(self, mark: str) -> None:
        """Remove it; safe to repeat."""

    def seed(self) -> None:
        """Give it an application's data; for twins only."""

    def unseed(self) -> None:
        """Remove what `seed` made; safe to repeat."""

    def fingerprint(self) -> Fingerprint:
        """Read everything that a restore must bring back."""

    def look(
        self, store: Store, backup: Backup, source: Fingerprint, *, node: Node, mark: str = ""
    ) -> Found:
        """Say what is wrong with a backup of a `source`; with `mark` it also has to hold that."""

    def restored(
        self, store: Store, backup: Backup, *, node: Node
    ) -> contextlib.AbstractContextManager[RestoredSubject]:
        """Restore it into a fresh, isolated instance on `node`."""

    def excused(self, source: Fingerprint, until: datetime) -> Collection[tuple[str, str]]:
        """Return the facts that a restore looked at at `until` may rightly lack."""


@dataclass(frozen=True)
class PostgresSubject:
    """A database with its roles."""

    source: postgres.Postgres
    kind: Kind = Kind.POSTGRES
    tolerance: Mapping[str, float] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """The database's name."""
        return self.source.database

    def home(self) -> Node:
        """Return the node that it runs on."""
        return self.source.container().node

    def image(self) -> str:
        """Return what its server runs: a restore must not be into another version."""
        return self.source.image()

    def mark(self) -> str:
        """Write a row."""
        return self.source.mark()

    def unmark(self, mark: str) -> None:
        """Drop the table of the marks."""
        self.source.unmark()

    def seed(self) -> None:
        """An application's schema, roles and rows."""
        seed.seed_database(
            self.source, password=secrets.token_hex(16), customers=CUSTOMERS, orders=ORDERS
        )

    def unseed(self) -> None:
        """Remove them."""
        seed.drop_database_seed(self.source)

    def fingerprint(self) -> Fingerprint:
        """Read database and roles."""
        return self.source.fingerprint()

    def look(
        self, store: Store, backup: Backup, source: Fingerprint, *, node: Node, mark: str = ""
    ) -> Found:
        """Read dump and roles where they lie."""
        tables = [name for kind, name in source if kind == "rows"]
        roles = [name for kind, name in source if kind == "role"]
        dump = completeness.read_dump(store, backup, mark=mark)
        problems = completeness.dump_problems(dump, tables, marked=bool(mark))
        problems = [f"{backup.path}: {problem}" for problem in problems]
        saved = postgres.roles_for(store, backup)
        if saved is None:
            problems.append("no roles are saved: the dump alone restores none")
        else:
            seen = completeness.read_dump(store, saved)
            found = completeness.roles_problems(seen, len(roles))
            problems += [f"{saved.path}: {problem}" for problem in found]
        return Found(problems)

    def restored(
        self, store: Store, backup: Backup, *, node: Node
    ) -> contextlib.AbstractContextManager[RestoredSubject]:
        """Restore the roles and the dump."""
        return postgres.restored(
            store,
            backup,
            postgres.roles_for(store, backup),
            node=node,
            spec=self.source.spec(),
        )

    def excused(self, source: Fingerprint, until: datetime) -> Collection[tuple[str, str]]:
        """Nothing expires."""
        return ()


@dataclass(frozen=True)
class RedisSubject:
    """A Redis."""

    source: redis.Redis
    kind: Kind = Kind.REDIS
    database: str = ""
    tolerance: Mapping[str, float] = field(default_factory=dict)

    def home(self) -> Node:
        """Return the node that it runs on."""
        return self.source.container().node

    def image(self) -> str:
        """Return what its server runs."""
        return postgres.image_of(self.source.container())

    def mark(self) -> str:
        """Write a key."""
        return self.source.mark()

    def unmark(self, mark: str) -> None:
        """Delete it."""
        self.source.unmark(mark)

    def seed(self) -> None:
        """A key of every type."""
        seed.seed_keys(self.source)

    def unseed(self) -> None:
        """Remove them."""
        seed.drop_keys(self.source)

    def fingerprint(self) -> Fingerprint:
        """Read all keys."""
        return self.source.fingerprint()

    def look(
        self, store: Store, backup: Backup, source: Fingerprint, *, node: Node, mark: str = ""
    ) -> Found:
        """Let redis-check-rdb read it, and look for the mark: another Redis' dump is whole too.

        A mark that the source has thrown out says nothing; then the dump's own date has to do.
        """
        seen = redis.check_dump(store, backup, node=node, image=self.image(), mark=mark)
        keys = sum(kind == "type" for kind, _ in source)
        marked = bool(mark) and (seen.marked or self.source.has_mark(mark))
        problems = completeness.redis_problems(seen, keys=keys, marked=marked)
        return Found([f"{backup.path}: {problem}" for problem in problems], seen.made)

    def restored(
        self, store: Store, backup: Backup, *, node: Node
    ) -> contextlib.AbstractContextManager[RestoredSubject]:
        """Load it."""
        return redis.restored(store, backup, node=node, image=self.image())

    def excused(self, source: Fingerprint, until: datetime) -> Collection[tuple[str, str]]:
        """Keys that expire before the look at the restored has ended."""
        return redis.expiring(source, until)


@dataclass(frozen=True)
class VolumesSubject:
    """Docker volumes of one node, in one archive."""

    source: volumes.Volumes
    kind: Kind = Kind.VOLUMES
    database: str = ""
    tolerance: Mapping[str, float] = field(default_factory=lambda: volumes.TOLERANCE)

    def home(self) -> Node:
        """Return the volumes' node."""
        return self.source.node

    def image(self) -> str:
        """Return the image with the tools."""
        return self.source.image

    def mark(self) -> str:
        """Write a file."""
        return self.source.mark()

    def unmark(self, mark: str) -> None:
        """Remove it."""
        self.source.unmark()

    def seed(self) -> None:
        """Files with owners, modes, times and links."""
        seed.seed_files(self.source)

    def unseed(self) -> None:
        """Remove them."""
        seed.drop_files(self.source)

    def fingerprint(self) -> Fingerprint:
        """Read all trees."""
        return self.source.fingerprint()

    def look(
        self, store: Store, backup: Backup, source: Fingerprint, *, node: Node, mark: str = ""
    ) -> Found:
        """List the archive."""
        root = volumes.ARCHIVE_ROOT
        seen = completeness.read_archive(
            store, backup, mark_path=f"{root}/{self.source.names[0]}/{volumes.MARK}", mark=mark
        )
        folders = [f"{root}/{name}" for name in self.source.names]
        problems = completeness.archive_problems(seen, folders, marked=bool(mark))
        return Found([f"{backup.path}: {problem}" for problem in problems])

    def restored(
        self, store: Store, backup: Backup, *, node: Node
    ) -> contextlib.AbstractContextManager[RestoredSubject]:
        """Unpack it."""
        return volumes.restored(
            store, backup, self.source.names, node=node, image=self.source.image
        )

    def excused(self, source: Fingerprint, until: datetime) -> Collection[tuple[str, str]]:
        """Nothing expires."""
        return ()


def database(cluster: Cluster, service: str, name: str) -> PostgresSubject:
    """Return the database `name` of the service called `service` in its stack file."""
    full = cluster.snapshot().service_called(service).name
    return PostgresSubject(postgres.Postgres(cluster, full, name))


def keys(cluster: Cluster, service: str) -> RedisSubject:
    """Return the Redis called `service` in its stack file."""
    return RedisSubject(redis.Redis(cluster, cluster.snapshot().service_called(service).name))


def trees(cluster: Cluster, node: Node, names: Sequence[str], *, like: str) -> VolumesSubject:
    """Return volumes of `node`, read with the image that the service called `like` runs."""
    full = cluster.snapshot().service_called(like).name
    image = postgres.image_of(postgres.Postgres(cluster, full).container())
    return VolumesSubject(volumes.Volumes(node, tuple(names), image))


def another_node(cluster: Cluster, subject: Subject) -> Node:
    """Return a node with power and the subject's image, but without it: a restore works elsewhere.

    Raises `CannotProve` when there is none, for nothing is pulled onto a server.
    """
    home, image = subject.home(), subject.image()
    others = [node for node in cluster.nodes.values() if node.has_power and node is not home]
    if not others:
        raise CutoverError("no other node has power", where=f"cluster {cluster.name}")
    away: CutoverError | None = None
    for node in others:
        try:
            if node.run(f"docker image inspect {shlex.quote(image)}", check=False).rc == 0:
                return node
        except (Unreachable, RemoteTimeout) as error:
            away = error
    if away is not None:  # it may have the image
        raise away
    name = _name_of(home, image)
    raise CannotProve(
        f"none has the image {name}, to restore into",
        where=f"nodes {', '.join(node.name for node in others)}",
        remedy=f"On one of them: docker pull {name}",
    )


def _name_of(home: Node, image: str) -> str:
    """Return by what name a node's image can be pulled: its digest, if it came from a registry."""
    form = '{{join .RepoDigests " "}} {{join .RepoTags " "}}'
    inspect = f"docker image inspect --format '{form}' {shlex.quote(image)}"
    return next(iter(home.run(inspect, check=False).stdout.split()), image)


def compared(
    subject: Subject,
    before: Fingerprint,
    after: Fingerprint,
    restored: RestoredSubject,
    until: datetime,
) -> Comparison:
    """Compare a restored subject with its source; what the restore complained of is in front.

    The table of the marks is the harness's: that it changed takes nothing from the comparison.
    """
    excused = {*subject.excused(before, until), *subject.excused(after, until)}
    found = compare(
        before, after, restored.fingerprint(), tolerance=subject.tolerance, excused=excused
    )
    return replace(
        found,
        problems=restored.complaints + found.problems,
        unseen=[key for key in found.unseen if key[1].rpartition(".")[2] != postgres.MARKS],
    )


def subject_called(cluster: Cluster, text: str, *, volumes_on: Node, volumes_like: str) -> Subject:
    """Return what `text` names: `the database D of S`, `the keys of S`, `the volumes A, B`.

    S is a service by its name in the stack file. Volumes are those of the node `volumes_on`, read
    with the image of the service `volumes_like`. Raises `CutoverError`.
    """
    if found := re.fullmatch(r"the database (\S+) of (\S+)", text):
        return database(cluster, found[2], found[1])
    if found := re.fullmatch(r"the keys of (\S+)", text):
        return keys(cluster, found[1])
    if found := re.fullmatch(r"the volumes (.+)", text):
        names = [name.strip() for name in found[1].split(",")]
        return trees(cluster, volumes_on, names, like=volumes_like)
    raise CutoverError(f"nothing that is backed up is called {text!r}")
