"""Criteria that a cluster cannot show, and that a person answers for instead, with a reason.

`pytest features/ --accept FILE` reads them. A missed or inconclusive criterion cannot be accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fixtures.reasons import written_reason
from fixtures.yaml_file import read_model
from signoff.measurement import Measurement, Verdict

_EXAMPLE: Final = "docs/real-servers.md shows a complete one."


class Accepted(BaseModel):
    """`by` answers for `criterion` where it is unproven: in `scenario`, or in any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: Annotated[str, Field(min_length=1)]
    scenario: str = ""
    reason: Annotated[str, AfterValidator(written_reason)]
    by: Annotated[str, Field(min_length=1)]

    def covers(self, measurement: Measurement) -> bool:
        """Whether this is about `measurement`, and may be."""
        return (
            measurement.verdict is Verdict.UNPROVEN
            and measurement.criterion == self.criterion
            and self.scenario in ("", measurement.scenario)
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accepted: Annotated[list[Accepted], Field(min_length=1)]


def load(path: Path) -> list[Accepted]:
    """Read an acceptance file. Raises `CutoverError` naming file, field and remedy."""
    return read_model(_File, path, example=_EXAMPLE).accepted


def open_ones(
    measurements: Iterable[Measurement], accepted: Iterable[Accepted]
) -> list[Measurement]:
    """Return what is unproven and nobody answers for."""
    accepted = list(accepted)
    return [
        m
        for m in measurements
        if m.verdict is Verdict.UNPROVEN and not any(each.covers(m) for each in accepted)
    ]


def markdown(accepted: Iterable[Accepted], measurements: Iterable[Measurement]) -> list[str]:
    """Return the list of the sign-off: who answers for what, and what needs no answer any more."""
    measurements = list(measurements)
    lines = []
    for each in accepted:
        place = f"{each.scenario}: " if each.scenario else ""
        about = f"- **{place}{each.criterion}**, by {each.by}: {each.reason}"
        if not any(each.covers(m) for m in measurements):
            about += " (Not unproven in this run: take it out of the file.)"
        lines.append(about)
    return lines
