"""Steps about how far a PostgreSQL replica is behind."""

from __future__ import annotations

import time
from typing import Any

from pytest_bdd import parsers, then, when

from fixtures.cluster.cluster import Cluster
from steps.chaos import let_pass
from verify import replication_lag
from verify.replication import Pair
from verify.replication_lag import Watched

MB = 1e6
#: Of the load that a scenario names, so much must really have been written.
ENOUGH = 0.75
LOOK_SECONDS = 1.0


@when(
    parsers.parse("{load:g} MB a second are written to the primary for {seconds:g} seconds"),
    target_fixture="watched",
)
def written_to(cluster: Cluster, pair: Pair, load: float, seconds: float, measure: Any) -> Watched:
    """Watched meanwhile; less load than that would prove nothing."""
    watched = replication_lag.watch(cluster, pair, seconds=seconds, load=load * MB)
    if watched.rate < ENOUGH * load * MB:
        measure.inconclusive(
            "PostgreSQL replica keeps up", f"only {watched.rate / MB:.1f} MB a second were written"
        )
    measure.note("WAL written under load", watched.rate / MB, unit="MB/s")
    return watched


@when(parsers.parse("nobody writes to the primary for {seconds:g} seconds"))
def nobody_writes(cluster: Cluster, pair: Pair, seconds: float, measure: Any) -> None:
    """What the usual formula makes of it is reported beside the truth."""
    let_pass(time.monotonic() + seconds, "an idle primary")
    usual = replication_lag.usual_formula(cluster, pair)
    measure.note("now() - pg_last_xact_replay_timestamp() when idle", usual, unit="s")


@then(
    parsers.parse("the replica was never more than {seconds:g} seconds and {megabytes:g} MB behind")
)
def never_behind(watched: Watched, seconds: float, megabytes: float, measure: Any) -> None:
    """The worst look of each."""
    _judge(watched, seconds, megabytes, measure)


@then(parsers.parse("the replica is at most {seconds:g} seconds and {megabytes:g} MB behind"))
def is_behind(cluster: Cluster, pair: Pair, seconds: float, megabytes: float, measure: Any) -> None:
    """Some looks, now."""
    watched = replication_lag.watch(cluster, pair, seconds=LOOK_SECONDS)
    _judge(watched, seconds, megabytes, measure)


def _judge(watched: Watched, seconds: float, megabytes: float, measure: Any) -> None:
    oldest, n = watched.oldest, len(watched.looks)
    measure.each(
        [
            lambda: measure(
                "PostgreSQL replication lag in time",
                oldest.seconds,
                limit=seconds,
                unit="s",
                error=oldest.error,
                n=n,
            ),
            lambda: measure(
                "PostgreSQL replication lag in bytes",
                watched.furthest.bytes / MB,
                limit=megabytes,
                unit="MB",
                n=n,
            ),
        ]
    )
