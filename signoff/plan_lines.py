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
    parts: Mapping[str, Sequence[Mapping[str, Any]]] = yaml.safe_load(path.read_text("utf-8")) or {}
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
    features: Mapping[str, tuple[str, Sequence[str]]],
) -> list[Judged]:
    """Judge each line by its scenarios' criteria; `features`: file → Feature name, scenarios.

    A line of which one scenario, or one of its criteria, was not measured at all is not met: it is
    `NOT_RUN`, unless what was measured already says worse.
    """
    return [_judged(line, measurements, features) for line in lines]


def _judged(
    line: PlanLine,
    measurements: Collection[Measurement],
    features: Mapping[str, tuple[str, Sequence[str]]],
) -> Judged:
    found: list[Measurement] = []
    lacks = []
    for proof in line.proved_by:
        feature, scenarios = features.get(proof.file, (None, ()))
        ran = [
            m
            for m in measurements
            # An outline's scenario is named with its example.
            if m.feature == feature and m.scenario.startswith(proof.scenario)
        ]
        wanted = [name for name in scenarios if name.startswith(proof.scenario)]
        for name in dict.fromkeys(m.scenario for m in ran):
            found += _of_criteria(line.criteria, [m for m in ran if m.scenario == name])
        missing = [name for name in wanted if name not in {m.scenario for m in ran}]
        if not ran or not wanted:
            lacks.append(proof.file)
        else:
            lacks += [f"{proof.file}: {name}" for name in dict.fromkeys(missing)]
    lacks += [c for c in line.criteria if not any(m.criterion.startswith(c) for m in found)]
    for verdict in _WORST_FIRST:
        bad = [m for m in found if m.verdict is verdict]
        if bad and verdict is not Verdict.MET:
            return Judged(line, str(verdict), len(found), f"{bad[0].criterion}: {bad[0].reason}")
    if lacks or not found:
        return Judged(line, NOT_RUN, len(found), ", ".join(lacks))
    return Judged(line, str(Verdict.MET), len(found), "")


def _of_criteria(chosen: tuple[str, ...], scenario: list[Measurement]) -> list[Measurement]:
    """Return a scenario's measurements of the chosen criteria (all, if none are).

    One that ended before it came to them says why under its own name.
    """
    if not chosen:
        return scenario
    found = [m for m in scenario if m.criterion.startswith(chosen)]
    if all(any(m.criterion.startswith(each) for m in found) for each in chosen):
        return found
    return found + [m for m in scenario if m.criterion == m.scenario]


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
