"""Watches a scheduled backup happen, with its source before and after: nothing here starts one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from fixtures.cluster.cluster import Node
from fixtures.waiting import Pending, Waited, how_long
from verify.backups.comparing import Comparison, Fingerprint
from verify.backups.freshness import Age, age
from verify.backups.names import Backup
from verify.backups.store import NothingThere, Store, Unreadable
from verify.backups.subjects import Found, Subject, compared

# Names and a dump's own date are to the second.
_SECOND: Final = timedelta(seconds=1)


@dataclass
class Watched:
    """A subject and the backup of it that is awaited.

    `begin` marks the source and reads it; a backup that begins after that has to hold the mark and
    all that did not change until it was finished. Times in names are compared with the clock of the
    node whose jobs write them, that of `local`.
    """

    subject: Subject
    local: Store
    period: float
    mark: str = ""
    since: datetime | None = None
    before: Fingerprint = field(default_factory=dict)
    after: Fingerprint = field(default_factory=dict)
    backup: Backup | None = None

    def begin(self) -> None:
        """Write what no earlier backup can hold, and read the source."""
        self.mark = self.subject.mark()
        self.before = self.subject.fingerprint()
        self.since = self.local.now()

    def end(self) -> None:
        """Remove the mark."""
        if self.mark:
            self.subject.unmark(self.mark)
            self.mark = ""

    def wait(self, store: Store, *, periods: float) -> Waited:
        """Wait until `store` has a finished backup begun since `begin`; then read the source again.

        `Waited.seconds` count from `begin`. Never raises for a backup that does not come.
        """
        assert self.since is not None, "begin comes first"
        self.backup = None
        since, subject = self.since, self.subject
        elapsed = (self.local.now() - since).total_seconds()

        def look() -> Backup | Pending:
            found = store.begun_after(since, subject.kind, subject.database)
            if isinstance(found, Backup):
                self.backup = found
            return found

        took = how_long(
            look,
            within=periods * self.period,
            since=time.monotonic() - elapsed,
            every=0.5,
            what=f"a {subject.kind} backup in {store}",
            retry_on=(NothingThere,),
        )
        if self.backup is not None:
            self.after = subject.fingerprint()
        return took

    def accept(self, store: Store) -> list[str]:
        """Take the backup begun since `begin` that is in `store` now; say why there is none."""
        assert self.since is not None, "begin comes first"
        found = store.begun_after(self.since, self.subject.kind, self.subject.database)
        if isinstance(found, Pending):
            return [found.reason]
        self.backup, self.after = found, self.subject.fingerprint()
        return []

    def look(self, store: Store, *, node: Node) -> list[str]:
        """Say what is wrong with the awaited backup as `store` has it.

        One whose content says that it was made before `begin` is an old one under a new name.
        """
        backup = self.found()
        try:
            found = self.subject.look(store, backup, self.before, node=node, mark=self.mark)
        except (Unreadable, NothingThere) as gone:
            return [str(gone)]
        assert self.since is not None
        if found.made is not None and found.made < self.since - _SECOND:
            late = (self.since - found.made).total_seconds()
            return [*found.problems, f"{backup.path}: it was made {late:.0f} s before it was begun"]
        return found.problems

    def intact_copy(self, stores: Iterable[Store], *, node: Node) -> tuple[Store | None, list[str]]:
        """Return the first of `stores` whose copy of the awaited backup is whole, if any.

        With it, what is wrong in the ones before it.
        """
        problems: list[str] = []
        for store in stores:
            found = self.look(store, node=node)
            if not found:
                return store, problems
            problems += [f"{store}: {problem}" for problem in found]
        return None, problems

    def age(self, store: Store, *, node: Node) -> Age:
        """Return how old the newest backup in `store` is, by its name and its content.

        One that is not whole counts as infinitely old, unless it is just being written.
        """
        seen = Found([])
        try:
            found = store.backups(self.subject.kind, self.subject.database)
            while found:
                seen = self._seen(store, found[-1], node)
                if not seen.problems or not store.is_being_written(found[-1]):
                    break
                found, seen = found[:-1], Found([])
        except NothingThere:
            found = []
        now = self.local.now()
        return age(found, now, self.period, content=seen.made, problems=seen.problems)

    def _seen(self, store: Store, backup: Backup, node: Node) -> Found:
        # An older one cannot hold the mark.
        mark = self.mark if self.since is not None and backup.taken > self.since else ""
        try:
            return self.subject.look(store, backup, self.before, node=node, mark=mark)
        except Unreadable as gone:
            return Found([str(gone)])

    def restore(self, store: Store, *, node: Node) -> Comparison:
        """Restore the awaited backup from `store` on `node`, and compare it with the source."""
        try:
            with self.subject.restored(store, self.found(), node=node) as restored:
                until = self.local.now() + timedelta(minutes=1)
                return compared(self.subject, self.before, self.after, restored, until)
        except (Unreadable, NothingThere) as gone:
            return Comparison([str(gone)])

    def found(self) -> Backup:
        """Return the backup that `wait` found."""
        assert self.backup is not None, "no backup was found: the step before says so"
        return self.backup


def wait_for_all(watched: Sequence[Watched], store: Store, *, periods: float) -> list[Waited]:
    """Wait for a backup of each side by side; see `Watched.wait`."""
    with ThreadPoolExecutor(max_workers=len(watched)) as pool:
        return list(pool.map(lambda each: each.wait(store, periods=periods), watched))
