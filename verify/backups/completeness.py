"""Whether a backup is whole and of the right thing, without restoring it.

It is the first look, not the proof: only a restore says that it can be restored.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verify.backups.names import Backup
from verify.backups.redis import DumpCheck
from verify.backups.store import Store

_SUMMARY: Final = Path(__file__).with_name("dump_summary.awk").read_text(encoding="utf-8")
_READ_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class DumpSeen:
    """What a plain dump holds. `broken` says why it cannot be read to its end; else it is empty.

    `rows` has only tables whose data came to an end. `marked`: the mark asked for is in the data.
    """

    broken: str = ""
    ended: bool = False
    tables: frozenset[str] = frozenset()
    rows: dict[str, int] = field(default_factory=dict)
    roles: int = 0
    marked: bool = False


@dataclass(frozen=True, slots=True)
class ArchiveSeen:
    """What a volume archive holds: its members' paths, and whether the mark's file is right."""

    broken: str
    members: frozenset[str]
    marked: bool


def read_dump(store: Store, dump: Backup, *, mark: str = "") -> DumpSeen:
    """Read a dump where it lies, to its end. Raises `CutoverError` only if the node fails."""
    path = shlex.quote(f"{store.path}/{dump.path}")
    awk = shlex.join(["awk", "-v", f"mark={mark}", _SUMMARY])
    script = f"set -o pipefail; gzip -dc -- {path} | LC_ALL=C {awk}"
    done = store.node.run(shlex.join(["bash", "-c", script]), timeout=_READ_SECONDS, check=False)
    return parse_dump(done.rc, done.stdout, done.stderr)


def parse_dump(rc: int, printed: str, stderr: str) -> DumpSeen:
    """Read the summary of a dump."""
    tables, rows = set(), {}
    roles, flags = 0, set()
    for line in printed.splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "table":
                tables.add(rest.replace('"', ""))
            case "rows":
                table, _, count = rest.rpartition(" ")
                rows[table.replace('"', "")] = int(count)
            case "roles":
                roles = int(rest)
            case _:
                flags.add(word)
    broken = (" ".join(stderr.split()) or f"ended with {rc}") if rc else ""
    return DumpSeen(broken, "end" in flags, frozenset(tables), rows, roles, "mark" in flags)


def dump_problems(seen: DumpSeen, tables: Collection[str], *, marked: bool = False) -> list[str]:
    """Say why a database's dump is none of the database with `tables`.

    With `marked` it also has to hold the mark that was written before it began.
    """
    problems = _stream_problems(seen)
    if not seen.tables:
        problems.append("it holds no table")
    elif missing := sorted(set(tables) - seen.tables):
        problems.append(f"it lacks the source's {', '.join(missing)}")
    if marked and not seen.marked:
        problems.append("it lacks a row that was written before it began")
    return problems


def roles_problems(seen: DumpSeen, roles: int) -> list[str]:
    """Say why the saved roles are not those of a server that has `roles` of them."""
    problems = _stream_problems(seen)
    if seen.roles < roles:
        problems.append(f"it holds {seen.roles} roles of the source's {roles}")
    return problems


def redis_problems(seen: DumpCheck, *, keys: int, marked: bool = False) -> list[str]:
    """Say why a dump is none of a Redis that has `keys` keys; their number changes by itself.

    With `marked` it also has to hold the mark that was written before it began.
    """
    problems = [seen.problem] if seen.problem else []
    if seen.made is None:
        problems.append("it does not say when it was made")
    if keys and not seen.keys:
        problems.append(f"it holds no key, where the source has {keys}")
    if marked and not seen.marked:
        problems.append("it lacks a key that was written before it began")
    return problems


def read_archive(store: Store, archive: Backup, *, mark_path: str, mark: str) -> ArchiveSeen:
    """List an archive where it lies. Raises `CutoverError` only if the node fails."""
    path = shlex.quote(f"{store.path}/{archive.path}")
    listed = store.node.run(
        f"tar --list --gzip --quoting-style=literal --file {path}",
        timeout=_READ_SECONDS,
        check=False,
    )
    content = store.node.run(
        f"tar --extract --to-stdout --gzip --file {path} {shlex.quote(mark_path)}",
        timeout=_READ_SECONDS,
        check=False,
    )
    broken = (" ".join(listed.stderr.split()) or f"tar: {listed.rc}") if listed.rc else ""
    members = frozenset(line.rstrip("/") for line in listed.stdout.splitlines())
    return ArchiveSeen(broken, members, content.rc == 0 and content.stdout == mark)


def archive_problems(
    seen: ArchiveSeen, folders: Collection[str], *, marked: bool = False
) -> list[str]:
    """Say why an archive is none of volumes that have to be its `folders`."""
    problems = [f"it cannot be read: {seen.broken}"] if seen.broken else []
    problems += [
        f"it has nothing of {folder}"
        for folder in sorted(folders)
        if not any(m == folder or m.startswith(f"{folder}/") for m in seen.members)
    ]
    if marked and not seen.marked:
        problems.append("it lacks a file that was written before it began")
    return problems


def _stream_problems(seen: DumpSeen) -> list[str]:
    problems = [f"it cannot be read: {seen.broken}"] if seen.broken else []
    if not seen.ended:
        problems.append("it has no end marker: pg_dump did not finish")
    return problems
