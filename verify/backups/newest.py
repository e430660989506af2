"""The newest backup restored as it is found: nothing is written first, and nothing waited for."""

from __future__ import annotations

from dataclasses import dataclass

from fixtures.cluster.cluster import Node
from verify.backups.comparing import Fingerprint
from verify.backups.names import Kind
from verify.backups.store import Store
from verify.backups.subjects import Subject

#: Kind of subject → the kind of fact of which every one has to be there.
_MUST_BE: dict[Kind, str] = {Kind.POSTGRES: "rows"}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore found wrong, in how many facts, and the backup's `age` in seconds."""

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
        content = copy.fingerprint() if not problems else {}
    if not problems:
        problems = lacking(subject.kind, source, content)
    return Restored([f"{found[-1].path}: {p}" for p in problems], max(1, len(content)), age)


def lacking(kind: Kind, source: Fingerprint, copy: Fingerprint) -> list[str]:
    """Say what a copy lacks that its source has now, in kind: other facts may have changed since.

    A table that has rows must have some in the copy; of keys and files there must be any.
    """
    if source and not copy:
        return ["nothing is in it"]
    kept = _MUST_BE.get(kind)
    problems = []
    for fact, name in source:
        if fact == kept and source[fact, name] not in (0, "0"):
            if (fact, name) not in copy:
                problems.append(f"the table {name} is not in it")
            elif copy[fact, name] in (0, "0"):
                problems.append(f"the table {name} is empty in it")
    return problems
