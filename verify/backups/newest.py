"""The newest backup restored as it is found: nothing is written first, and nothing waited for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fixtures.cluster.cluster import Node
from fixtures.errors import CutoverError
from verify.backups.freshness import Age, age
from verify.backups.holding import Holding, held, parts
from verify.backups.names import Backup
from verify.backups.store import NothingThere, Store, Unreadable
from verify.backups.subjects import Subject


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore found wrong, what it cannot tell, and the backup's `age`.

    `checked` is how many tables with rows, databases with keys or volumes with files the source
    has: without any, a restore proves nothing.
    """

    problems: list[str]
    checked: int
    age: Age
    unsure: list[str] = field(default_factory=list)


def restored(subject: Subject, store: Store, node: Node, *, period: float) -> Restored:
    """Restore the newest backup of `subject` in `store` on `node`.

    One is due every `period` seconds. Raises `CutoverError` when it could not be tried.
    """
    try:
        backup = _newest(subject, store)
        if backup is None:
            nothing = f"{store}: there is no {subject.kind} backup"
            return Restored([nothing], 1, Age(math.inf, 0.0, nothing))
        now, source = store.now(), subject.fingerprint()
        with subject.restored(store, backup, node=node) as copy:
            made, holding = copy.made, Holding(copy.complaints)
            if not copy.complaints:
                holding = held(subject.kind, source, copy.fingerprint())
    except (NothingThere, Unreadable) as gone:
        return Restored([str(gone)], 1, Age(math.inf, 0.0, str(gone)))
    has = sum(many > 0 for many in parts(subject.kind, source).values())
    return Restored(
        [f"{backup.path}: {problem}" for problem in holding.lacking],
        max(has, len(holding.lacking)),
        age([backup], now, period, content=made),
        [f"{backup.path}: {doubt}" for doubt in holding.unsure],
    )


def _newest(subject: Subject, store: Store) -> Backup | None:
    """Return the newest that is finished, None when there is none at all."""
    if finished := store.finished(subject.kind, subject.database):
        return finished[-1]
    if store.backups(subject.kind, subject.database):
        raise CutoverError(f"its only {subject.kind} backup is being written", where=str(store))
    return None
