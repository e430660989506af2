"""Compares what was restored with its source, which went on being written to: pure.

The source's fingerprint is taken before the backup begins and again after it ended. What is the
same in both must be equal in the restored; a number that changed must lie between the two; of
anything else that changed nothing can be said. Nor of what only the restored has: it may have been
made after the first look and removed before the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Value = str | int | float
#: (kind, name) → value. Kinds are for example `rows`, `checksum`, `role`; a value that must not be
#: shown is of a kind in `HIDDEN`.
Fingerprint = Mapping[tuple[str, str], Value]

HIDDEN: Final = frozenset({"password", "value", "data"})
#: Kinds that say what is in a table, key or file: where one was not compared, nobody looked there.
CONTENT: Final = frozenset({"checksum", "value", "data"})
#: Kinds of facts of keys and files, which applications make and remove all the time.
FLEETING: Final = frozenset({"type", "value", "expiry in ms", "data", "owner", "mode", "mtime"})
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, and how many values of each kind could be compared at all."""

    problems: list[str] = field(default_factory=list)
    compared: Counter[str] = field(default_factory=Counter)
    incomparable: Counter[str] = field(default_factory=Counter)
    #: (kind, name) of what is of a kind in `CONTENT`, was there all along and changed meanwhile.
    unseen: list[tuple[str, str]] = field(default_factory=list)
    #: (kind, name) of what only the restored has.
    extra: list[tuple[str, str]] = field(default_factory=list)

    @property
    def blind(self) -> list[str]:
        """The kinds of which nothing was comparable, because all of it changed meanwhile."""
        return sorted(kind for kind in self.incomparable if not self.compared[kind])


def compare(
    before: Fingerprint,
    after: Fingerprint,
    restored: Fingerprint,
    *,
    tolerance: Mapping[str, float] | None = None,
    excused: Collection[tuple[str, str]] = (),
) -> Comparison:
    """Compare; `tolerance` is by kind, for numbers. `excused` may be there or not, and differ."""
    result = Comparison()
    for key in sorted({*before, *after, *restored}):
        if key in excused:
            continue
        if key in before and key in after:
            _judge(result, key, before[key], after[key], restored.get(key), tolerance or {})
        else:  # it came or went meanwhile
            result.incomparable[key[0]] += 1
            if key not in before and key not in after:
                result.extra.append(key)
    return result


def _judge(
    result: Comparison,
    key: tuple[str, str],
    before: Value,
    after: Value,
    restored: Value | None,
    tolerance: Mapping[str, float],
) -> None:
    kind, name = key
    if restored is None:
        result.compared[kind] += 1
        result.problems.append(f"{kind} of {name}: the restored has none")
        return
    numbers = [v for v in (before, after, restored) if isinstance(v, (int, float))]
    if len(numbers) == 3:
        slack = tolerance.get(kind, 0)
        low, high = min(numbers[:2]) - slack, max(numbers[:2]) + slack
        right = low <= numbers[2] <= high
    elif before != after:
        result.incomparable[kind] += 1
        if kind in CONTENT:
            result.unseen.append(key)
        return
    else:
        right = restored == before
    result.compared[kind] += 1
    if not right:
        shown = (
            "it differs"
            if kind in HIDDEN
            else f"{_short(restored)} where the source has {_between(before, after)}"
        )
        result.problems.append(f"{kind} of {name}: {shown}")


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of the names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _between(before: Value, after: Value) -> str:
    return _short(before) if before == after else f"{_short(before)} to {_short(after)}"


def _short(value: Value) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
