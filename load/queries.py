"""The queries of an application: a YAML file, checked, and the asks drawn from it.

`load/profiles/queries.yml` is the plan's services'. Pure but for reading the file.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fixtures.errors import CutoverError
from fixtures.yaml_file import read_model

PROFILES: Final = Path(__file__).parent / "profiles"
#: Of asks in one run: they are sent and answered as a whole.
MOST_ASKS: Final = 50_000
TABLE: Final = "{table}"

PRIMARY, REPLICA = "primary", "replica"
Value = str | int | float | bool | None
Sql = Annotated[str, Field(min_length=1)]
# psycopg's: %% is a percent sign, %(name)s a parameter; anything else after % is a mistake.
_PLACEHOLDER: Final = re.compile(r"%(?:(%)|\((\w+)\)s|(.?))")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Parameter(_Strict):
    """Where a parameter's values come from: exactly one of these.

    `row`: the id of any row of the scenario's table. `between`: a whole number, both ends included.
    `one_of`: any of a list. `new`: text never used before. `drawn_from` (`from` in the file): a
    query, read on the primary before; any value of its first column.
    """

    row: Literal[True] | None = None
    between: tuple[int, int] | None = None
    one_of: Annotated[list[Value], Field(min_length=1)] | None = None
    new: Literal[True] | None = None
    drawn_from: Sql | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _exactly_one(self) -> Parameter:
        given = [self.row, self.between, self.one_of, self.new, self.drawn_from]
        if sum(value is not None for value in given) != 1:
            raise ValueError("needs exactly one of row, between, one_of, new and from")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError("between: the first must not be above the second")
        return self


class Query(_Strict):
    """One query; `rows` is the fewest that are a right answer."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    where: Literal["primary", "replica", "both"]
    sql: Sql
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    rows: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _placeholders_are_given(self) -> Query:
        named = set()
        for percent, name, other in _PLACEHOLDER.findall(self.sql):
            if name:
                named.add(name)
            elif not percent:
                raise ValueError(
                    f"sql: %{other} is no placeholder: write %(name)s, and %% for a percent sign"
                )
        if missing := sorted(named - set(self.parameters)):
            raise ValueError(f"parameters: {', '.join(missing)} of the sql is not given")
        if unused := sorted(set(self.parameters) - named):
            raise ValueError(f"parameters: the sql has no %({unused[0]})s")
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """Where it is asked: `primary`, `replica` or both."""
        return (PRIMARY, REPLICA) if self.where == "both" else (self.where,)


class Queries(_Strict):
    """A file of queries. `timeout` in seconds; `rows` in the scenario's own table.

    `before` and `after` are statements for the primary; `{table}` in any text is that table's name.
    """

    connections: Annotated[int, Field(ge=1, le=50)] = 10
    timeout: Annotated[float, Field(gt=0, le=30)] = 2
    rows: Annotated[int, Field(ge=1000, le=5_000_000)] = 100_000
    before: list[Sql] = Field(default_factory=list)
    after: list[Sql] = Field(default_factory=list)
    queries: Annotated[list[Query], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Queries:
        names = [query.name for query in self.queries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two queries are called {', '.join(twice)}")
        return self

    def query(self, name: str) -> Query:
        """Return the query of that name. Raises `KeyError`."""
        return {query.name: query for query in self.queries}[name]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every server with every query asked there, in the file's order."""
        return [(server, query.name) for query in self.queries for server in query.servers]


@dataclass(frozen=True, slots=True)
class Ask:
    """One query to one server with its parameters' values."""

    server: str
    query: str
    values: dict[str, Value]


#: (query, parameter) → the values that a parameter's `from` gave.
Drawn = Mapping[tuple[str, str], Sequence[Value]]


def load_queries(name_or_path: str | Path) -> Queries:
    """Read a file of queries: a path, or a file's name in `load/profiles/`.

    Raises `CutoverError` naming file, field and remedy.
    """
    given = Path(name_or_path)
    path = given if given.parent.name else PROFILES / given
    return read_model(
        Queries,
        path,
        missing="Name a file of load/profiles/, or give a path with a folder.",
        example="load/profiles/queries.yml shows a complete one.",
    )


def named(text: str, table: str) -> str:
    """Return SQL from the file with the name of the scenario's table in it."""
    return text.replace(TABLE, table)


def draw(queries: Queries, table: str, count: int, drawn: Drawn, seed: int) -> list[Ask]:
    """Draw `count` asks, the same for the same seed but for what is new.

    Every query is asked equally often of each of its servers, in an order that changes from round
    to round: one that always follows a slow one would be measured with it.

    Raises `CutoverError` for more than `MOST_ASKS`.
    """
    if not 1 <= count <= MOST_ASKS:
        raise CutoverError(
            f"{count} queries would be asked",
            where="feature",
            remedy=f"Rate times seconds must be 1 to {MOST_ASKS}.",
        )
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    asks: list[Ask] = []
    pairs = queries.pairs
    while len(asks) < count:
        chance.shuffle(pairs)
        asks += [
            Ask(server=server, query=name, values=values(queries, name, table, drawn, chance))
            for server, name in pairs
        ]
    return asks[:count]


def values(
    queries: Queries, name: str, table: str, drawn: Drawn, chance: random.Random
) -> dict[str, Value]:
    """Draw a value for each parameter of a query."""

    def one(parameter: str, source: Parameter) -> Value:
        if source.row:
            return chance.randint(1, queries.rows)
        if source.between is not None:
            return chance.randint(*source.between)
        if source.one_of is not None:
            value = chance.choice(source.one_of)
            return named(value, table) if isinstance(value, str) else value
        if source.new:
            return uuid.uuid4().hex
        return chance.choice(drawn[name, parameter])

    return {
        parameter: one(parameter, source)
        for parameter, source in queries.query(name).parameters.items()
    }
