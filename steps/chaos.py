"""Steps that break something, and put it right."""

from __future__ import annotations

import shlex
import time

from pytest_bdd import parsers, when

from chaos import catalogue
from chaos.faults import network, node
from chaos.session import Chaos, InForce
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually


@when(parsers.parse('the fault "{words}" is injected'), target_fixture="fault")
def inject(chaos: Chaos, words: str) -> InForce:
    """Any fault of docs/faults.md, as `python -m chaos inject` takes it."""
    name, *pairs = shlex.split(words)
    arguments = dict(pair.split("=", 1) for pair in pairs)
    return chaos.begin(catalogue.make(name, arguments))


@when(parsers.parse("the network between {first} and {second} is cut"), target_fixture="fault")
def cut(chaos: Chaos, first: str, second: str) -> InForce:
    """Both ways, and only between the two."""
    return chaos.begin(network.Cut(first, second))


@when(parsers.parse("nothing from {source} reaches {target}"), target_fixture="fault")
def one_way(chaos: Chaos, source: str, target: str) -> InForce:
    """The other way stays open."""
    return chaos.begin(network.OneWay(target, source))


@when(parsers.parse("{role} is cut off from all other nodes"), target_fixture="fault")
def isolate(chaos: Chaos, role: str) -> InForce:
    """It runs on, and hears nobody."""
    return chaos.begin(network.Isolate(role))


@when(parsers.parse("{side} is split from all other nodes"), target_fixture="fault")
def split(chaos: Chaos, side: str) -> InForce:
    """`a minority of the managers`, `a majority of the managers`, or names with commas."""
    return chaos.begin(network.Partition(side))


@when(parsers.parse("port {port:d} is shut at {role}"), target_fixture="fault")
def port_shut(chaos: Chaos, port: int, role: str) -> InForce:
    """One of Swarm's own ports."""
    return chaos.begin(network.Port(role, port))


@when(parsers.parse("the power of {role} is cut"), target_fixture="fault")
def power_off(chaos: Chaos, role: str) -> InForce:
    """Nobody is told."""
    return chaos.begin(node.PowerOff(role))


@when("everything is put right", target_fixture="put_right")
def put_right(chaos: Chaos) -> float:
    """Undo what is in force; returns when that began (monotonic seconds)."""
    if not chaos.in_force:
        raise CutoverError("nothing was in force", where="scenario")
    return chaos.heal()


def let_pass(end: float, what: str) -> None:
    """Keep a fault, or its absence, for its time: what is waited for is the clock itself."""
    eventually(
        lambda: time.monotonic() >= end or Pending("by schedule"),
        within=max(1.0, end - time.monotonic() + 1),
        every=0.05,
        what=what,
    )
