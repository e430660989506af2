"""Steps about a majority that is lost for good, on a Swarm that may be thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.faults.node import PowerOff
from chaos.guard import Permission
from chaos.ledger import Ledger
from chaos.session import Chaos
from fixtures.cluster import recovery
from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.errors import CannotProve
from fixtures.waiting import Pending, eventually, how_long
from signoff.recorder import Measure
from verify import formation
from verify.quorum import State, in_state
from verify.steady import await_steady, unsteady

WITNESS = "witness"
REPLICAS = 4
STEADY_SECONDS = 120.0
ANSWER_SECONDS = 60.0


@dataclass
class Spare:
    """A twin of its own: what is done to it ends with it."""

    cluster: Cluster
    chaos: Chaos
    lost: list[Node] = field(default_factory=list)
    since: float = 0.0

    @property
    def left(self) -> Node:
        """The manager that was not lost."""
        return next(m for m in self.cluster.managers if m not in self.lost)


@pytest.fixture
def make_spare(
    standing_twin: StandingTwin | None, cluster: Cluster
) -> Iterator[Callable[[], Spare]]:
    """Yield what brings a spare twin up, which goes down with the scenario."""
    if standing_twin is None:
        raise CannotProve(
            "a Swarm that may be thrown away is made beside a twin only", where=cluster.name
        )
    twin = StandingTwin(f"{standing_twin.name[:14]}-spare", keep=False, bare=True)
    with twin as spare:

        def make() -> Spare:
            twin.run_witness(WITNESS, REPLICAS)
            ledger = Ledger.of(spare.name, spare.source)
            return Spare(spare, Chaos(spare, ledger, steady=lambda: unsteady(spare)))

        yield make


@given("a spare Swarm with a witness on every node", target_fixture="spare")
def spare_swarm(make_spare: Callable[[], Spare]) -> Iterator[Spare]:
    """Three managers and a worker, and nothing else."""
    found = make_spare()
    await_steady(found.cluster, within=STEADY_SECONDS)
    yield found
    found.chaos.close()


@when("two of its three managers are lost for good")
def lose_majority(spare: Spare) -> None:
    """The leader and another one; the third goes on."""
    leader = spare.cluster.leader()
    other = next(m for m in spare.cluster.managers if m is not leader)
    for node in (leader, other):
        spare.chaos.begin(PowerOff(node.name), Permission(quorum_may_be_lost=True))
        spare.lost.append(node)
    eventually(
        lambda: in_state(spare.cluster, State.LOST), within=ANSWER_SECONDS, what="quorum lost"
    )


@when("the manager that is left forces a new cluster")
def force(spare: Spare) -> None:
    """Docker's own procedure."""
    spare.since = time.monotonic()
    recovery.force_new_cluster(spare.left)


@then(parsers.parse("it leads within {seconds:g} seconds"))
def leads(spare: Spare, seconds: float, measure: Measure) -> None:
    """By its own word, with services and tasks kept."""

    def led() -> bool | Pending:
        leader = spare.cluster.snapshot(asked_of=spare.left, timeout=5).leader()
        return (leader is not None and leader.hostname == spare.left.name) or Pending("no leader")

    took = how_long(led, within=seconds, since=spare.since, what="a leader", retry_on=(Exception,))
    measure.duration("a single manager leads again", took, limit=seconds)


@then(parsers.parse("the witness runs all its tasks again within {seconds:g} seconds"))
def witness(spare: Spare, seconds: float, measure: Measure) -> None:
    """On the nodes that are left."""

    def whole() -> bool | Pending:
        snapshot = spare.cluster.snapshot(asked_of=spare.left, timeout=5)
        ready = {node.id for node in snapshot.nodes if node.ready}
        n = sum(t.running and t.node_id in ready for t in snapshot.tasks_of(WITNESS))
        return n == REPLICAS or Pending(f"{n} of {REPLICAS} run")

    took = how_long(whole, within=seconds, since=spare.since, what="witness", retry_on=(Exception,))
    measure.duration("tasks run again after a forced new cluster", took, limit=seconds)


@when("the lost managers return as they were")
def return_unchanged(spare: Spare) -> None:
    """Nobody told them: they believe in the Swarm of before."""
    spare.since = spare.chaos.heal()


@then(parsers.parse("for {seconds:g} seconds nobody else leads"))
def one_leader(spare: Spare, seconds: float, measure: Measure) -> None:
    """Two Swarms of one name would have two; how many managers there are then is reported."""
    wrong: set[str] = set()
    end = time.monotonic() + seconds

    def look() -> bool | Pending:
        views, _ = formation.views_of_managers(spare.cluster)
        wrong.update(formation.leaders(views) - {spare.left.name})
        return time.monotonic() >= end or Pending("looking for a second leader")

    eventually(look, within=seconds + 30, every=1.0, what="one leader")
    managers = [
        node
        for node in spare.cluster.snapshot(asked_of=spare.left).nodes
        if node.reachability == "reachable"
    ]
    measure.note("managers after the return, by themselves", len(managers), unit="")
    measure.violations(
        "one Swarm after a forced new cluster",
        [f"{name} leads too" for name in sorted(wrong)],
        checked=len(spare.cluster.managers),
    )


@when("they leave it and join again")
def rejoin(spare: Spare) -> None:
    """Forgotten first: an old entry of the same name would stay as a manager that is down."""
    spare.since = time.monotonic()
    recovery.forget_lost(spare.left, [node.name for node in spare.lost])
    for node in spare.lost:
        recovery.join_again(node, spare.left)


@then(parsers.parse("three managers form one Swarm again within {seconds:g} seconds"))
def one_swarm(spare: Spare, seconds: float, measure: Measure) -> None:
    """Every manager answers and names the same leader."""
    took = how_long(
        lambda: in_state(spare.cluster, State.WHOLE),
        within=seconds,
        since=spare.since,
        what="one Swarm",
    )
    measure.duration("three managers again after a forced new cluster", took, limit=seconds)
