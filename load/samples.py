"""What a probe records of each request, and reading it back. The file is JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# What an entry is marked with when another one gave the right answer first.
NOT_AWAITED = "not awaited"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request to a target, asked at all its entries side by side.

    Times are CLOCK_MONOTONIC seconds of the machine that asked. `ok`: at least one entry gave the
    right answer in time. `entries` maps each entry to `ok` or what was wrong with it.
    """

    target: str
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


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Read samples; a last line that a kill cut off is left out."""
    for line in lines:
        try:
            yield Sample(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            if line.endswith("\n"):
                raise
            return


def read(path: Path) -> list[Sample]:
    """Read all samples of a file, in the order in which they were due."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return sorted(parse(file), key=lambda sample: sample.due)
