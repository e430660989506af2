"""A clean twin is green: real scenarios, as a user runs them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures import folders
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.blueprint import HEARTBEAT_SECONDS
from tests.twin.conftest import Outcome


@pytest.mark.quiet
def test_smoke_is_met(run_features: Callable[..., Outcome]) -> None:
    outcome = run_features("features", "-m", "smoke")
    assert outcome.status == 0, outcome.output
    # A kernel without ESP cannot show that one, and says so.
    wire = "overlay traffic is encrypted on the wire"
    others = [c for c in outcome.signoff["criteria"] if c["criterion"] != wire]
    assert {c["verdict"] for c in others} == {"met"}
    assert set(outcome.verdicts(wire)) <= {"met", "unproven"}
    assert not outcome.signoff["ready"], "a part of the features can never be READY"


def test_losing_the_worker_is_met_within_the_limit(run_features: Callable[..., Outcome]) -> None:
    outcome = run_features("features/failover/node_loss.feature", "-k", "worker")
    assert outcome.status == 0, outcome.output
    (moved,) = (
        c for c in outcome.signoff["criteria"] if c["criterion"] == "services run elsewhere"
    )
    assert moved["n"] >= 1, "nothing ran on the node that was lost"
    # Swarm calls a node down three heartbeats after the last one it heard, and that may have been
    # a whole period before the power went: anything faster did not wait for Swarm.
    assert 2 * HEARTBEAT_SECONDS < moved["value"] < 60


def test_an_inventory_is_tested_like_a_twin(
    cluster: Cluster, run_features: Callable[..., Outcome]
) -> None:
    inventory = folders.cluster_folder(cluster.name) / "inventory.yml"
    outcome = run_features("features/cluster/formation.feature", inventory=inventory)
    assert outcome.status == 0, outcome.output
    assert outcome.signoff["cluster"] == cluster.name
