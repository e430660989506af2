"""Steps about a replica that has to lead, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_bdd import parsers, then, when

from chaos.faults.node import PowerOff
from chaos.faults.task import Kill
from chaos.runbook import Runbook
from chaos.session import Chaos, InForce
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.power import Instant
from fixtures.waiting import Pending, Waited, how_long
from verify import promotion
from verify.replication import Pair

#: The stack file's stop_grace_period, and some for the engine.
STOP_SECONDS = 45.0
#: Gossip's own repairs come every 30 s.
KNOWN_SECONDS = 120.0


@dataclass
class Failed:
    """The primary that was lost: the fault, its timeline before, and what the operator does."""

    fault: InForce
    timeline: int
    runbook: Runbook


@dataclass
class SwitchedBack:
    """When the promoted server was stopped, and what the first primary then lacked."""

    at: Instant
    lacks: list[str]


def _failed(cluster: Cluster, chaos: Chaos, pair: Pair, *, node_too: bool) -> Failed:
    timeline = promotion.timeline(cluster, pair.primary)
    home, _ = cluster.a_task(pair.primary.service)
    away, _ = cluster.a_task(pair.replica.service)
    fault = chaos.begin(PowerOff(home.name) if node_too else Kill(pair.primary.service))
    runbook = Runbook(chaos, pair.primary.service, home.name, pair.replica.service, away.name)
    return Failed(fault, timeline, runbook)


@when("the primary's node loses its power", target_fixture="failed")
def primary_node_lost(cluster: Cluster, chaos: Chaos, pair: Pair) -> Failed:
    """Nobody is told."""
    return _failed(cluster, chaos, pair, node_too=True)


@when("the primary's container is killed", target_fixture="failed")
def primary_killed(cluster: Cluster, chaos: Chaos, pair: Pair) -> Failed:
    """SIGKILL."""
    return _failed(cluster, chaos, pair, node_too=False)


@when("the old primary is fenced and the replica promoted", target_fixture="promoted")
def promote(failed: Failed) -> Instant:
    """In this order; returns when the promotion was asked for."""
    failed.runbook.fence()
    return failed.runbook.promote().instant


@then(
    parsers.parse(
        "the promoted replica accepts writes within {since_fault:g} seconds of the fault "
        "and {since_promotion:g} seconds of its promotion"
    )
)
def accepts_writes(
    cluster: Cluster,
    pair: Pair,
    failed: Failed,
    promoted: Instant,
    since_fault: float,
    since_promotion: float,
    measure: Any,
) -> None:
    """Over the network. The operator of this measurement decides at once."""
    took = how_long(
        lambda: promotion.writable(cluster, pair.replica),
        within=since_promotion,
        since=promoted.at,
        since_error=promoted.error,
        what="the promoted replica accepts writes",
    )
    fault = failed.fault.instant
    whole = Waited(took.seconds + promoted.at - fault.at, took.error + fault.error, took.reason)
    measure.each(
        [
            lambda: measure.duration(
                "PostgreSQL writable after the promotion", took, limit=since_promotion
            ),
            lambda: measure.duration(
                "PostgreSQL writable after the fault", whole, limit=since_fault
            ),
        ]
    )


@then(parsers.parse("clients of {pool} write again within {seconds:g} seconds of the promotion"))
def pool_follows(
    cluster: Cluster, pair: Pair, promoted: Instant, pool: str, seconds: float, measure: Any
) -> None:
    """They know nothing of the servers behind it."""
    server = promotion.pooled(cluster, pool, pair)
    took = how_long(
        lambda: promotion.writable(cluster, server),
        within=seconds,
        since=promoted.at,
        what=f"writes through {pool}",
    )
    measure.duration(f"writes through {pool} after the promotion", took, limit=seconds)


@then("its timeline is the next one")
def next_timeline(cluster: Cluster, pair: Pair, failed: Failed, measure: Any) -> None:
    """A promotion begins a timeline; two would mean two promotions."""
    measure(
        "PostgreSQL timelines begun",
        promotion.timeline(cluster, pair.replica) - failed.timeline,
        limit=1,
        unit="timelines",
        relation="==",
    )


@then("one server alone accepts writes")
def one_writer(cluster: Cluster, pair: Pair, measure: Any) -> None:
    """Every server that runs is asked to write, whatever it is called."""
    criterion = "one PostgreSQL server accepts writes"
    asked = promotion.clear_answers(cluster, pair)
    if not asked.problems() and not asked.clear:
        unclear = ", ".join((*asked.silent, *asked.unsure))
        measure.inconclusive(criterion, f"no clear answer from {unclear}")
    measure.violations(criterion, asked.problems(), checked=asked.answered)


@when("the power of the old primary's node returns")
def power_returns(chaos: Chaos, failed: Failed) -> None:
    """Its engine may start the old task before it hears a manager."""
    chaos.end(failed.fault)


@then(parsers.parse("no second server accepts writes for {seconds:g} seconds"))
def no_second(cluster: Cluster, pair: Pair, seconds: float, measure: Any) -> None:
    """The nodes themselves are asked what runs on them."""
    problems, looks = promotion.second_writers(cluster, pair, seconds=seconds)
    measure.violations("no second PostgreSQL server accepts writes", problems, checked=looks)


@when("the old primary is started again", target_fixture="restarted")
def start_old(cluster: Cluster, pair: Pair, failed: Failed) -> InForce:
    """It asks its peer who leads, so an operator sees first that its node knows the peer."""
    node = failed.runbook.primary_node
    promotion.await_known(cluster, pair.replica, node, within=KNOWN_SECONDS)
    return failed.runbook.bring_back()


@then(
    parsers.parse("it follows the promoted replica, as both ends say, within {seconds:g} seconds")
)
def follows(cluster: Cluster, pair: Pair, restarted: InForce, seconds: float, measure: Any) -> None:
    """From its start on: rewind or base backup, recovery, streaming."""
    turned = pair.reversed()

    def look() -> bool | Pending:
        problems = turned.problems(cluster)
        return Pending("; ".join(problems)) if problems else True

    took = how_long(look, within=seconds, since=restarted.instant.at, what=f"{turned.name} follows")
    way = promotion.how_it_returned(cluster, pair.primary)
    measure.note(f"old primary rebuilt by {way}", took.seconds, unit="s", error=took.error)
    measure.duration("old PostgreSQL primary follows", took, limit=seconds)


@when("the roles are switched back", target_fixture="switched")
def switch_back(cluster: Cluster, pair: Pair, failed: Failed) -> SwitchedBack:
    """The promoted server stops first and cleanly; only who has all it wrote may lead."""
    runbook = failed.runbook
    stopped = runbook.stop_promoted()
    node = cluster.node(runbook.replica_node)
    end = promotion.last_checkpoint(cluster, pair.replica, node, within=STOP_SECONDS)
    lacking = promotion.lacks(cluster, pair.primary, end)
    if not lacking:
        runbook.give_back()
    return SwitchedBack(stopped.instant, lacking)


@then(parsers.parse("the first primary has it all and accepts writes within {seconds:g} seconds"))
def leads_again(
    cluster: Cluster, pair: Pair, switched: SwitchedBack, seconds: float, measure: Any
) -> None:
    """From when the promoted server was told to stop."""
    measure.violations("nothing is lost in switching back", switched.lacks, checked=1)
    took = how_long(
        lambda: promotion.writable(cluster, pair.primary),
        within=seconds,
        since=switched.at.at,
        since_error=switched.at.error,
        what="the first primary accepts writes",
    )
    measure.duration("PostgreSQL writable after switching back", took, limit=seconds)


@when("the other is started as its replica")
def start_replica(failed: Failed) -> None:
    """It asks its peer as well."""
    failed.runbook.start_replica()
