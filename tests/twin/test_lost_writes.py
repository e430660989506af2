"""Acknowledged writes that are gone, and copies that lack them, must turn their scenario red."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.cluster.cluster import Cluster
from tests.twin.conftest import Outcome
from verify.redis_server import redis_connected
from verify.replication import Pair, connected, pair_of
from verify.steady import await_steady

RunFeatures = Callable[..., Outcome]
FEATURE = "features/replication/acknowledged_writes.feature"
LOST = "acknowledged writes that are lost"
SAME = "gibd-postgres-replica has the same writes as gibd-postgres"

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

#: Every table of writers gets a trigger that takes away one row in ten as it is written.
LOSE = """
create function sabotage_lose() returns trigger language plpgsql as $$
begin
  if new.key % 10 = 2 then
    execute format('delete from %I where key = %s', tg_table_name, new.key);
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


#: Commits are acknowledged before the log is on disk, and it gets there late.
HASTY = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
}


@contextmanager
def postgres_that_loses(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """One row in ten goes at once, the newest go with the server, and the replica stands still."""
    with connected(cluster, pair.primary) as primary, connected(cluster, pair.replica) as replica:
        primary.execute(LOSE.encode())
        for name, value in HASTY.items():
            primary.execute(f"alter system set {name} = '{value}'".encode())
        primary.execute("select pg_reload_conf()")
        replica.execute("select pg_wal_replay_pause()")
    try:
        yield
    finally:
        await_steady(cluster, within=120)
        with connected(cluster, pair.replica) as replica:
            replica.execute("select pg_wal_replay_resume()")
        with connected(cluster, pair.primary) as primary:
            primary.execute(KEEP.encode())
            for name in HASTY:
                primary.execute(f"alter system reset {name}".encode())
            primary.execute("select pg_reload_conf()")


@contextmanager
def redis_that_loses(cluster: Cluster) -> Iterator[None]:
    """It saves nothing by itself, and its replica is a master too: a failover half done."""
    snapshot = cluster.snapshot()
    names = [snapshot.service_called(name).name for name in ("gibd-redis", "redis-replica")]
    with redis_connected(cluster, names[0]) as one, redis_connected(cluster, names[1]) as other:
        rules: Any = one.config_get("save")["save"]
        one.config_set("save", "")
        other.execute_command("REPLICAOF", "NO", "ONE")
        try:
            yield
        finally:
            one.config_set("save", rules)
            other.execute_command("REPLICAOF", "gibd-redis", "6379")


def test_acknowledged_writes_that_are_lost_in_every_way_that_we_know(
    cluster: Cluster, run_features: RunFeatures, tmp_path: Path
) -> None:
    feature = tmp_path / "quiet.feature"
    feature.write_text(QUIET)
    pair = pair_of(cluster, primary="gibd-postgres", replica="gibd-postgres-replica")
    chosen = "peace or its_replica or saves_by_itself or postmaster"
    with postgres_that_loses(cluster, pair), redis_that_loses(cluster):
        outcome = run_features(str(feature), FEATURE, "-k", chosen)
    assert outcome.status == 1
    found = {(c["scenario"], c["criterion"]): c for c in outcome.signoff["criteria"]}

    deleted = found["PostgreSQL in peace", LOST]
    assert deleted["verdict"] == "missed"
    assert 0 < deleted["value"] < deleted["n"] / 5
    assert "2 (acknowledged by" in deleted["reason"]

    still = found["PostgreSQL and its replica", SAME]
    assert still["verdict"] == "missed"
    assert "are not on" in still["reason"]

    # What was acknowledged after the log was written last is gone with the server's memory.
    killed = found["PostgreSQL's postmaster is killed under writes", LOST]
    assert killed["verdict"] == "missed"
    assert killed["value"] > killed["n"] / 8

    # An application may ask either master: what one of them lacks is lost.
    split = found["Redis in peace", LOST]
    assert split["verdict"] == "missed"
    assert split["value"] >= 50

    assert outcome.verdicts("Redis saves by its own rules") == ["missed"]
