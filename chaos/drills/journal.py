"""A drill's journal: JSON lines, synced, from which its timeline can be drawn again.

    {"kind": "drill", "name", "seed", "at", "wall", "schedule": [{"at", "fault", "for"}], "replay"}
    {"kind": "action", "action": inject | in force | heal | gone | failed | abort,
     "fault", "id", "at", "error", "proof"}
    {"kind": "request", "target", "due", "latency", "ok"}
    {"kind": "steady", "at", "ok", "reason"}
    {"kind": "end", "verdict": met | missed | inconclusive | aborted, "reason", "at"}

Times are seconds of the monotonic clock of the machine that ran the drill; `wall` is UTC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO


class Journal:
    """Writes one drill's journal while it is entered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def drill(
        self,
        name: str,
        seed: int | None,
        schedule: Sequence[Mapping[str, Any]],
        replay: str,
        at: float,
    ) -> None:
        """Write the first line."""
        self._write(
            {
                "kind": "drill",
                "name": name,
                "seed": seed,
                "at": at,
                "wall": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "schedule": list(schedule),
                "replay": replay,
            }
        )

    def action(
        self, action: str, fault: str, fault_id: str, at: float, error: float, proof: str
    ) -> None:
        """Write what was done to or seen of a fault, with its proof."""
        self._write(
            {
                "kind": "action",
                "action": action,
                "fault": fault,
                "id": fault_id,
                "at": at,
                "error": error,
                "proof": proof,
            }
        )

    def requests(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Write requests that have ended, all at once."""
        if requests:
            self._write(*({"kind": "request", **request} for request in requests))

    def steady(self, at: float, ok: bool, reason: str) -> None:
        """Write one look at the steady state."""
        self._write({"kind": "steady", "at": at, "ok": ok, "reason": reason})

    def end(self, verdict: str, reason: str, at: float) -> None:
        """Write the last line."""
        self._write({"kind": "end", "verdict": verdict, "reason": reason, "at": at})

    def _write(self, *lines: Mapping[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("the journal is not open")
        self._file.write("".join(json.dumps(line) + "\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())
