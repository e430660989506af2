"""When a drill stops at once: conditions stated in its file, judged on what was observed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Shares of fewer requests say little.
_LEAST_REQUESTS: Final = 50


@dataclass(frozen=True, slots=True)
class Observed:
    """What the conditions are judged on.

    `requests` and `bad` count since the first fault, over all targets; `bad_in_a_row` is the
    longest run now under way at any one target. `nodes_down` are those that no fault of the drill
    took away. `replica_streaming` is None when nobody looked. `without_leader` is in seconds.
    """

    requests: int = 0
    bad: int = 0
    bad_in_a_row: int = 0
    nodes_down: Sequence[str] = ()
    replica_streaming: bool | None = None
    without_leader: float = 0.0


class Condition(BaseModel):
    """One condition: exactly one of its fields is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_budget_percent: Annotated[float, Field(ge=0, lt=100)] | None = None
    bad_requests_in_a_row: Annotated[int, Field(ge=1)] | None = None
    nodes_down: Annotated[int, Field(ge=1)] | None = None
    replica_lost: bool | None = None
    no_leader_for: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Condition:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"must be exactly one of {', '.join(type(self).model_fields)}")
        return self

    def violated(self, seen: Observed) -> str:
        """Return one sentence when the condition is violated, or an empty text."""
        if self.error_budget_percent is not None and seen.requests >= _LEAST_REQUESTS:
            share = 100 * seen.bad / seen.requests
            if share > self.error_budget_percent:
                return (
                    f"{seen.bad} of {seen.requests} requests failed: {share:.1f} % is beyond the "
                    f"error budget of {self.error_budget_percent:g} %"
                )
        if (
            self.bad_requests_in_a_row is not None
            and seen.bad_in_a_row >= self.bad_requests_in_a_row
        ):
            return f"{seen.bad_in_a_row} requests in a row failed"
        if self.nodes_down is not None and len(seen.nodes_down) >= self.nodes_down:
            return f"down beside the drill's own faults: {', '.join(sorted(seen.nodes_down))}"
        if self.replica_lost and seen.replica_streaming is False:
            return "the replica does not stream"
        if self.no_leader_for is not None and seen.without_leader >= self.no_leader_for:
            return f"no leader for {seen.without_leader:.0f} s"
        return ""


def violated(conditions: Sequence[Condition], seen: Observed) -> str:
    """Return what the first violated condition says, or an empty text."""
    return next((said for each in conditions if (said := each.violated(seen))), "")
