"""Slow answers must turn the query time red: a query without its index, a server without CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fixtures.cluster.cluster import Cluster
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import Outcome
from verify.replication import Pair, connected, pair_of
from verify.steady import await_steady

#: Times answers or CPU: runs while no other twin stands.
pytestmark = pytest.mark.quiet

RunFeatures = Callable[..., Outcome]
FEATURE = "features/performance/query_time.feature"
PRIMARY, REPLICA = "gibd-postgres", "gibd-postgres-replica"
#: Rows to be read for nothing without the index: some 20 ms.
OTHERS = 300_000


@contextmanager
def services_without_their_index(cluster: Cluster, pair: Pair) -> Iterator[None]:
    """Let another service write much, and take away the index by which services find their own."""
    insert = (
        "insert into items (service, token) select 'sabotage', 'sabotage-' || n"
        f" from generate_series(1, {OTHERS}) as n"
    )
    # Parallel workers would only take the CPU from the agent, whose result is then not believed.
    alone = "alter table items set (parallel_workers = 0)"
    create = "create index if not exists items_by_service on items (service, id desc)"
    with connected(cluster, pair.primary) as primary:
        primary.execute("set statement_timeout = '60s'")
        try:
            for statement in (insert, alone, "drop index items_by_service", "analyze items"):
                primary.execute(statement.encode())
            yield
        finally:
            for statement in (
                "delete from items where service = 'sabotage'",
                create,
                "alter table items reset (parallel_workers)",
                "vacuum (full, analyze) items",
            ):
                primary.execute(statement.encode())


def has_the_rows(cluster: Cluster, pair: Pair) -> bool | Pending:
    with connected(cluster, pair.replica) as replica:
        row = replica.execute("select count(*) from items where service = 'sabotage'").fetchone()
    return row == (OTHERS,) or Pending(f"{row} rows are there")


@contextmanager
def slowed(cluster: Cluster, service: str, percent: int) -> Iterator[None]:
    """Leave a service's task so much of one core."""
    node, task = cluster.a_task(service)
    node.run(f"docker update --cpu-period 100000 --cpu-quota {percent}000 {task.container_id}")
    try:
        yield
    finally:
        node.run(f"docker update --cpu-quota -1 {task.container_id}", check=False)
        await_steady(cluster, within=120)


def test_a_query_without_its_index_and_a_replica_without_its_cpu(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    pair = pair_of(cluster, primary=PRIMARY, replica=REPLICA)
    with services_without_their_index(cluster, pair):
        eventually(lambda: has_the_rows(cluster, pair), within=60, what="the replica has the rows")
        with slowed(cluster, pair.replica.service, percent=20):
            outcome = run_features(FEATURE, "-k", "primary_and_replica")
    assert outcome.status == 1
    found = {c["criterion"]: c for c in outcome.signoff["criteria"]}
    slow = found[f"query time of newest items on {PRIMARY}"]
    quick = found[f"query time of point read on {PRIMARY}"]
    assert slow["verdict"] == "missed"
    assert slow["value"] > slow["limit"] == 15
    # Its scans keep the CPU from the others too, but not as long.
    assert slow["value"] > 2 * quick["value"]
    # The same query of the same rows is worse where the server is slow.
    throttled = found[f"query time of point read on {REPLICA}"]
    assert throttled["verdict"] == "missed"
    assert throttled["value"] > quick["value"]
