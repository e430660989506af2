"""Records what was measured, so that a killed run loses nothing, and ends what was not met."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import pytest

from signoff.measurement import Cause, Measurement, Relation, Verdict, judge
from signoff.outcome import Inconclusive, Missed


class Duration(Protocol):
    """A time: `seconds` ± `error`; `reason` is set when the awaited never came."""

    @property
    def seconds(self) -> float:
        """The time, or the time waited in vain."""

    @property
    def error(self) -> float:
        """Half the width of the interval that surely holds it."""

    @property
    def reason(self) -> str:
        """Why it never came, or empty."""


class Recorder:
    """All measurements of a run, appended to one file of JSON lines as they are made."""

    def __init__(self, file: Path) -> None:
        self.measurements: list[Measurement] = []
        self.observations: list[dict[str, Any]] = []
        self.drills: list[dict[str, Any]] = []
        self._file = file

    @property
    def file(self) -> Path:
        """Where the lines are; workers of one run share it."""
        return self._file

    def add(self, measurement: Measurement, item: str = "") -> None:
        """Record a criterion's measurement; `item` is the scenario's node id."""
        self.measurements.append(measurement)
        self._append("criterion", item, asdict(measurement))

    def observe(self, item: str = "", **observation: Any) -> None:
        """Record a value that is reported without a limit."""
        self.observations.append(observation)
        self._append("observation", item, observation)

    def rehearsed(self, item: str = "", **drill: Any) -> None:
        """Record a drill, with what is needed to run it again."""
        self.drills.append(drill)
        self._append("drill", item, drill)

    def begun(self, item: str, feature: str, scenario: str) -> None:
        """Record what a scenario is called, before it can end its process."""
        self._append("begun", item, {"feature": feature, "scenario": scenario})

    def _append(self, kind: str, item: str, values: Mapping[str, Any]) -> None:
        line = json.dumps({"kind": kind, "item": item, **values}) + "\n"
        # One write at the file's end, which is never mixed with another worker's.
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)


class Measure:
    """What steps call: each call judges, records, and ends the scenario unless the verdict is met.

    Missed raises `Missed`, inconclusive `Inconclusive`; unproven skips, visibly.
    """

    def __init__(self, recorder: Recorder, *, feature: str, scenario: str, item: str = "") -> None:
        self._recorder = recorder
        self._item = item
        self._feature = feature
        self._scenario = scenario
        self.recorded: list[Measurement] = []
        #: Files, relative to the run's folder, that show what the scenario's values come from.
        self.evidence: list[str] = []
        #: The thing that is done and the way in which it is, when the report compares ways.
        self.compared_as: tuple[str, str] | None = None

    @property
    def scenario(self) -> str:
        """The scenario's name, its examples filled in."""
        return self._scenario

    @property
    def is_unproven(self) -> bool:
        """Whether the last thing recorded is that this cluster cannot show it."""
        return bool(self.recorded) and self.recorded[-1].verdict is Verdict.UNPROVEN

    def __call__(
        self,
        criterion: str,
        value: float | None,
        *,
        limit: float,
        unit: str,
        relation: Relation | str = Relation.AT_MOST,
        error: float = 0.0,
        n: int = 1,
        reason: str = "",
        evidence: Sequence[str] = (),
    ) -> Measurement:
        """Judge `value` ± `error` (in `unit`) against `limit`; `n` observations stand behind it.

        An infinite error says that they were too few.
        """
        if math.isinf(error):
            reason = f"{n} observations are too few to bound {value:g} {unit}"
            return self.inconclusive(criterion, reason)
        relation = Relation(relation)
        verdict, why = judge(value, limit, relation, error, n)
        return self.end(
            Measurement(
                criterion=criterion,
                feature=self._feature,
                scenario=self._scenario,
                unit=unit,
                verdict=verdict,
                value=value,
                limit=limit,
                relation=relation,
                error=error,
                n=n,
                reason="; ".join(part for part in (reason, why) if part),
                evidence=(*self.evidence, *evidence),
                cause={
                    Verdict.MISSED: Cause.SYSTEM,
                    Verdict.INCONCLUSIVE: Cause.MEASURING,
                }.get(verdict),
                compared_as=self.compared_as,
            )
        )

    def each(self, actions: Iterable[Callable[[], object]]) -> None:
        """Do all of several measurements, and only then end the scenario for what is not met.

        So a reader sees every route that is slow, not the first. What was missed goes before what
        was inconclusive.
        """
        ends: list[Missed | Inconclusive] = []
        for action in actions:
            try:
                action()
            except (Missed, Inconclusive) as end:
                ends.append(end)
        if ends:
            raise next((end for end in ends if isinstance(end, Missed)), ends[0])

    def violations(self, criterion: str, found: Sequence[str], *, checked: int) -> Measurement:
        """Judge a list of problems, of which there must be none, in `checked` things."""
        return self(
            criterion,
            len(found),
            limit=0,
            unit="violations",
            n=checked,
            reason="; ".join(found),
        )

    def duration(self, criterion: str, took: Duration, *, limit: float, n: int = 1) -> Measurement:
        """Judge a time against `limit` seconds."""
        return self(
            criterion,
            took.seconds,
            limit=limit,
            unit="s",
            error=took.error,
            n=n,
            reason=took.reason,
        )

    def inconclusive(
        self, criterion: str, reason: str, cause: str = Cause.MEASURING
    ) -> Measurement:
        """Record that it could not be measured, and whose failure that is."""
        return self.end(self._without_value(criterion, Verdict.INCONCLUSIVE, reason, Cause(cause)))

    def unproven(self, criterion: str, reason: str) -> Measurement:
        """Record that this cluster cannot show it."""
        return self.end(self._without_value(criterion, Verdict.UNPROVEN, reason))

    def note(self, name: str, value: float, *, unit: str, error: float = 0.0, n: int = 1) -> None:
        """Report a value that has no limit of its own."""
        self._recorder.observe(
            item=self._item,
            name=name,
            feature=self._feature,
            scenario=self._scenario,
            value=value,
            unit=unit,
            error=error,
            n=n,
            compared_as=self.compared_as,
        )

    def drill(
        self,
        name: str,
        *,
        seed: int | None,
        schedule: Sequence[Mapping[str, Any]],
        replay: str,
        journal: str,
    ) -> None:
        """Record a rehearsal: `schedule` in rows of at, fault, for; `replay` runs it again.

        `journal` is a file, relative to the run's folder.
        """
        self._recorder.rehearsed(
            item=self._item,
            name=name,
            scenario=self._scenario,
            seed=seed,
            schedule=[dict(row) for row in schedule],
            replay=replay,
            journal=journal,
        )

    def record_only(self, verdict: Verdict, reason: str, cause: Cause | None) -> None:
        """Record the scenario's own end, when no measurement of it says why it ended."""
        self.recorded.append(self._without_value(self._scenario, verdict, reason, cause))
        self._recorder.add(self.recorded[-1], self._item)

    def end(self, measurement: Measurement) -> Measurement:
        """Record `measurement`; return it only when it is met."""
        self.recorded.append(measurement)
        self._recorder.add(measurement, self._item)
        text = f"{measurement.criterion}: {measurement.verdict}: {measurement.reason}"
        match measurement.verdict:
            case Verdict.MISSED:
                raise Missed(text)
            case Verdict.INCONCLUSIVE:
                raise Inconclusive(text)
            case Verdict.UNPROVEN:
                pytest.skip(text)
        return measurement

    def _without_value(
        self, criterion: str, verdict: Verdict, reason: str, cause: Cause | None = None
    ) -> Measurement:
        return Measurement(
            criterion=criterion,
            feature=self._feature,
            scenario=self._scenario,
            unit="",
            verdict=verdict,
            reason=reason,
            evidence=tuple(self.evidence),
            cause=cause,
            compared_as=self.compared_as,
        )
