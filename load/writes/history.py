"""What writers did, as their history file tells it. Only reading it; nothing here changes it.

The file holds what `load/agents/write_agent.py` printed, line by line, as it arrived. A last line
that a kill cut off is left out: what it would have said is not known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from load.growing_file import whole_lines
from load.samples import Sample

#: What the writers' samples are called.
WRITES: Final = "writes"


class Became(StrEnum):
    """What became of a write, as its writer was told."""

    ACKNOWLEDGED = "ack"
    REFUSED = "fail"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Write:
    """One key. Times are monotonic seconds: the writer's in a file, the harness's after `shifted`.

    `ended` is None as long as no line tells how it ended: it may have been executed. `detail` is
    the server that acknowledged it, or why it did not end well.
    """

    key: int
    due: float
    invoked: float
    ended: float | None = None
    became: Became = Became.UNKNOWN
    detail: str = "nothing was recorded of its end"

    @property
    def acknowledged(self) -> bool:
        """Whether the writer was told that it is committed."""
        return self.became is Became.ACKNOWLEDGED

    def shifted(self, seconds: float) -> Write:
        """Return it on a clock that shows `seconds` more."""
        ended = None if self.ended is None else self.ended + seconds
        return Write(
            self.key,
            self.due + seconds,
            self.invoked + seconds,
            ended,
            self.became,
            self.detail,
        )


@dataclass
class History:
    """A history file, read on from where it was left while it grows.

    `begun` and `ended` are the writer's clock; `failure` says why it could not even begin.
    `echoes` maps what the writer was sent to when it read that.
    """

    path: Path
    orders: dict[str, Any] = field(default_factory=dict)
    begun: float | None = None
    ended: float | None = None
    failure: str = ""
    echoes: dict[str, float] = field(default_factory=dict)
    last: float | None = None
    _writes: dict[int, Write] = field(default_factory=dict)
    _offset: int = 0

    def read_on(self) -> None:
        """Take in what was added. Raises `ValueError` for a whole line that is none of ours."""
        lines, self._offset = whole_lines(self.path, self._offset)
        for line in lines:
            self._take(line)

    def writes(self) -> list[Write]:
        """Return every write so far, in the order of their keys."""
        self.read_on()
        return [self._writes[key] for key in sorted(self._writes)]

    def _take(self, line: bytes) -> None:
        try:
            kind, at, *rest = json.loads(line)
            self._note(kind, float(at), rest)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{self.path}: no line of a history: {line[:200]!r}") from error
        self.last = float(at)

    def _note(self, kind: str, at: float, rest: list[Any]) -> None:
        match kind:
            case "begin":
                self.begun, self.orders = at, dict(rest[0])
            case "invoke":
                key, due = rest
                if key in self._writes:
                    raise ValueError(f"key {key} was invoked twice")
                self._writes[key] = Write(key, due, at)
            case "echo":
                self.echoes[rest[0]] = at
            case "end":
                self.ended = at
            case "failure":
                self.failure = str(rest[0])
            case _:
                key, detail = rest
                write = self._writes[key]
                write.ended, write.became, write.detail = at, Became(kind), str(detail)


def settled(writes: list[Write]) -> list[Write]:
    """Return those before which none is still under way, of `writes` in the order of their keys."""
    for index, write in enumerate(writes):
        if write.ended is None:
            return writes[:index]
    return writes


def as_samples(writes: list[Write]) -> list[Sample]:
    """Return settled writes as requests, of which the acknowledged are good."""
    return [
        Sample(
            WRITES,
            seq,
            write.due,
            write.invoked,
            write.ended,
            write.acknowledged,
            {WRITES: "ok" if write.acknowledged else write.detail},
            write.detail if write.acknowledged else "",
        )
        for seq, write in enumerate(writes)
        if write.ended is not None
    ]
