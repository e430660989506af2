"""What several workers measured and said, as one run. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signoff.measurement import Cause, Measurement, Relation, Verdict


@dataclass
class Gathered:
    """The recorded lines of all workers, in the order of the feature files."""

    measurements: list[Measurement] = field(default_factory=list)
    observations: list[dict[str, Any]] = field(default_factory=list)
    drills: list[dict[str, Any]] = field(default_factory=list)
    #: Node id → feature and scenario in words, of what was begun.
    names: dict[str, tuple[str, str]] = field(default_factory=dict)


def gathered(text: str, collected: Sequence[str]) -> Gathered:
    """Return what `text`, the lines of measurements.jsonl, holds; `collected` gives the order.

    A line that a kill cut off is left out.
    """
    place = {item: number for number, item in enumerate(collected)}
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    found = Gathered()
    for line in sorted(lines, key=lambda line: place.get(line.get("item", ""), len(place))):
        kind, item = line.pop("kind"), line.pop("item", "")
        match kind:
            case "criterion":
                found.measurements.append(_measurement(line))
            case "observation":
                found.observations.append(line)
            case "drill":
                found.drills.append(line)
            case "begun":
                found.names[item] = (line["feature"], line["scenario"])
    return found


def _measurement(line: dict[str, Any]) -> Measurement:
    cause, compared = line["cause"], line["compared_as"]
    return Measurement(
        **{
            **line,
            "verdict": Verdict(line["verdict"]),
            "relation": Relation(line["relation"]),
            "cause": None if cause is None else Cause(cause),
            "evidence": tuple(line["evidence"]),
            "compared_as": None if compared is None else tuple(compared),
        }
    )


def same_once(said: Iterable[Sequence[str]]) -> list[str]:
    """Return what any worker noted; what several did stands there once."""
    return list(dict.fromkeys(note for notes in said for note in notes))


def environments(by_twin: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what the workers' environments hold; what differs bears its twin's name."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for values in by_twin.values() for name in values):
        values = {twin: known[name] for twin, known in by_twin.items() if name in known}
        if len(set(values.values())) == 1:
            found[name] = next(iter(values.values()))
        else:
            found |= {f"{name} ({twin})": value for twin, value in values.items()}
    return found


def twin_name(base: str, worker: str) -> str:
    """Return the name of a worker's twin: xdist calls its workers gw0, gw1 and so on."""
    return f"{base}-{int(worker.removeprefix('gw')) + 1}"


def how_it_ran(twins: Sequence[str], quiet: Sequence[str]) -> str:
    """Return the note by which a reader knows what stood beside what."""
    alone = (
        f"{', '.join(quiet)} ran before that, with no scenario beside them."
        if quiet
        else "No file of this run asked to run alone."
    )
    return (
        f"{len(twins)} twins ({', '.join(twins)}) shared this machine, so another one's scenarios "
        f"ran beside what was measured. {alone}"
    )
