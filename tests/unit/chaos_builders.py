"""A cluster whose scripts are words, a view of it, and faults made of them, for chaos's tests.

A script of these tests says `BREAK x`, `MEND x` or `LOOK x`; the fake cluster keeps the set of what
is broken, records who was asked for what, and can be told to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chaos.fault import A_MANAGER, Fault, Placed, Plan, Power, Shell, Step, View
from chaos.ledger import Ledger, Owner
from chaos.targets import NoTarget, hostname_in_role, hostnames_in_group
from fixtures import progress
from fixtures.cluster.power import Instant
from fixtures.cluster.ssh import Completed
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CannotProve, CutoverError
from tests.unit.builders import ROLES, FakeCluster, FakeNode, snapshot

_WORDS = re.compile(r"(BREAK|MEND|LOOK) (\w+)")

#: What a node does in place of the usual when it is asked for a word.
Instead = Exception | Completed | Callable[[], Any]


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep progress lines in a list instead of printing them."""
    lines: list[str] = []
    progress.set_sink(lines.append)
    try:
        yield lines
    finally:
        progress.set_sink(None)


def finished(rc: int = 0, stdout: str = "", stderr: str = "") -> Completed:
    """What a remote command left."""
    return Completed("command", rc, stdout, stderr)


def breaking(thing: str, on: str = "m1", **changed: Any) -> Shell:
    """A step that breaks `thing` on a node."""
    values: dict[str, Any] = {
        "do": f"BREAK {thing}",
        "undo": f"MEND {thing}",
        "in_force": f"LOOK {thing}",
    }
    return Shell(on, **{**values, **changed})


@dataclass(frozen=True)
class Broken(Fault):
    """A fault made of given steps; touches their nodes."""

    name: ClassVar[str] = "test.broken"
    summary: ClassVar[str] = "Something is broken."
    blast_radius: ClassVar[str] = "nothing else"

    called: str
    steps: tuple[Step, ...]
    takes_away: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return self.called

    def plan(self, view: View) -> Plan:
        touches = frozenset(step.node for step in self.steps if step.node != A_MANAGER)
        return Plan(self.steps, touches, self.takes_away)


def broken(*things: str, on: str = "m1", called: str = "", **changed: Any) -> Broken:
    """A fault that breaks `things`, in that order, on one node."""
    steps = tuple(breaking(thing, on, **changed) for thing in things)
    return Broken(called or "+".join(things), steps)


class ScriptedNode(FakeNode):
    """A node that understands `BREAK`, `MEND` and `LOOK`."""

    world: ChaosCluster

    def _act(self, action: str) -> Instant:
        self.world.ask(f"{self.name}: {action}")
        return super()._act(action)

    def pause(self) -> Instant:
        instant = self._act("pause")
        self.has_power = False
        return instant

    def resume(self) -> Instant:
        instant = self._act("resume")
        self.has_power = True
        return instant

    def run(self, command: str, **options: Any) -> Completed:
        assert options.get("timeout"), "a remote command has a timeout"
        self.world.scripts.append((self.name, command))
        if self.refusal:
            raise self.refusal
        words = [" ".join(found) for found in _WORDS.findall(command)]
        # What is to be done stands last, behind the undo that is laid down first.
        word = next((w for w in words if w.startswith("BREAK")), words[0] if words else command)
        instead = self.world.ask(f"{self.name}: {word}")
        if instead is not None:
            return instead
        verb, _, thing = word.partition(" ")
        if verb == "BREAK" and thing not in self.world.duds:
            self.world.broken.add(thing)
        if verb == "MEND":
            self.world.broken.discard(thing)
        if verb == "LOOK":
            there = thing in self.world.broken
            return finished(0 if there else 1, f"{thing} is {'broken' if there else 'whole'}\n")
        return finished()


