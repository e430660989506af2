"""Traffic profiles: which routes clients ask in which mix, how often, and what is a right answer.

A YAML file; `load/profiles/services.yml` is the plan's. Pure but for reading the file.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fixtures.errors import CutoverError
from fixtures.yaml_file import problems, read_model
from load.checks import Target
from load.shapes import Schedule, Shape, Steady, stretches

PROFILES: Final = Path(__file__).parent / "profiles"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Route(_Strict):
    """One kind of request, and its share of the traffic: `weight` of the sum of all weights.

    The answer must have `status` and pass every check that is given, at least one: `key` and
    `value` of a JSON body, a `text`, a regular expression `pattern` (`load.checks.Target`).
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    body: str = ""
    content_type: str = "application/json"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    key: str = ""
    value: str = ""
    text: str = ""
    pattern: str = ""
    served_by: str = "node"

    def target(self, entries: dict[str, str]) -> Target:
        """Return it as asked at `entries` (name → URL). Raises `CutoverError`."""
        return Target(
            self.name,
            {name: url.rstrip("/") + self.path for name, url in entries.items()},
            self.key,
            self.value,
            self.served_by,
            self.text,
            self.pattern,
            self.status,
        )


class Think(_Strict):
    """How long a client of a closed loop pauses between two requests, in seconds, uniformly."""

    least: Annotated[float, Field(ge=0)]
    most: Annotated[float, Field(ge=0, le=3600)]

    @model_validator(mode="after")
    def _ordered(self) -> Think:
        if self.most < self.least:
            raise ValueError("most is below least")
        return self


class Traffic(_Strict):
    """A profile.

    `loop` open: requests arrive by a schedule, as those of many independent clients do, and the
    shape's rates are requests a second. `closed`: the shape's rates are numbers of clients, each of
    whom waits for its answer and then thinks. A closed loop asks less when the system is slow, so
    it is for exploring and is never judged.

    `timeout` (s) bounds a whole request. `connections`: a `fresh` one for every request, or `kept`.
    `most_under_way`: a request due while so many are under way (in one process) is a failed one.
    """

    name: str
    loop: Literal["open", "closed"] = "open"
    timeout: Annotated[float, Field(gt=0, le=60)] = 2
    connections: Literal["fresh", "kept"] = "fresh"
    most_under_way: Annotated[int, Field(ge=1, le=10_000)] = 1000
    think: Think = Think(least=0, most=0)
    routes: Annotated[list[Route], Field(min_length=1)]
    shapes: Annotated[dict[str, Shape], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Traffic:
        names = [route.name for route in self.routes]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two routes are called {', '.join(sorted(twice))}")
        for route in self.routes:
            if not (route.key or route.text or route.pattern):
                raise ValueError(
                    f"route {route.name} has no content check: give key and value, text or pattern"
                )
        return self

    def shape(self, name: str = "") -> Shape:
        """Return the shape of that name, or the first. Raises `CutoverError`."""
        if name and name not in self.shapes:
            raise CutoverError(
                f"there is no shape {name!r}",
                where=f"traffic {self.name}, shapes",
                remedy=f"It has: {', '.join(self.shapes)}.",
            )
        return self.shapes[name] if name else next(iter(self.shapes.values()))

    def mix(self, count: int, seed: int) -> list[int]:
        """Return the route (its number) of each of `count` requests: the same for the same seed."""
        weights = [route.weight for route in self.routes]
        return random.Random(seed).choices(range(len(weights)), weights, k=count)  # noqa: S311


def steady(rate: float, seconds: float) -> Shape:
    """Return the shape of a steady rate (requests a second). Raises `CutoverError`."""
    try:
        return Steady(kind="steady", rate=rate, seconds=seconds)
    except ValidationError as error:
        raise CutoverError(problems(error), where="rate or seconds") from error


def schedule(shape: Shape) -> Schedule:
    """Return when the requests of a shape are due. Raises `CutoverError` for too many."""
    try:
        return Schedule(stretches(shape))
    except ValueError as error:
        raise CutoverError(
            str(error), where=f"shape {shape.kind}", remedy="Lower its rate or its time."
        ) from error


def load_traffic(name_or_path: str | Path) -> Traffic:
    """Read a profile: a path, or the name of one in `load/profiles/`. Raises `CutoverError`."""
    path = Path(name_or_path)
    if path.suffix not in (".yml", ".yaml"):
        path = PROFILES / f"{name_or_path}.yml"
    there = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yml")))
    traffic = read_model(
        Traffic,
        path,
        missing=f"Name a YAML file, or one of load/profiles/: {there}.",
        example="load/profiles/services.yml shows a complete one.",
    )
    for route in traffic.routes:
        route.target({"check": "http://127.0.0.1"})  # its pattern must compile
    for shape in traffic.shapes.values():
        schedule(shape)
    return traffic
