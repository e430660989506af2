"""What a probe records of each request, and reading it back while it grows.

The file is JSON lines: a header, a line for each sample when it has ended, a trailer when the probe
ended in order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from load.growing_file import whole_lines

# What an entry is marked with when another one gave the right answer first.
NOT_AWAITED: Final = "not awaited"
# How the result of a request begins that the generator itself could not send.
NOT_SENT: Final = "not sent"

HEADER, TRAILER = "header", "trailer"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request to a target, asked at all its entries side by side.

    `seq` counts the requests to the target from 0. Times are CLOCK_MONOTONIC seconds of the machine
    that asked. `ok`: at least one entry gave the right answer in time. `entries` maps each entry to
    `ok` or what was wrong with it.
    """

    target: str
    seq: int
    due: float
    started: float
    ended: float
    ok: bool
    entries: dict[str, str]
    served_by: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when the request was due: a late start counts (open loop)."""
        return self.ended - self.due

    @property
    def lag(self) -> float:
        """Seconds by which the generator itself was late."""
        return self.started - self.due

    def as_line(self) -> str:
        """Return the sample as a line of JSON."""
        return json.dumps(
            {name: getattr(self, name) for name in self.__slots__}, separators=(",", ":")
        )


@dataclass
class Recording:
    """A probe's file, read on from where it was left.

    A sample is written when its request ends, so a quick good answer is written before the slow bad
    one that was due earlier. Only the settled ones are shown: those before which none is missing.
    A last line that a kill cut off is left out.
    """

    path: Path
    header: dict[str, Any] = field(default_factory=dict)
    trailer: dict[str, Any] = field(default_factory=dict)
    _offset: int = 0
    _settled: dict[str, list[Sample]] = field(default_factory=dict)
    _overtaking: dict[tuple[str, int], Sample] = field(default_factory=dict)

    def samples(self, target: str) -> list[Sample]:
        """Return the settled samples of one target so far, in the order in which they were due.

        Raises `ValueError` for a whole line that is none of ours.
        """
        self._read_on()
        return list(self._settled.get(target, ()))

    def _read_on(self) -> None:
        lines, self._offset = whole_lines(self.path, self._offset)
        for line in lines:
            self._take(json.loads(line))

    def _take(self, record: dict[str, Any]) -> None:
        if HEADER in record:
            self.header = record[HEADER]
        elif TRAILER in record:
            self.trailer = record[TRAILER]
        else:
            try:
                self._place(Sample(**record))
            except TypeError as error:
                raise ValueError(f"{self.path}: no sample: {error}") from error

    def _place(self, sample: Sample) -> None:
        self._overtaking[sample.target, sample.seq] = sample
        settled = self._settled.setdefault(sample.target, [])
        while following := self._overtaking.pop((sample.target, len(settled)), None):
            settled.append(following)
