"""A drill's file: what is broken when, what stops it, what it must meet. Pure but for reading."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from chaos.drills.conditions import Condition
from fixtures.errors import CutoverError
from fixtures.yaml_file import read_model

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Longer = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Arguments = dict[str, str | int | float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault `at` so many seconds after the drill's first moment, in force for `lasts` seconds."""

    at: float
    fault: str
    arguments: Mapping[str, str | int | float]
    lasts: float

    @property
    def label(self) -> str:
        """The fault as the command line takes it."""
        pairs = [f"{name}={value!r}" for name, value in self.arguments.items()]
        return " ".join([self.fault, *pairs])


class Clients(_Strict):
    """Who asks meanwhile: the routes by name, each so many times a second."""

    targets: list[str] = Field(default=["edge", "canary"], min_length=1)
    rate: Annotated[float, Field(gt=0, le=200)] = 10.0


class Criteria(_Strict):
    """What the drill must meet, beside being steady again."""

    recovered_within: Longer | None = None
    availability_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class Planned(_Strict):
    """One entry of a scripted schedule."""

    at: Seconds
    fault: str
    arguments: Arguments = Field(default_factory=dict, alias="with")
    lasts: Longer = Field(alias="for")


class Choice(_Strict):
    """One fault that a random schedule may draw."""

    fault: str
    arguments: Arguments = Field(default_factory=dict, alias="with")
    weight: Longer = 1.0


class RandomSchedule(_Strict):
    """What a random schedule is drawn from.

    `faults` of them within `over` seconds, each in force between `lasts[0]` and `lasts[1]` seconds,
    at least `gap[0]` and at most `gap[1]` seconds between two beginnings' earliest moments, and
    never more than `together` at once.
    """

    faults: Annotated[int, Field(ge=1, le=50)]
    over: Longer
    lasts: tuple[Longer, Longer]
    gap: tuple[Seconds, Seconds] = (5.0, 30.0)
    together: Annotated[int, Field(ge=1, le=10)] = 1
    of: list[Choice] = Field(min_length=1)

    @field_validator("lasts", "gap")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first must not be above the second")
        return value


class Drill(_Strict):
    """A drill: exactly one of `schedule` and `random`.

    `several_domains`: faults may be in force on several nodes at once.
    """

    name: str = Field(min_length=1)
    description: str = ""
    clients: Clients = Clients()
    steady_within: Longer = 180.0
    good_before: Annotated[int, Field(ge=1, le=10_000)] = 20
    abort: list[Condition] = Field(default_factory=list)
    criteria: Criteria = Criteria()
    quorum_may_be_lost: bool = False
    several_domains: bool = False
    schedule: list[Planned] | None = Field(default=None, min_length=1)
    random: RandomSchedule | None = None

    @model_validator(mode="after")
    def _one_schedule(self) -> Drill:
        if (self.schedule is None) == (self.random is None):
            raise ValueError("needs exactly one of schedule and random")
        return self


_KNOWN: Final = "All of them: python -m chaos list"


def load_drill(path: Path, known: Mapping[str, Mapping[str, bool]]) -> Drill:
    """Read and check a drill's file.

    `known` maps each fault's name to its arguments and whether each must be given. Raises
    `CutoverError` naming file, field and remedy.
    """
    drill = read_model(Drill, path, example="docs/drills.md shows a complete one.")
    for field, fault, arguments in _faults(drill):
        _check_fault(f"{path}: {field}", fault, arguments, known)
    return drill


def entries(drill: Drill, seed: int) -> tuple[Entry, ...]:
    """Return the schedule in order of time; a random one is drawn from `seed`."""
    if drill.random is not None:
        from chaos.drills.random_schedule import draw

        return draw(drill.random, seed)
    planned = [
        Entry(item.at, item.fault, item.arguments, item.lasts) for item in drill.schedule or ()
    ]
    return tuple(sorted(planned, key=lambda entry: entry.at))


def pick(schedule: Sequence[Entry], only: Sequence[int] | None) -> tuple[Entry, ...]:
    """Return the entries with the numbers `only`, in their order. Raises `CutoverError`."""
    if only is None:
        return tuple(schedule)
    if not only or any(not 0 <= number < len(schedule) for number in only):
        raise CutoverError(
            f"{', '.join(map(str, only)) or 'nothing'}: the schedule has 0 to {len(schedule) - 1}",
            where="--only",
            remedy="--dry-run shows it with its numbers.",
        )
    return tuple(schedule[number] for number in sorted(set(only)))


def replay_command(
    file: Path, seed: int | None, only: Sequence[int] | None, where: Sequence[str] = ()
) -> str:
    """Return the command that runs the very same schedule again on the cluster `where` names."""
    words = ["python", "-m", "chaos", "drill", str(file), *where]
    if seed is not None:
        words += ["--seed", str(seed)]
    if only is not None:
        words += ["--only", ",".join(map(str, only))]
    return shlex.join(words)


def as_rows(schedule: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the schedule for a report: at, fault, for (seconds)."""
    return [{"at": e.at, "fault": e.label, "for": e.lasts} for e in schedule]


def _faults(drill: Drill) -> list[tuple[str, str, Arguments]]:
    if drill.random is not None:
        return [
            (f"random.of.{number}", choice.fault, choice.arguments)
            for number, choice in enumerate(drill.random.of)
        ]
    return [
        (f"schedule.{number}", item.fault, item.arguments)
        for number, item in enumerate(drill.schedule or ())
    ]


def _check_fault(
    where: str, fault: str, arguments: Arguments, known: Mapping[str, Mapping[str, bool]]
) -> None:
    if fault not in known:
        near = difflib.get_close_matches(fault, known, 1)
        raise CutoverError(
            f"there is no fault {fault!r}",
            where=f"{where}.fault",
            remedy=f"Did you mean {near[0]}?" if near else _KNOWN,
        )
    if unknown := sorted(set(arguments) - set(known[fault])):
        raise CutoverError(
            f"{fault} takes no {', '.join(unknown)}",
            where=f"{where}.with",
            remedy=f"It takes: {', '.join(known[fault])}.",
        )
    if missing := [
        name for name, needed in known[fault].items() if needed and name not in arguments
    ]:
        raise CutoverError(
            f"{fault} needs {', '.join(missing)}", where=f"{where}.with", remedy=_KNOWN
        )
