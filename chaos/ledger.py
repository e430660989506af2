"""The ledger of faults in force: on disk, synced, before anything is broken.

One JSON line an event. A fault is *open* from its intent until it was healed. Several processes
append to the file (a run, its watchdog, somebody's `heal`), each line in one write under a lock. A
line that cannot be read (a machine that died while it was written) is reported and passed over: it
must not stop the healing of all others.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chaos.fault import Plan, Step, from_json, to_json
from fixtures import folders
from fixtures.locking import locked

_FILE: Final = "faults.jsonl"
_LOCK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its id, and when it started (clock ticks since boot), as ids are used again."""

    pid: int
    started: int

    @staticmethod
    def me() -> Owner:
        """Return this process."""
        return Owner(os.getpid(), _started(os.getpid()) or 0)

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return _started(self.pid) == self.started


def _started(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat (proc_pid_stat(5)); None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Open:
    """A fault that is, or may be, in force."""

    id: str
    label: str
    source: str
    owner: Owner
    steps: tuple[Step, ...]
    touches: frozenset[str]
    takes_away: frozenset[str]
    at: float


class Ledger:
    """One cluster's ledger. `source` is how a later process opens the cluster again."""

    def __init__(self, file: Path, source: str) -> None:
        self.file = file
        self.source = source

    @staticmethod
    def of(cluster: str, source: str) -> Ledger:
        """Return the ledger of the cluster of that name."""
        return Ledger(folders.cluster_folder(cluster) / _FILE, source)

    def intend(self, fault_id: str, label: str, plan: Plan, owner: Owner) -> None:
        """Write down, before it happens, how the fault is undone. Returns when it is on disk."""
        self._append(
            {
                "event": "intent",
                "id": fault_id,
                "fault": label,
                "source": self.source,
                "owner": {"pid": owner.pid, "started": owner.started},
                "at": time.time(),
                "touches": sorted(plan.touches),
                "takes_away": sorted(plan.takes_away),
                "steps": [to_json(step) for step in plan.steps],
            }
        )

    def in_force(self, fault_id: str, proof: str) -> None:
        """Write down that the fault was seen to be in force."""
        self._append({"event": "in force", "id": fault_id, "at": time.time(), "proof": proof})

    def healed(self, fault_id: str) -> None:
        """Write down that nothing is left of the fault (nor, perhaps, of a twin that it was on)."""
        if not self.file.exists():
            return
        self._append({"event": "healed", "id": fault_id, "at": time.time()})

    def open(self) -> list[Open]:
        """Return the faults that were not healed, oldest first."""
        return self.read()[0]

    def read(self) -> tuple[list[Open], list[str]]:
        """Return the open faults, oldest first, and what could not be read."""
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return [], []
        return parse(text, str(self.file))

    def _append(self, line: dict[str, Any]) -> None:
        with locked(self._lock, what="the ledger of faults", within=_LOCK_SECONDS):
            new = not self.file.exists()
            with self.file.open("ab+") as file:
                # After a half-written line the next one must not become its end.
                start = b""
                if file.tell() and _last_byte(file) != b"\n":
                    start = b"\n"
                file.write(start + json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if new:
                _sync_folder(self.file.parent)

    @property
    def _lock(self) -> Path:
        return self.file.with_suffix(".lock")

    def forget(self) -> None:
        """Begin anew when nothing is open, so that the file does not grow for ever."""
        with locked(self._lock, what="the ledger of faults", within=_LOCK_SECONDS):
            opened, damage = self.read()
            if not opened and not damage:
                self.file.unlink(missing_ok=True)


def parse(text: str, where: str) -> tuple[list[Open], list[str]]:
    """Return the open faults in a ledger's text, oldest first, and a sentence on each bad line."""
    opened: dict[str, Open] = {}
    damage = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            event = data["event"]
            if event == "intent":
                opened[data["id"]] = _open(data)
            elif event == "healed":
                opened.pop(data["id"], None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            damage.append(f"{where}: line {number} cannot be read ({error}) and is passed over")
    return list(opened.values()), damage


def ledgers() -> list[Path]:
    """Return the ledgers of all clusters that have one."""
    return sorted((folders.state_home() / "clusters").glob(f"*/{_FILE}"))


def sources(opened: Sequence[Open]) -> set[str]:
    """Return how the clusters of these faults are opened."""
    return {entry.source for entry in opened}


def _open(data: dict[str, Any]) -> Open:
    return Open(
        id=str(data["id"]),
        label=str(data["fault"]),
        source=str(data["source"]),
        owner=Owner(int(data["owner"]["pid"]), int(data["owner"]["started"])),
        steps=tuple(from_json(step) for step in data["steps"]),
        touches=frozenset(data["touches"]),
        takes_away=frozenset(data["takes_away"]),
        at=float(data["at"]),
    )


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
