"""The sign-off: measurements in, READY or NOT READY and why out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from signoff import acceptance
from signoff.acceptance import Accepted
from signoff.measurement import Cause, Measurement, Relation, Verdict
from signoff.plan_lines import NOT_RUN, TABLE, Judged, markdown
from signoff.side_by_side import comparisons, shown

_SIGNS = {Relation.AT_MOST: "≤", Relation.AT_LEAST: "≥", Relation.EQUAL: "="}


@dataclass(frozen=True)
class Signoff:
    """Everything that the sign-off states.

    `collected` and `ran` are scenario counts; `complete` says whether the run was of all features;
    `not_run` names scenarios that were collected and did not run; `plan` is what that comes to for
    each line of the plan; `accepted` is what people answer for where this cluster cannot show it.
    """

    cluster: str
    started: str
    seed: int
    command: str
    measurements: Sequence[Measurement]
    observations: Sequence[dict[str, Any]] = ()
    drills: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    standins: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    not_run: Sequence[str] = ()
    failed: Sequence[str] = ()
    plan: Sequence[Judged] = ()
    accepted: Sequence[Accepted] = ()

    @property
    def ready(self) -> bool:
        """Whether every criterion of a complete run is met, or unproven and accepted."""
        return not self.objections

    @property
    def objections(self) -> list[str]:
        """Return what stands between this run and READY."""
        objections = []
        for verdict in (Verdict.MISSED, Verdict.INCONCLUSIVE):
            count = sum(m.verdict is verdict for m in self.measurements)
            if count:
                objections.append(f"{count} {verdict}")
        if left := len(acceptance.open_ones(self.measurements, self.accepted)):
            objections.append(f"{left} {Verdict.UNPROVEN}")
        if not self.measurements:
            objections.append("nothing was measured")
        if self.failed and not objections:
            objections.append(f"{len(self.failed)} scenarios failed")
        if not self.complete:
            objections.append("only a part of the features was run")
        # READY speaks of the plan, and without its table nothing says what of it was shown.
        if self.complete and not self.plan:
            objections.append(f"no line of the plan in features/{TABLE}")
        # A whole run that says nothing of a line: its feature was taken away, or has no criterion.
        if self.complete and (silent := [j for j in self.plan if j.verdict == NOT_RUN]):
            objections.append(f"{len(silent)} lines of the plan not shown")
        if self.not_run:
            objections.append(f"{len(self.not_run)} scenarios did not run")
        return objections

    @property
    def headline(self) -> str:
        """READY or NOT READY, with the reason."""
        count = len(self.measurements)
        unproven = sum(m.verdict is Verdict.UNPROVEN for m in self.measurements)
        if self.ready and unproven:
            used = [a for a in self.accepted if any(a.covers(m) for m in self.measurements)]
            people = ", ".join(dict.fromkeys(each.by for each in used))
            return (
                f"READY: {count - unproven} of {count} criteria are met, "
                f"and {unproven} unproven ones accepted by {people}"
            )
        if self.ready:
            return f"READY: all {count} criteria are met"
        return f"NOT READY: {', '.join(self.objections)} (of {count} criteria)"


def as_json(signoff: Signoff) -> dict[str, Any]:
    """Return the content of signoff.json."""
    return {
        "cluster": signoff.cluster,
        "started": signoff.started,
        "seed": signoff.seed,
        "ready": signoff.ready,
        "headline": signoff.headline,
        "plan": [
            {"line": j.line.line, "verdict": j.verdict, "criteria": j.criteria, "reason": j.reason}
            for j in signoff.plan
        ],
        "criteria": [_criterion(m) for m in signoff.measurements],
        "accepted": [each.model_dump() for each in signoff.accepted],
        "observations": list(signoff.observations),
        "side_by_side": [
            {"thing": table.thing, "ways": table.ways, "measured": table.cells}
            for table in comparisons(signoff.measurements, signoff.observations)
        ],
        "drills": list(signoff.drills),
        "notes": list(signoff.notes),
        "standins": signoff.standins,
        "environment": signoff.environment,
        "not_run": list(signoff.not_run),
        "command": signoff.command,
    }


def as_markdown(signoff: Signoff) -> str:
    """Return the text of signoff.md."""
    lines = [
        f"# {signoff.cluster}: {signoff.headline}",
        "",
        f"Started {signoff.started}, seed {signoff.seed}. The whole story: [report](report.html).",
        "",
        *(
            ["## The plan", "", *markdown(signoff.plan), "", "## Criteria", ""]
            if signoff.plan
            else []
        ),
        "| verdict | criterion | measured | limit | n | scenario | evidence |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {m.verdict} | {_cell(m.criterion)} | {measured(m)} | {limit(m)} | {m.n} "
        f"| {_cell(m.scenario)} | {_links(m)} |"
        for m in signoff.measurements
    ]
    reasons = [m for m in signoff.measurements if m.verdict is not Verdict.MET]
    if reasons:
        lines += ["", "## Why not met"]
    for cause in (*Cause, None):
        found = [m for m in reasons if m.cause is cause]
        if found:
            lines += ["", f"**{cause.words if cause else 'This cluster cannot show it'}:**", ""]
            lines += [
                f"- **{m.scenario}: {m.criterion}** ({m.verdict}): {_item(m.reason)}" for m in found
            ]
    if signoff.accepted:
        lines += ["", "## Accepted without proof", ""]
        lines += acceptance.markdown(signoff.accepted, signoff.measurements)
    for table in comparisons(signoff.measurements, signoff.observations):
        lines += ["", f"## Side by side: {table.thing}", "", f"| | {' | '.join(table.ways)} |"]
        lines.append(f"| --- |{' --- |' * len(table.ways)}")
        lines += [
            f"| {_cell(what)} | {' | '.join(_cell(table.cell(what, way)) for way in table.ways)} |"
            for what in table.cells
        ]
    for drill in signoff.drills:
        lines += ["", *_drill(drill)]
    if signoff.observations:
        lines += ["", "## Also measured", "", "| what | value | scenario |", "| --- | --- | --- |"]
        lines += [
            f"| {_cell(o['name'])} | {shown(o['value'], o['error'], o['unit'])} "
            f"| {_cell(o['scenario'])} |"
            for o in signoff.observations
        ]
    if signoff.standins:
        lines += ["", "## Stand-ins", ""]
        lines += [f"- {name}: {text}" for name, text in signoff.standins.items()]
    if signoff.notes or signoff.not_run:
        lines += ["", "## Notes", ""]
        lines += [f"- {note}" for note in signoff.notes]
        lines += [f"- not run: {scenario}" for scenario in signoff.not_run]
    if signoff.environment:
        lines += ["", "## Environment", ""]
        lines += [f"- {name}: {value}" for name, value in signoff.environment.items()]
    lines += ["", f"Again: `{signoff.command}`", ""]
    return "\n".join(lines)


def _drill(drill: dict[str, Any]) -> list[str]:
    """Return the section of one drill: what was broken when, and how to do that again."""
    seed = "" if drill["seed"] is None else f", seed {drill['seed']}"
    return [
        f"## Drill: {drill['name']}{seed}",
        "",
        f"Again: `{drill['replay']}`. Everything that happened: "
        f"[{PurePosixPath(drill['journal']).name}]({drill['journal']}).",
        "",
        "| at | fault | for |",
        "| --- | --- | --- |",
        *(f"| {r['at']:g} s | {_cell(r['fault'])} | {r['for']:g} s |" for r in drill["schedule"]),
    ]


def measured(m: Measurement) -> str:
    """Return value ± error with its unit."""
    return shown(m.value, m.error, m.unit)


def limit(m: Measurement) -> str:
    """Return the limit with its sign and unit."""
    if m.limit is None:
        return "-"
    return f"{_SIGNS.get(m.relation, m.relation)} {m.limit:g} {m.unit}".strip()


def _links(m: Measurement) -> str:
    """Link to the evidence; what has none of its own stands in the report with its steps."""
    files = m.evidence or ("report.html",)
    return ", ".join(f"[{PurePosixPath(file).suffix[1:]}]({file})" for file in files)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _item(text: str) -> str:
    """Keep text of several lines within its item of the list."""
    return text.replace("\n", "\n  ")


def _criterion(m: Measurement) -> dict[str, Any]:
    return {
        "criterion": m.criterion,
        "feature": m.feature,
        "limit": m.limit,
        "unit": m.unit,
        "value": m.value,
        "error": m.error,
        "n": m.n,
        "verdict": str(m.verdict),
        "cause": str(m.cause) if m.cause else None,
        "reason": m.reason,
        "evidence": list(m.evidence),
        "relation": str(m.relation),
        "scenario": m.scenario,
    }
