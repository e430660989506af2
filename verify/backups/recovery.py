"""How long it takes from nothing to the first answer of a restored database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from fixtures.cluster.cluster import Node
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CannotProve, CutoverError
from verify.backups import postgres
from verify.backups.extrapolation import Point
from verify.backups.names import Backup
from verify.backups.observed import Watched
from verify.backups.postgres import MARKS, Postgres
from verify.backups.store import Store

FILLER: Final = "cutover_backup_filler"
MEGABYTE: Final = 1_000_000
# A row of the filler is 192 hexadecimal digits: no application's text, but neither as easy to
# compress as the zeros that such fillers usually are (gzip makes 57 % of it). A restore also builds
# indexes, of a key that ascends and of one in no order, as an application's are.
_DIGESTS: Final = 6
_INDEXED: Final = 16
_MAKE: Final = (
    f"create table if not exists {FILLER} (id bigint primary key, body text);"
    f"create index if not exists {FILLER}_body on {FILLER} (left(body, {_INDEXED}));"
)
# A row takes 241 bytes of the table and 23 and 54 of its indexes (seen of PostgreSQL 15). A little
# more is assumed, so that no round goes beyond the wanted size.
_ROW_BYTES: Final = 330
_ROUNDS: Final = 4
_GROW_SECONDS: Final = 300.0


class RestoreFailed(AssertionError):
    """The restore met errors, or the last row is not in what it restored."""


def size(source: Postgres) -> int:
    """Return the database's size in bytes, as PostgreSQL counts it."""
    return int(_sql(source, "select pg_database_size(current_database())"))


def grow(source: Postgres, size_wanted: int) -> None:
    """Add filler until the database has `size_wanted` bytes; it is never made smaller.

    Raises `CutoverError` when it is already larger, and `CannotProve` on servers.
    """
    if not source.cluster.is_twin:
        raise CannotProve(
            "a server's database is not filled up",
            where=f"database {source.database}",
            remedy="Restore your own by hand, at its own size; or run this on a twin.",
        )
    missing = size_wanted - size(source)
    if missing < 0:
        raise CutoverError(
            f"is larger than {size_wanted / MEGABYTE:g} MB already",
            where=f"database {source.database}",
            remedy="Name larger sizes in the scenario.",
        )
    _sql(source, _MAKE)
    digest = " || ".join(["md5(random()::text)"] * _DIGESTS)
    # What a row takes is estimated only: each round fills most of what the one before left.
    for _ in range(_ROUNDS):
        rows = (size_wanted - size(source)) // _ROW_BYTES
        if rows > 0:
            _sql(
                source,
                f"insert into {FILLER} select (select coalesce(max(id), 0) from {FILLER}) + n,"  # noqa: S608
                f" {digest} from generate_series(1, {rows}) n",
            )


def shrink(source: Postgres) -> None:
    """Remove the filler; safe to repeat."""
    _sql(source, f"drop table if exists {FILLER}")


def recover(
    source: Postgres, store: Store, dump: Backup, *, mark: str, node: Node, size: int
) -> Point:
    """Restore from `store` on `node`, and time it from nothing to the first read.

    The first read is of the row `mark`, the last that was written before the backup. Raises
    `RestoreFailed`, and `CutoverError` when it could not be tried.
    """
    roles = postgres.roles_for(store, dump)
    spec = source.spec()
    started = time.monotonic()
    with postgres.restored(store, dump, roles, node=node, spec=spec) as restored:
        asked = time.monotonic()
        answer = "" if restored.complaints else _read_mark(restored, mark)
        answered = time.monotonic()
    if answer != "1":
        raise RestoreFailed(
            f"{store}: {'; '.join(restored.complaints) or 'the last row is not there'}"
        )
    return Point(size, answered - started, answered - asked)


def _read_mark(restored: postgres.Restored, mark: str) -> str:
    """Count the rows with the mark; no table of marks is no row."""
    query = f"select count(*) from {MARKS} where token = '{mark}'"  # noqa: S608 - ours
    try:
        return restored.read(query).strip()
    except CommandFailed as error:
        if "does not exist" in str(error):
            return ""
        raise


@dataclass
class Trial:
    """Restores of one database at growing sizes, each backed up by its own job, on `node`.

    The first restore of all is not counted: it also reads the image from the disk.
    """

    watched: Watched
    source: Postgres
    store: Store
    node: Node
    warm: bool = False

    def at(self, size_wanted: int, *, times: int, periods: float) -> Point:
        """Grow to that many bytes, await a backup of it, and restore it `times` times.

        Raises `RestoreFailed`, also when no backup comes within `periods` of its schedule.
        """
        grow(self.source, size_wanted)
        self.watched.begin()
        took = self.watched.wait(self.store, periods=periods)
        if self.watched.backup is None:
            raise RestoreFailed(took.reason)
        once = partial(
            recover,
            self.source,
            self.store,
            self.watched.found(),
            mark=self.watched.mark,
            node=self.node,
            size=size(self.source),
        )
        if not self.warm:
            once()
            self.warm = True
        return typical([once() for _ in range(times)])


def typical(points: Sequence[Point]) -> Point:
    """Put several restores of one size together: the middle of their times, ± half their range."""
    low = min(p.seconds - p.error for p in points)
    high = max(p.seconds + p.error for p in points)
    return Point(points[0].size, (low + high) / 2, (high - low) / 2)


def _sql(source: Postgres, statements: str) -> str:
    return postgres.psql(
        source.container(), source.database, source.user, statements, timeout=_GROW_SECONDS
    ).strip()
