"""When requests are due: load shapes as stretches of rate, and the schedule they make. Pure.

Request i is due when the integral of the rate reaches i, whatever became of the requests before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST_SECONDS: Final = 24 * 3600.0
MOST_REQUESTS: Final = 20_000_000

Rate = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Steady(_Strict):
    """The same rate all the time."""

    kind: Literal["steady"]
    rate: Rate
    seconds: Seconds


class Ramp(_Strict):
    """From one rate to another in a straight line."""

    kind: Literal["ramp"]
    start: Rate
    end: Rate
    seconds: Seconds


class Spike(_Strict):
    """A sudden peak within a steady rate: `before`, `during` and `after` are in seconds."""

    kind: Literal["spike"]
    rate: Rate
    peak: Rate
    before: Seconds
    during: Seconds
    after: Seconds


class Soak(_Strict):
    """A steady rate for hours, after a ramp of `warm_up` seconds: leaks show late."""

    kind: Literal["soak"]
    rate: Rate
    hours: Annotated[float, Field(gt=0, le=23)]
    warm_up: Seconds = 60


class Step(_Strict):
    """Level upon level, each `factor` times the last and `seconds` long, from `start` to `most`."""

    kind: Literal["step"]
    start: Rate
    most: Rate
    factor: Annotated[float, Field(gt=1, le=10)] = 1.25
    seconds: Seconds

    @model_validator(mode="after")
    def _rises(self) -> Step:
        if self.most < self.start:
            raise ValueError("most is below start")
        return self


Shape = Annotated[Steady | Ramp | Spike | Soak | Step, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Stretch:
    """`seconds` in which the rate goes in a straight line from `start` to `end` (a second)."""

    seconds: float
    start: float
    end: float

    @property
    def requests(self) -> float:
        """How many requests are due in it."""
        return self.seconds * (self.start + self.end) / 2


def stretches(shape: Shape) -> list[Stretch]:
    """Return what a shape consists of, in order."""
    match shape:
        case Steady():
            return [Stretch(shape.seconds, shape.rate, shape.rate)]
        case Ramp():
            return [Stretch(shape.seconds, shape.start, shape.end)]
        case Spike():
            low, high = shape.rate, shape.peak
            times = ((shape.before, low), (shape.during, high), (shape.after, low))
            return [Stretch(seconds, rate, rate) for seconds, rate in times]
        case Soak():
            warm = Stretch(shape.warm_up, shape.rate / 10, shape.rate)
            return [warm, Stretch(shape.hours * 3600, shape.rate, shape.rate)]
        case Step():
            found, rate = [], shape.start
            while rate <= shape.most * (1 + 1e-9):
                found.append(Stretch(shape.seconds, rate, rate))
                rate *= shape.factor
            return found
        case _:
            assert_never(shape)


@dataclass(frozen=True)
class Schedule:
    """The moments at which requests are due, in seconds from the start.

    Raises `ValueError` when they would be more than `MOST_REQUESTS`.
    """

    stretches: Sequence[Stretch]
    _counts: NDArray[np.float64] = field(init=False, repr=False)
    _starts: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def edges(lengths: list[float]) -> NDArray[np.float64]:
            return np.concatenate(([0.0], np.cumsum(lengths)))

        object.__setattr__(self, "_counts", edges([s.requests for s in self.stretches]))
        object.__setattr__(self, "_starts", edges([s.seconds for s in self.stretches]))
        if self.count > MOST_REQUESTS:
            raise ValueError(f"{self.count} requests are more than {MOST_REQUESTS}")

    @property
    def count(self) -> int:
        """How many requests are due in all."""
        # One that is due at the very end is not sent any more: [0, seconds).
        return int(np.ceil(self._counts[-1] - 1e-6))

    @property
    def seconds(self) -> float:
        """How long it is."""
        return float(self._starts[-1])

    def due(self, first: int, every: int = 1) -> NDArray[np.float64]:
        """Return when requests `first`, `first + every`, … are due: the share of one process."""
        numbers = np.arange(first, self.count, every, dtype=np.float64)
        which = np.searchsorted(self._counts, numbers, side="right") - 1
        which = np.clip(which, 0, len(self.stretches) - 1)
        start = np.array([s.start for s in self.stretches])[which]
        slope = np.array([(s.end - s.start) / s.seconds for s in self.stretches])[which]
        within = numbers - self._counts[which]
        # start·t + slope·t²/2 = within, solved in the form that is stable for a slope of 0.
        root = np.sqrt(np.maximum(0.0, start**2 + 2 * slope * within))
        times: NDArray[np.float64] = self._starts[which] + 2 * within / (start + root)
        return times

    def levels(self) -> list[tuple[float, float, float]]:
        """Return (start, end, mean rate) of each stretch, in seconds and requests a second."""
        return [
            (float(start), float(end), (s.start + s.end) / 2)
            for s, start, end in zip(
                self.stretches, self._starts[:-1], self._starts[1:], strict=True
            )
        ]
