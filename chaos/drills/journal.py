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

from fixtures.errors import CutoverError


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


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal; one that a kill cut off at the end is left out.

    Raises `CutoverError` naming file and line for damage elsewhere.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CutoverError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="Check the path."
        ) from error
    whole, _, _ = text.rpartition("\n")
    lines = []
    for number, line in enumerate(whole.split("\n") if whole else (), 1):
        try:
            data = json.loads(line)
            if not isinstance(data, dict) or "kind" not in data:
                raise ValueError("no journal line")
        except ValueError as error:
            raise CutoverError(
                f"is not a journal's ({error})", where=f"{path}, line {number}"
            ) from error
        lines.append(data)
    return lines


def windows(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float | None]]:
    """Return each fault's label, beginning and end (None: never ended), in order of time."""
    begun: dict[str, tuple[str, float, float | None]] = {}
    for line in lines:
        if line["kind"] != "action":
            continue
        if line["action"] == "inject":
            begun[line["id"]] = (line["fault"], line["at"], None)
        elif line["action"] == "heal" and line["id"] in begun:
            label, start, _ = begun[line["id"]]
            begun[line["id"]] = (label, start, line["at"])
    return sorted(begun.values(), key=lambda window: window[1])
