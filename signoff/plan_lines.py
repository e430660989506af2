"""The plan's own lines, each with the scenarios that prove it, and what they say together. Pure.

`features/plan.yml` is the table; its head says what its fields mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from signoff.measurement import Measurement, Verdict

#: The worst of several verdicts is that of the line. A missed criterion outweighs everything.
_WORST_FIRST: Final = (Verdict.MISSED, Verdict.INCONCLUSIVE, Verdict.UNPROVEN, Verdict.MET)
NOT_RUN: Final = "not run"
#: The table's name in the folder of the features.
TABLE: Final = "plan.yml"


@dataclass(frozen=True, slots=True)
class Proof:
    """A feature file, relative to the features' folder, and one scenario of it or all ("")."""

    file: str
    scenario: str = ""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One line of the plan: `part` is its heading, `criteria` the beginnings of their names."""

    part: str
    line: str
    proved_by: tuple[Proof, ...]
    criteria: tuple[str, ...]
    broken_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run says of a line: the worst verdict of its criteria, or `NOT_RUN`, and why."""

    line: PlanLine
    verdict: str
    criteria: int
    reason: str


def read(path: Path) -> list[PlanLine]:
    """Read the table. Raises `KeyError`, `TypeError` when it is not of that shape."""
    parts: Mapping[str, Sequence[Mapping[str, Any]]] = yaml.safe_load(path.read_text("utf-8"))
    return [
        PlanLine(
            part,
            entry["line"],
            tuple(_proof(text) for text in entry["proved_by"]),
            tuple(entry.get("criteria", ())),
            tuple(entry["broken_by"]),
        )
        for part, entries in parts.items()
        for entry in entries
    ]


def _proof(text: str | Mapping[str, str]) -> Proof:
    # `FILE: SCENARIO` without quotes is a mapping of one entry to YAML.
    if isinstance(text, str):
        file, _, scenario = text.partition(": ")
        return Proof(file, scenario)
    ((file, scenario),) = text.items()
    return Proof(file, scenario)


def judge_lines(
    lines: Iterable[PlanLine],
    measurements: Collection[Measurement],
    feature_names: Mapping[str, str],
) -> list[Judged]:
    """Judge each line by its scenarios' criteria; `feature_names` maps files to Feature names.

    A line of which one proof was not measured at all is not met: it is `NOT_RUN`, unless what was
    measured already says worse.
    """
    return [_judged(line, measurements, feature_names) for line in lines]


def _judged(
    line: PlanLine, measurements: Collection[Measurement], feature_names: Mapping[str, str]
) -> Judged:
    found: list[Measurement] = []
    lacks = []
    for proof in line.proved_by:
        mine = [
            m
            for m in measurements
            if m.feature == feature_names.get(proof.file)
            # An outline's scenario is named with its example.
            and (not proof.scenario or m.scenario.startswith(proof.scenario))
            and (not line.criteria or m.criterion.startswith(line.criteria))
        ]
        found += mine
        if not mine:
            lacks.append(proof.file)
    for verdict in _WORST_FIRST:
        bad = [m for m in found if m.verdict is verdict]
        if bad and verdict is not Verdict.MET:
            return Judged(line, str(verdict), len(found), f"{bad[0].criterion}: {bad[0].reason}")
    if lacks or not found:
        return Judged(line, NOT_RUN, len(found), ", ".join(lacks))
    return Judged(line, str(Verdict.MET), len(found), "")


def markdown(judged: Iterable[Judged]) -> list[str]:
    """Return the sign-off's table: what the plan asks, and what this run says of it."""
    return [
        "| the plan's line | verdict | criteria | why |",
        "| --- | --- | --- | --- |",
        *(f"| {j.line.line} | {j.verdict} | {j.criteria} | {_cell(j.reason)} |" for j in judged),
    ]


def documented(judged: Iterable[Judged]) -> list[str]:
    """Return the table of docs/criteria.md: criterion, features, verdict, what turns it red."""
    rows = ["| the plan's line | feature | verdict on the twin | turned red by |"]
    rows.append("| --- | --- | --- | --- |")
    for j in judged:
        features = "<br>".join(_feature(proof) for proof in j.line.proved_by)
        broken = "<br>".join(_test(name) for name in j.line.broken_by)
        rows.append(f"| {j.line.line} | {features} | {j.verdict} | {broken} |")
    return rows


def _feature(proof: Proof) -> str:
    link = f"[{proof.file.removesuffix('.feature')}](../features/{proof.file})"
    return f"{link}: {proof.scenario}" if proof.scenario else link


def _test(name: str) -> str:
    file, _, function = name.partition("::")
    words = function.removeprefix("test_").replace("_", " ")
    return f"[{words}](../{file})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
