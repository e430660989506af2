"""What lies in a store: parsed from one `find`, pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Prints what `parse_listing` reads: path, type, type behind links, size, mtime, inode, target.
FIND: Final = r"find . -ignore_readdir_race -mindepth 1 -printf '%P\0%y\0%Y\0%s\0%T@\0%i\0%l\0'"
_FIELDS: Final = 7
#: What gzip makes of nothing. A job whose dump failed leaves such a file under a good name.
_EMPTY_GZIP: Final = 20
# What %Y says of a link that leads nowhere, in a circle, or where it cannot be followed.
_NOWHERE: Final = frozenset("NL?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a store; `size` in bytes, `mtime` in Unix seconds of the store's node."""

    path: str
    is_file: bool
    leads_nowhere: bool
    size: int
    mtime: float
    inode: int
    target: str


def parse_listing(printed: str) -> list[Entry]:
    """Read what `FIND` printed. Raises `ValueError` for anything else."""
    values = printed.split("\0")[:-1]
    if len(values) % _FIELDS:
        raise ValueError(f"{len(values)} values are no whole number of entries")
    entries = []
    for start in range(0, len(values), _FIELDS):
        path, kind, behind, size, mtime, inode, target = values[start : start + _FIELDS]
        nowhere = kind == "l" and behind in _NOWHERE
        entries.append(
            Entry(path, kind == "f", nowhere, int(size), float(mtime), int(inode), target)
        )
    return entries


def holds_something(entry: Entry) -> bool:
    """Say whether it is a file that can be a copy of anything: neither empty nor nothing zipped."""
    return entry.is_file and entry.size > (_EMPTY_GZIP if entry.path.endswith(".gz") else 0)


def link_problems(entries: list[Entry]) -> list[str]:
    """Say which links lead nowhere: a copy of the name without what it named."""
    return [f"{e.path} is a link to nothing ({e.target})" for e in entries if e.leads_nowhere]
