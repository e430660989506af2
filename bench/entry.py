"""One line of the benchmark table, as `reports/bench.json` holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """`value` and `floor` in `unit`; `ratio` is value / floor; `n` is how often each was run.

    `worst` is the largest of the n values, where it matters.
    """

    name: str
    value: float
    unit: str
    floor: float
    n: int
    worst: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the floor it took."""
        return self.value / self.floor

    def as_json(self) -> dict[str, Any]:
        """Return the entry with its ratio, rounded for reading."""
        rounded: dict[str, Any] = {"value": round(self.value, 3), "floor": round(self.floor, 3)}
        if self.worst is not None:
            rounded["worst"] = round(self.worst, 3)
        return {**asdict(self), **rounded, "ratio": round(self.ratio, 3)}


def table(entries: list[Entry]) -> str:
    """Return the entries as aligned text."""
    rows = [("benchmark", "value", "worst", "floor", "unit", "ratio", "n")]
    rows += [
        (
            e.name,
            f"{e.value:.2f}",
            "-" if e.worst is None else f"{e.worst:.2f}",
            f"{e.floor:.2f}",
            e.unit,
            f"{e.ratio:.2f}",
            str(e.n),
        )
        for e in entries
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, 4) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
