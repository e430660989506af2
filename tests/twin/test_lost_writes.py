"""Acknowledged writes that are gone, and copies that lack them, must turn their scenario red."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.cluster.cluster import Cluster
from tests.twin.conftest import Outcome
from verify.redis_server import redis_connected
from verify.replication import Pair, connected, pair_of
from verify.steady import await_steady

RunFeatures = Callable[..., Outcome]
FEATURE = "features/replication/acknowledged_writes.feature"
LOST = "acknowledged writes that are lost"

#: No fault: what is lost here is lost behind the system's back.
QUIET = """
Feature: Quiet
  Background:
    Given the plan's services are running

  Scenario: PostgreSQL in peace
    Given writers commit 100 rows a second to gibd-postgres or gibd-postgres-replica
    Then at most 0 acknowledged writes are lost

  Scenario: PostgreSQL and its replica
    Given writers commit 100 rows a second to gibd-postgres or gibd-postgres-replica
    Then gibd-postgres-replica has the same writes as gibd-postgres within 2 seconds

  Scenario: Redis in peace
    Given writers set 100 keys a second in gibd-redis or redis-replica
    Then at most 0 acknowledged writes are lost
"""

#: Every table of writers gets a trigger that takes away one row in the transaction that wrote it.
LOSE = """
create function sabotage_lose() returns trigger language plpgsql as $$
begin
  if new.key = 42 then
    execute format('delete from %I where key = 42', tg_table_name);
  end if;
  return null;
end $$;
create function sabotage_arm() returns event_trigger language plpgsql as $$
declare made record;
begin
  for made in select object_identity from pg_event_trigger_ddl_commands()
              where object_identity like 'public.cutover_writes_%' and object_type = 'table' loop
    execute format('create trigger lose after insert on %s for each row'
                   ' execute function sabotage_lose()', made.object_identity);
  end loop;
end $$;
create event trigger sabotage on ddl_command_end when tag in ('CREATE TABLE')
  execute function sabotage_arm();
"""
KEEP = """
drop event trigger if exists sabotage;
drop function if exists sabotage_arm(), sabotage_lose() cascade;
"""


@contextmanager
def a_row_lost_and_a_replica_that_stands_still(cluster: Cluster, pair: Pair) -> Iterator[None]:
    with connected(cluster, pair.primary) as primary, connected(cluster, pair.replica) as replica:
        try:
            primary.execute(LOSE)
            replica.execute("select pg_wal_replay_pause()")
            yield
        finally:
            replica.execute("select pg_wal_replay_resume()")
            primary.execute(KEEP)


@contextmanager
def two_masters(cluster: Cluster) -> Iterator[None]:
    """Let redis-replica accept writes of its own, as an unfinished failover leaves it."""
    snapshot = cluster.snapshot()
    replica = snapshot.service_called("redis-replica").name
    with redis_connected(cluster, replica) as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "gibd-redis", "6379")


def test_a_row_taken_away_a_replica_that_stands_still_and_two_redis_masters(
    cluster: Cluster, run_features: RunFeatures, tmp_path: Path
) -> None:
    feature = tmp_path / "quiet.feature"
    feature.write_text(QUIET)
    pair = pair_of(cluster, primary="gibd-postgres", replica="gibd-postgres-replica")
    with a_row_lost_and_a_replica_that_stands_still(cluster, pair), two_masters(cluster):
        outcome = run_features(str(feature))
    assert outcome.status == 1
    found = {
        (c["scenario"], c["criterion"]): (c["verdict"], c["value"], c["reason"])
        for c in outcome.signoff["criteria"]
    }
    verdict, lost, reason = found["PostgreSQL in peace", LOST]
    assert (verdict, lost) == ("missed", 1)
    assert "42 (acknowledged by" in reason
    same = found[
        "PostgreSQL and its replica", "gibd-postgres-replica has the same writes as gibd-postgres"
    ]
    assert same[0] == "missed"
    # Applications may read at either: what one master lacks is lost.
    verdict, lost, _ = found["Redis in peace", LOST]
    assert verdict == "missed"
    assert lost >= 100


def test_a_primary_that_acknowledges_before_its_disk_has_it(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    pair = pair_of(cluster, primary="gibd-postgres", replica="gibd-postgres-replica")
    settings = {
        "synchronous_commit": "off",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
    }
    with connected(cluster, pair.primary) as primary:
        for name, value in settings.items():
            primary.execute(f"alter system set {name} = '{value}'".encode())
        primary.execute("select pg_reload_conf()")
    try:
        outcome = run_features(FEATURE, "-k", "postmaster")
    finally:
        with connected(cluster, pair.primary) as primary:
            for name in settings:
                primary.execute(f"alter system reset {name}".encode())
            primary.execute("select pg_reload_conf()")
        await_steady(cluster, within=120)
    assert outcome.status == 1
    assert outcome.verdicts("writes are acknowledged again") == ["met"]
    assert outcome.verdicts(LOST) == ["missed"]


def test_a_redis_that_never_saves(cluster: Cluster, run_features: RunFeatures) -> None:
    service = cluster.snapshot().service_called("gibd-redis").name
    with redis_connected(cluster, service) as client:
        rules = client.config_get("save")["save"]
        client.config_set("save", "")
        try:
            outcome = run_features(FEATURE, "-k", "saves_by_itself")
        finally:
            client.config_set("save", rules)
    assert outcome.status == 1
    assert outcome.verdicts("Redis saves by its own rules") == ["missed"]
