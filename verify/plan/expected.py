"""The plan's services, their places, and what runs that the plan does not know. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fixtures.cluster.swarm import Service, Snapshot
from fixtures.errors import CutoverError
from verify.formation import placement_problems


@dataclass(frozen=True, slots=True)
class Expected:
    """One service of the plan: `place` as `verify.formation.placement_problems` reads it."""

    name: str
    stack: str
    place: str

    @property
    def full_name(self) -> str:
        """The name in `docker service ls`."""
        return f"{self.stack}_{self.name}"


def expected(rows: Sequence[Mapping[str, str]]) -> list[Expected]:
    """Read rows of stack, services (separated by commas) and place.

    Raises `CutoverError` for a service that is there twice.
    """
    found = [
        Expected(name.strip(), row["stack"], row["place"])
        for row in rows
        for name in row["services"].split(",")
    ]
    names = [one.full_name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CutoverError(f"{', '.join(twice)} twice", where="features, table of services")
    return found


def place_problems(snapshot: Snapshot, plan: Sequence[Expected]) -> tuple[list[str], int]:
    """Return tasks that are not in their places, and the number of tasks looked at."""
    return placement_problems(snapshot, {one.name: one.place for one in plan})


def unknown(snapshot: Snapshot, plan: Sequence[Expected], stacks: Collection[str]) -> list[Service]:
    """Return services of `stacks` that the table does not name: nothing would look at them."""
    named = {one.full_name for one in plan}
    return [s for s in snapshot.services if s.stack in stacks and s.name not in named]
