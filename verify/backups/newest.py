"""The newest backup restored as it is found: nothing is written first, and nothing waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fixtures.cluster.cluster import Node
from verify.backups.comparing import Fingerprint
from verify.backups.names import Kind
from verify.backups.store import Store
from verify.backups.subjects import Subject

#: Kind of subject → the kind of fact that is its content; an empty one has other facts too.
_CONTENT: Final = {Kind.POSTGRES: "rows", Kind.REDIS: "value", Kind.VOLUMES: "data"}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore found wrong, and the backup's `age` in seconds.

    `checked` is how many tables with rows, keys or files the source has: without any, a restore
    proves nothing.
    """

    problems: list[str]
    checked: int
    age: float


def restored(subject: Subject, store: Store, node: Node) -> Restored:
    """Restore the newest backup of `subject` in `store` on `node`. Raises `CutoverError`."""
    found = store.backups(subject.kind, subject.database)
    if not found:
        return Restored([f"{store}: there is no {subject.kind} backup"], 1, 0.0)
    age = (store.now() - found[-1].taken).total_seconds()
    source = subject.fingerprint()
    with subject.restored(store, found[-1], node=node) as copy:
        problems = list(copy.complaints)
        if not problems:
            problems = lacking(subject.kind, source, copy.fingerprint())
    checked = max(len(content(subject.kind, source)), len(problems))
    return Restored([f"{found[-1].path}: {problem}" for problem in problems], checked, age)


def content(kind: Kind, facts: Fingerprint) -> list[str]:
    """Return the names of the tables that have rows, or of the keys, or of the files."""
    return [name for (fact, name), value in facts.items() if fact == _CONTENT[kind] and value != 0]


def lacking(kind: Kind, source: Fingerprint, copy: Fingerprint) -> list[str]:
    """Say what a copy lacks that its source has now, in kind: other facts may have changed since.

    A table that has rows must have some in the copy; of keys and files there must be any.
    """
    there, here = content(kind, source), content(kind, copy)
    if there and not here:
        return ["nothing is in it"]
    if kind is not Kind.POSTGRES:
        return []
    missing = [name for name in there if name not in here]
    return [
        f"the table {name} is {'empty' if ('rows', name) in copy else 'not'} in it"
        for name in missing
    ]