class ChaosCluster(FakeCluster):
    """Nodes that understand these tests' scripts; see this module's head."""

    def __init__(
        self, says: Any = None, roles: Mapping[str, str] = ROLES, *, source: str = "twin:test"
    ) -> None:
        super().__init__(snapshot() if says is None else says, roles, name="twin-test")
        self.source = source
        self.nodes = {n: ScriptedNode(n, is_manager=r == "manager") for n, r in roles.items()}
        for node in self.nodes.values():
            node.world = self
        #: Whom was asked for what, and what the ledger and the watchdog did, in order.
        self.events: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        #: Things that `BREAK` does not break.
        self.duds: set[str] = set()
        #: By "node: WORD thing", what happens instead.
        self.instead: dict[str, Instead] = {}

    def node(self, name: str) -> FakeNode:
        if name not in self.nodes:
            raise CutoverError(f"there is no node {name!r}", where="cluster")
        return self.nodes[name]

    def ask(self, what: str) -> Completed | None:
        """Record, and return or raise what was told to happen instead."""
        self.events.append(what)
        instead = self.instead.get(what)
        if callable(instead) and not isinstance(instead, Exception):
            instead = instead()
        if isinstance(instead, BaseException):
            raise instead
        return instead

    def asked_for(self, *verbs: str) -> list[str]:
        """Return, of what happened, what has one of these words in it."""
        return [event for event in self.events if any(verb in event for verb in verbs)]


class SpyLedger(Ledger):
    """A ledger that records its events with those of the cluster."""

    def __init__(self, cluster: ChaosCluster, file: Any) -> None:
        super().__init__(file, cluster.source)
        self.events = cluster.events

    def intend(self, fault_id: str, label: str, plan: Plan, owner: Owner) -> None:
        super().intend(fault_id, label, plan, owner)
        self.events.append(f"ledger: intent {label}")

    def in_force(self, fault_id: str, proof: str) -> None:
        super().in_force(fault_id, proof)
        self.events.append(f"ledger: in force ({proof})")

    def healed(self, fault_id: str) -> None:
        super().healed(fault_id)
        self.events.append("ledger: healed")


def power(node: str = "m1", **changed: Any) -> Broken:
    """A fault that takes a node's power."""
    return Broken(f"power {node}", (Power(node, **changed),), frozenset({node}))


# -- what plans see --------------------------------------------------------------------------------

ADDRESSES = {"m1": "192.0.2.1", "m2": "192.0.2.2", "m3": "192.0.2.3", "w1": "192.0.2.4"}


def address_of(node: str) -> str:
    """Return the address of a node that a view was made with (TEST-NET-1, RFC 5737)."""
    return ADDRESSES.get(node, f"192.0.2.{100 + int(node[1:])}")


@dataclass
class FakeView:
    """Three managers, m1 leading, and a worker; what is read on a node is told by substring."""

    roles: Mapping[str, str] = field(default_factory=lambda: ROLES)
    tasks_by_service: Mapping[str, Sequence[Placed]] = field(default_factory=dict)
    virtual: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    capabilities: set[str] = field(default_factory=set)
    is_twin: bool = True
    seen: Snapshot = field(default_factory=snapshot)
    reads: list[tuple[str, str]] = field(default_factory=list)

    @property
    def nodes(self) -> list[str]:
        return list(self.roles)

    @property
    def managers(self) -> list[str]:
        return [name for name, role in self.roles.items() if role == "manager"]

    def node(self, words: str) -> str:
        return hostname_in_role(self.seen, words, self.nodes)

    def group(self, words: str) -> tuple[str, ...]:
        return hostnames_in_group(self.seen, words, self.nodes)

    def address(self, node: str) -> str:
        assert node in self.roles
        return address_of(node)

    def service(self, name: str) -> str:
        return f"shop_{name.removeprefix('shop_')}"

    def tasks(self, service: str) -> Sequence[Placed]:
        found = self.tasks_by_service.get(service.removeprefix("shop_"), ())
        if not found:
            raise NoTarget(f"{service} has no running task", where="target")
        return found

    def virtual_addresses(self, service: str) -> Sequence[str]:
        return self.virtual.get(service.removeprefix("shop_"), ())

    def read(self, node: str, command: str) -> str:
        self.reads.append((node, command))
        for part, answer in self.answers.items():
            if part in command:
                return answer
        raise AssertionError(f"this test's nodes do not know what to say to {command!r}")

    def has(self, capability: str) -> bool:
        return capability in self.capabilities

    def require(self, capability: str) -> None:
        if not self.has(capability):
            raise CannotProve(f"the nodes have no {capability}", where="chaos")
