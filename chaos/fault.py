"""What a fault is: words that name it, and a plan that says what is done, undone and looked at.

A fault is a small frozen dataclass; its fields are its arguments. `plan` turns it into steps for
the cluster as it is now and does nothing yet, so that a dry run can print it, the guard can judge
it, and the ledger can hold its undoing before anything happens.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Final, Literal, Protocol

from fixtures.errors import CutoverError

#: In place of a node's name: whichever manager answers.
A_MANAGER: Final = "@manager"
#: How long after its injection a fault's effect may take to show, and after its undoing to vanish.
SHOWS_WITHIN: Final = 10.0
GONE_WITHIN: Final = 30.0


class BadArgument(CutoverError):
    """A fault's argument makes no sense; nothing was touched."""


class NotInForce(CutoverError):
    """The fault's effect could not be shown: nothing was tested."""

    cause = "fault"


class NotHealed(CutoverError):
    """Something that the harness broke could not be put right, or not be proven so."""

    cause = "harness"


@dataclass(frozen=True, slots=True)
class Shell:
    """One thing done by a shell script on a node.

    `do` breaks; `undo` puts right, can be repeated, and exits with 0 when nothing is left; it may
    run when `do` never did. `in_force` exits with 0 while the *effect* is there and with 1 while it
    is not; it prints what it saw. `gone` likewise says that the fault is over; empty means: as soon
    as `in_force` says 1. `gone_at` is where that is asked, when not on the node itself. Where
    `fresh` is false, `in_force` cannot be asked before the fault. A `last` one is undone after all
    other faults, newer or older, for it needs what they give back.
    """

    node: str
    do: str
    undo: str
    in_force: str
    gone: str = ""
    gone_at: str = ""
    within: float = SHOWS_WITHIN
    gone_within: float = GONE_WITHIN
    timer: bool = True
    lasting: bool = True
    last: bool = False
    via: Literal["shell"] = "shell"


@dataclass(frozen=True, slots=True)
class Power:
    """One thing done to a node's power from outside.

    `frozen` stops its processes instead; `then_on` gives the power back at once.
    """

    node: str
    frozen: bool = False
    then_on: bool = False
    gone_within: float = GONE_WITHIN
    via: Literal["power"] = "power"


Step = Shell | Power


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fault does to this cluster now.

    `takes_away` are the nodes that Swarm loses through it, `touches` those on which something is
    changed: its fault domains.
    """

    steps: tuple[Step, ...]
    touches: frozenset[str]
    takes_away: frozenset[str] = frozenset()


class View(Protocol):
    """What a plan may know of the cluster; reading only."""

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the inventory's nodes."""

    @property
    def managers(self) -> Sequence[str]:
        """Names of its managers."""

    def node(self, words: str) -> str:
        """Return the name of the one node that `words` name. Raises `NoTarget`."""

    def group(self, words: str) -> tuple[str, ...]:
        """Return the names of the nodes that `words` name. Raises `NoTarget`."""

    def address(self, node: str) -> str:
        """Return the address by which the Swarm's nodes know `node`."""

    def tasks(self, service: str) -> Sequence[Placed]:
        """Return the running tasks of a service. Raises `NoTarget` when there is none."""

    def service(self, name: str) -> str:
        """Return the service's full name. Raises `NoTarget`."""

    def virtual_addresses(self, service: str) -> Sequence[str]:
        """Return the service's virtual addresses; none where it is resolved to its tasks."""

    def read(self, node: str, command: str) -> str:
        """Return what a command that changes nothing prints on `node`, stripped."""

    def require(self, capability: str) -> None:
        """Raise `CannotProve` when the cluster lacks `capability`."""

    def has(self, capability: str) -> bool:
        """Whether the cluster has `capability`."""

    @property
    def is_twin(self) -> bool:
        """Whether its nodes are containers of one machine, sharing its clock and its disk."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A running task: its node, container, first process and addresses by network."""

    node: str
    container: str
    pid: int
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault(ABC):
    """Something that can be broken and put right."""

    #: `area.what`, as the command line and Gherkin name it.
    name: ClassVar[str]
    #: One line.
    summary: ClassVar[str]
    #: What stops working beside the target.
    blast_radius: ClassVar[str]
    #: What the cluster must be able to do.
    needs: ClassVar[str] = ""

    @abstractmethod
    def plan(self, view: View) -> Plan:
        """Return what is to be done now. Raises `NoTarget`, `CannotProve`, `CutoverError`."""

    @property
    def label(self) -> str:
        """The fault with its arguments, as the command line takes it."""
        words = [f"{name}={value!r}" for name, value in self.arguments().items()]
        return " ".join([self.name, *words])

    def arguments(self) -> dict[str, str | int | float]:
        """Return the arguments that differ from their defaults."""
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if getattr(self, item.name) != item.default
        }


def to_json(step: Step) -> dict[str, Any]:
    """Return the step as the ledger keeps it: what undoes it and what proves that."""
    return {**asdict(step), "do": ""} if isinstance(step, Shell) else asdict(step)


def from_json(data: Mapping[str, Any]) -> Step:
    """Read a step of the ledger. Raises `ValueError`."""
    values = dict(data)
    kinds: dict[str, type[Shell] | type[Power]] = {"shell": Shell, "power": Power}
    kind = kinds.get(str(values.get("via")))
    if kind is None:
        raise ValueError(f"unknown step {json.dumps(values)[:80]}")
    known = {item.name for item in fields(kind)}
    try:
        return kind(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise ValueError(str(error)) from error
