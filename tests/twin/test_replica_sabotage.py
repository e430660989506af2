"""Replicas that lag, lead beside their primary, or lead without what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import Outcome
from tests.twin.replicas import replica_following
from verify.replication import Pair, Server, connected, pair_of, senders
from verify.steady import await_steady

RunFeatures = Callable[..., Outcome]
LAG = "PostgreSQL replication lag in time"

#: The general pair is taken, for no service depends on it.
GONE_WRONG = """
Feature: Promotions gone wrong

  Background:
    Given the plan's services are running
    And postgres-replica is the replica of postgres

  Scenario: The replica had lost its primary before
    Given writers commit 20 rows a second to postgres or postgres-replica
    When nobody writes to the primary for 12 seconds
    And the primary's container is killed
    And the old primary is fenced and the replica promoted
    Then acknowledged writes of at most 5 seconds are lost

  Scenario: The old primary goes on writing
    When the fault "data.replica-promoted service=postgres-replica" is injected
    Then one server alone accepts writes
"""


@contextmanager
def applying_late(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """Let the replica apply everything a minute late."""
    with connected(cluster, pair.replica) as copy:
        copy.execute("alter system set recovery_min_apply_delay = '1min'")
        copy.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        with connected(cluster, pair.replica) as copy:
            copy.execute("alter system reset recovery_min_apply_delay")
            copy.execute("select pg_reload_conf()")


@contextmanager
def replay_paused(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """Let the replica receive everything and apply nothing."""
    with connected(cluster, pair.replica) as copy:
        copy.execute("select pg_wal_replay_pause()")
    try:
        yield
    finally:
        with connected(cluster, pair.replica) as copy:
            copy.execute("select pg_wal_replay_resume()")


@contextmanager
def receiver_frozen(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """Let the replica receive nothing over a connection that stays open."""
    node, task = cluster.a_task(pair.replica.service)
    find = f"docker top {task.container_id} -eo pid,args | awk '/walreceiver/ {{ print $1 }}'"
    (pid,) = node.run(find).stdout.split()
    node.run(f"kill -STOP {pid}")
    try:
        yield
    finally:
        node.run(f"kill -CONT {pid} 2>/dev/null || true")


def rows_written(cluster: Cluster, server: Server) -> int:
    """The rows of the writers' table there."""
    tables = "select relname from pg_class where relname like 'cutover_writes_%' and relkind = 'r'"
    with connected(cluster, server) as connection:
        counts = [
            connection.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            ).fetchone()
            for (table,) in connection.execute(tables).fetchall()
        ]
    return sum(count for (count,) in filter(None, counts))


@contextmanager
def detached_once_written(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """Detach the replica while writers are at it: a loss without a beginning says nothing.

    By its setting, not by a cut network: for that Swarm may call the replica's node down.
    """

    def detach(detaching: ExitStack) -> None:
        eventually(
            lambda: rows_written(cluster, pair.replica) >= 60 or Pending("nobody writes yet"),
            within=120,
            every=0.5,
            what="rows on the replica",
            retry_on=(psycopg.Error, CutoverError),
        )
        detaching.enter_context(replica_following(cluster, pair, ""))

    with ThreadPoolExecutor(1) as pool, ExitStack() as detaching:
        detached = pool.submit(detach, detaching)
        yield
        detached.result()


def general_pair(cluster: Cluster) -> Pair:
    return pair_of(cluster, primary="postgres", replica="postgres-replica")


def test_a_replica_that_applies_late_or_not_at_all(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    gibd = pair_of(cluster, primary="gibd-postgres", replica="gibd-postgres-replica")
    with ExitStack() as broken:
        broken.enter_context(applying_late(cluster, gibd))
        broken.enter_context(replay_paused(cluster, general_pair(cluster)))
        outcome = run_features("features/replication/lag.feature", "-k", "keeps_up")
    assert outcome.status == 1
    assert outcome.verdicts(LAG) == ["missed", "missed"]


def test_a_replica_far_behind_whose_sender_says_streaming(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    pair = general_pair(cluster)
    with receiver_frozen(cluster, pair):
        with connected(cluster, pair.primary) as source:
            assert [sender.state for sender in senders(source)] == ["streaming"]
        outcome = run_features("features/replication/lag.feature", "-k", "keeps_up and not gibd")
    assert outcome.status == 1
    assert outcome.verdicts(LAG) == ["missed"]
    assert pair.problems_within(cluster, 60) == []


def test_two_writers_and_a_leader_without_what_was_acknowledged(
    cluster: Cluster, run_features: RunFeatures, tmp_path: Path
) -> None:
    feature = tmp_path / "gone_wrong.feature"
    feature.write_text(GONE_WRONG)
    # The other file is there for its folder: by it pytest finds the project's options.
    beside = "features/replication/lag.feature"
    with detached_once_written(cluster, general_pair(cluster)):
        outcome = run_features(str(feature), beside, "-k", "goes_on_writing or lost_its_primary")
        await_steady(cluster, within=120)
    assert outcome.status == 1
    assert outcome.verdicts("one PostgreSQL server accepts writes") == ["missed"]
    assert "2 accept writes" in outcome.reason("one PostgreSQL server accepts writes")
    assert outcome.verdicts("acknowledged writes lost, in time") == ["missed"]
    assert general_pair(cluster).problems_within(cluster, 120) == []


@pytest.mark.parametrize("service", ["gibd-postgres", "gibd-postgres-replica", "gibd-redis"])
def test_no_second_container_gets_at_a_volume_in_use(cluster: Cluster, service: str) -> None:
    """The server itself, behind all that its start script became, still holds the volume's lock."""
    node, task = cluster.a_task(f"data_{service}")
    shown = "'{{(index .Mounts 0).Name}} {{.Config.Image}}'"
    volume, image = node.run(f"docker inspect -f {shown} {task.container_id}").stdout.split()
    second = f"docker run --rm -v {volume}:/volume --entrypoint flock {image}"
    with pytest.raises(CommandFailed, match="exit status 9 from"):
        node.run(f"{second} --nonblock --conflict-exit-code 9 /volume/in-use true", timeout=30)
    node.run(f"{second} --nonblock /volume/another true; rm -f /volume/another", timeout=30)
