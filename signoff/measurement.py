"""What was measured, against which limit, and what that proves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The four things a measurement can say. Only `MET` is green."""

    MET = "met"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"
    UNPROVEN = "unproven"


class Cause(StrEnum):
    """Whose failure it is that a criterion is not met: what to do next depends on it."""

    SYSTEM = "system"
    FAULT = "fault"
    HARNESS = "harness"
    MEASURING = "measuring"

    @property
    def words(self) -> str:
        """What a reader is told."""
        return {
            Cause.SYSTEM: "The system missed its criterion",
            Cause.FAULT: "Nothing was tested: the fault was not in force",
            Cause.HARNESS: "The harness failed, or could not restore",
            Cause.MEASURING: "Not measurable: the error, the load or the time was not good enough",
        }[self]


class Relation(StrEnum):
    """How the value must stand to its limit."""

    AT_MOST = "<="
    BELOW = "<"
    AT_LEAST = ">="
    ABOVE = ">"
    EQUAL = "=="


@dataclass(frozen=True, slots=True)
class Measurement:
    """One criterion measured once.

    `value`, `error` and `limit` are in `unit`; `error` is the half-width of the interval that
    surely holds the true value. `n` is how many observations stand behind it. `evidence` names
    attachments or files, relative to the report's folder. `cause` is None for what is met, and for
    what this cluster cannot show. Measured of several ways to do one thing, `compared_as` says of
    which thing and which way: the report shows them side by side.
    """

    criterion: str
    feature: str
    unit: str
    verdict: Verdict
    value: float | None = None
    limit: float | None = None
    relation: Relation = Relation.AT_MOST
    error: float = 0.0
    n: int = 0
    reason: str = ""
    evidence: tuple[str, ...] = ()
    scenario: str = ""
    cause: Cause | None = None
    compared_as: tuple[str, str] | None = None


def judge(
    value: float | None, limit: float, relation: Relation, error: float, n: int
) -> tuple[Verdict, str]:
    """Give the verdict on `value ± error` against `limit`, with its reason.

    Nothing observed (`n == 0`, no value, not a number) is inconclusive, as is an interval that
    crosses the limit: then neither met nor missed is known.
    """
    if value is None or math.isnan(value) or n <= 0:
        return Verdict.INCONCLUSIVE, "nothing was observed"
    low, high = value - error, value + error
    shown = f"{value:g} ± {error:g} {relation} {limit:g}"
    if relation is Relation.EQUAL and error > 0 and low <= limit <= high:
        return Verdict.INCONCLUSIVE, f"the measuring error holds the limit: {shown}"
    held = [_holds(edge, limit, relation) for edge in (low, value, high)]
    if all(held):
        return Verdict.MET, ""
    if not any(held):
        return Verdict.MISSED, f"not {shown}"
    return Verdict.INCONCLUSIVE, f"the measuring error crosses the limit: {shown}"


def _holds(value: float, limit: float, relation: Relation) -> bool:
    match relation:
        case Relation.AT_MOST:
            return value <= limit
        case Relation.BELOW:
            return value < limit
        case Relation.AT_LEAST:
            return value >= limit
        case Relation.ABOVE:
            return value > limit
        case Relation.EQUAL:
            return value == limit
