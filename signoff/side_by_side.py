"""Ways to do one thing, measured alike and shown in one table a thing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signoff.measurement import Measurement, Verdict


@dataclass(frozen=True)
class Comparison:
    """One table: `cells` maps what was measured → way → the values, newest last."""

    thing: str
    ways: list[str] = field(default_factory=list)
    cells: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def cell(self, what: str, way: str) -> str:
        """Return the text of one cell; `-` for what was not measured of that way."""
        return ", ".join(self.cells[what].get(way, [])) or "-"

    def _add(self, what: str, way: str, text: str) -> None:
        if way not in self.ways:
            self.ways.append(way)
        self.cells.setdefault(what, {}).setdefault(way, []).append(text)


def comparisons(
    measurements: Sequence[Measurement], observations: Sequence[Mapping[str, Any]]
) -> list[Comparison]:
    """Return a table for each thing that was measured of two ways or more."""
    tables: dict[str, Comparison] = {}

    def table(compared_as: Sequence[str]) -> tuple[Comparison, str]:
        thing, way = compared_as
        return tables.setdefault(thing, Comparison(thing)), way

    for m in measurements:
        if m.compared_as is not None:
            comparison, way = table(m.compared_as)
            value = shown(m.value, m.error, m.unit)
            text = value if m.verdict is Verdict.MET else f"{m.verdict} ({value})"
            comparison._add(m.criterion, way, text)
    for observation in observations:
        if observation.get("compared_as"):
            comparison, way = table(observation["compared_as"])
            value = shown(observation["value"], observation["error"], observation["unit"])
            comparison._add(observation["name"], way, value)
    return [table for table in tables.values() if len(table.ways) > 1]


def shown(value: float | None, error: float, unit: str) -> str:
    """Return value ± error with its unit."""
    if value is None:
        return "-"
    if float(value).is_integer() and not error:
        return f"{value:g} {unit}".strip()
    return f"{value:.2f} ± {error:.2f} {unit}".strip()
