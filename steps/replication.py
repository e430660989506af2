"""Steps about PostgreSQL replication."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.faults.node import PowerOff
from chaos.faults.task import Kill
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.waiting import how_long
from verify.replication import (
    READ_ONLY,
    Pair,
    Written,
    drop_tokens,
    pair_of,
    refuses_writes,
    started_at,
    streams_from_new_start,
    sync_states,
    token_lag,
    write_tokens,
)


class Broken(NamedTuple):
    """When the replica was broken (monotonic seconds), and when it had been started before."""

    at: float
    started: datetime


@given(parsers.parse("{replica} is the replica of {primary}"), target_fixture="pair")
def pair(cluster: Cluster, replica: str, primary: str) -> Pair:
    """Names the two ends."""
    return pair_of(cluster, primary=primary, replica=replica)


@then(
    parsers.parse(
        "the primary streams to this replica, as both ends say, within {seconds:g} seconds"
    )
)
def both_ends(cluster: Cluster, pair: Pair, seconds: float, measure: Any) -> None:
    """pg_stat_replication and pg_stat_wal_receiver agree, about this replica and this system."""
    problems = pair.problems_within(cluster, seconds)
    measure.violations("PostgreSQL streams to the replica", problems, checked=2)


@then("replication is asynchronous")
def asynchronous(cluster: Cluster, pair: Pair, measure: Any) -> None:
    """No sender to this replica waits for it."""
    states = sync_states(cluster, pair)
    problems = [f"sync_state is {state}" for state in states if state != "async"]
    measure.violations("PostgreSQL replication is asynchronous", problems, checked=len(states))


@then(
    parsers.parse(
        "{count:d} rows written on the primary are each readable on the replica "
        "within {seconds:g} seconds"
    )
)
def rows_arrive(cluster: Cluster, pair: Pair, count: int, seconds: float, measure: Any) -> None:
    """The slowest of `count` tokens, each its own transaction."""
    lag = token_lag(cluster, pair, tokens=count, within=seconds)
    measure.duration("PostgreSQL row readable on the replica", lag, limit=seconds, n=count)


@then("a write on the replica is refused as read-only")
def read_only(cluster: Cluster, pair: Pair, measure: Any) -> None:
    """Refused with SQLSTATE 25006; an error of another kind is no refusal."""
    sqlstate = refuses_writes(cluster, pair)
    problems = [] if sqlstate == READ_ONLY else [f"the write ended with {sqlstate or 'success'}"]
    measure.violations("PostgreSQL replica refuses writes", problems, checked=1)


@when("the replica's container is killed", target_fixture="broken")
def kill_replica(cluster: Cluster, chaos: Chaos, pair: Pair) -> Broken:
    """SIGKILL; Swarm starts another."""
    started = started_at(cluster, pair.replica)
    return Broken(chaos.begin(Kill(pair.replica.service)).instant.at, started)


@when("the replica's node loses its power", target_fixture="broken")
def lose_replica_node(cluster: Cluster, chaos: Chaos, pair: Pair) -> Broken:
    """No shutdown: the primary is not told."""
    started = started_at(cluster, pair.replica)
    fault = PowerOff(f"the node that runs {pair.replica.service}")
    return Broken(chaos.begin(fault).instant.at, started)


@when(
    parsers.parse("{count:d} rows are written on the primary meanwhile"), target_fixture="written"
)
def write_meanwhile(
    cluster: Cluster, pair: Pair, request: pytest.FixtureRequest, count: int
) -> Written:
    """Committed on the primary while the replica is away."""
    written = write_tokens(cluster, pair, count)
    request.addfinalizer(partial(drop_tokens, cluster, pair, written))
    return written


@when("the power of the replica's node returns", target_fixture="broken")
def replica_node_returns(chaos: Chaos, broken: Broken) -> Broken:
    """Recovery counts from here."""
    return Broken(chaos.heal(), broken.started)


@then(parsers.parse("the replica streams again within {seconds:g} seconds"))
def streams_again(
    cluster: Cluster, pair: Pair, broken: Broken, seconds: float, measure: Any
) -> None:
    """Both ends say so, of a server that was started after the break."""
    took = how_long(
        lambda: streams_from_new_start(cluster, pair, broken.started),
        within=seconds,
        since=broken.at,
        every=0.5,
        what=f"{pair.name} streams again",
    )
    measure.duration("PostgreSQL replica streams again", took, limit=seconds)


@then(parsers.parse("the rows written meanwhile are on the replica within {seconds:g} seconds"))
def caught_up(cluster: Cluster, pair: Pair, written: Written, seconds: float, measure: Any) -> None:
    """Every one of them, counted on the replica."""
    took = how_long(
        lambda: written.all_on_replica(cluster, pair), within=seconds, what="replica caught up"
    )
    measure.duration("PostgreSQL replica catches up", took, limit=seconds, n=written.count)
