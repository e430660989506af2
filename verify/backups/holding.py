"""What a backup holds, against what its source has now: pure.

The source went on: what differs may have changed since. So only what a day's changes do not explain
is lacking: nothing at all, a table that is there and empty where the source has many rows, a volume
without its folder or its files, or no fact of a kind that changes seldom. The rest cannot be told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from verify.backups.comparing import Fingerprint, Value, some
from verify.backups.names import Kind

#: Below this part of what the source has now, nobody can tell growth from loss.
FEW: Final = 0.5
#: A table or numbered database with fewer rows or keys may have been empty: a queue, an outbox.
MANY: Final = 1000
#: Kinds of facts of a database that a day rarely changes.
_SLOW: Final = (
    *("role", "password", "extension", "schema", "owner and privileges"),
    *("constraint", "index", "trigger", "view", "function"),
)
#: What a fresh server has of those kinds before anything is restored.
_FRESH: Final = frozenset({"postgres", "plpgsql", "public"})
#: Tables of the harness's own (`cutover_backup_marks` and others), which come and go.
_OURS: Final = ".cutover_"
_CALLED: Final = {
    Kind.POSTGRES: ("table", "rows"),
    Kind.REDIS: ("database", "keys"),
    Kind.VOLUMES: ("volume", "files"),
}


@dataclass(frozen=True, slots=True)
class Holding:
    """What a backup lacks, and what it may lack or what may have changed since."""

    lacking: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)


def parts(kind: Kind, facts: Fingerprint) -> dict[str, int]:
    """Return the rows of each table, keys of each numbered database or files of each volume."""
    if kind is Kind.POSTGRES:
        tables = {name: value for (fact, name), value in facts.items() if fact == "rows"}
        return {name: int(rows) for name, rows in tables.items() if _OURS not in name}
    if kind is Kind.REDIS:
        return dict(Counter(_database(name) for fact, name in facts if fact == "value"))
    volumes = {_volume(name): 0 for fact, name in facts if fact == "type"}
    return volumes | Counter(_volume(name) for fact, name in facts if fact == "data")


def held(kind: Kind, source: Fingerprint, copy: Fingerprint) -> Holding:
    """Judge a restored `copy` of a `source`; see the module for what is lacking."""
    there, here = parts(kind, source), parts(kind, copy)
    if any(there.values()) and not any(here.values()):
        return Holding(["nothing is in it"])
    if kind is Kind.POSTGRES and any(there.values()) and not there.keys() & here.keys():
        return Holding(["none of the source's tables is in it"])
    found = Holding()
    part, unit = _CALLED[kind]
    for name, many in there.items():
        few = here.get(name, 0)
        if name not in here and _may_be_new(kind, name, source, many):
            found.unsure.append(f"the {part} {name} is not in it: new since then, or left out")
        elif name not in here:
            found.lacking.append(f"the {part} {name} is not in it")
        elif many and not few and kind is Kind.POSTGRES and many < MANY:
            found.unsure.append(f"the {part} {name} is empty in it, and has {many} {unit} now")
        elif many and not few:
            found.lacking.append(f"the {part} {name} is empty in it")
        elif few < FEW * many:
            found.unsure.append(f"the {part} {name} has {few} {unit} in it, and {many} now")
    if kind is Kind.POSTGRES:
        for slow in _SLOW:
            _compare_slow(found, slow, _of(slow, source), _of(slow, copy))
    return found


def _compare_slow(
    found: Holding, kind: str, there: dict[str, Value], here: dict[str, Value]
) -> None:
    if there.keys() - _FRESH and not here.keys() - _FRESH:
        found.lacking.append(f"no {kind} is in it")
        return
    names = sorted({*there, *here})
    if differing := [name for name in names if there.get(name) != here.get(name)]:
        found.unsure.append(f"{kind} of {some(differing)}: changed since, or not in the backup")


def _may_be_new(kind: Kind, part: str, source: Fingerprint, size: int) -> bool:
    """Whether a part that the copy has not may have been made since: a table's age nobody knows.

    Nor that of a Redis database with few keys, or of which all expire.
    """
    if kind is Kind.POSTGRES:
        return True
    if kind is Kind.VOLUMES:
        return False
    return size < MANY or not any(
        fact == "expiry in ms" and expiry == -1 and _database(name) == part
        for (fact, name), expiry in source.items()
    )


def _of(kind: str, facts: Fingerprint) -> dict[str, Value]:
    """Return the facts of one kind; a role without a password has none to lose."""
    return {
        name: value
        for (fact, name), value in facts.items()
        if fact == kind and _OURS not in name and not (kind == "password" and value == "none")
    }


def _database(name: str) -> str:
    return name.partition(":")[0]


def _volume(name: str) -> str:
    return name.partition("/")[0]
