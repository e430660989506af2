"""Updates that Swarm is content with and clients are not, and roll-backs that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.cluster.cluster import Cluster
from tests.twin.conftest import Outcome
from verify.rollout import Json, Rollouts, SwarmServices
from verify.steady import await_steady

RunFeatures = Callable[..., Outcome]

FEATURE = "features/deployment/rolling_update.feature"
FAILED = "requests that failed during the update"


@pytest.fixture
def gateway(cluster: Cluster) -> Iterator[Callable[[Callable[[Json], Json]], None]]:
    """Yield what changes the gateway's specification; it is put back in the end."""
    services = SwarmServices(cluster)
    with Rollouts(services, lambda: await_steady(cluster, within=120)) as rollouts:
        name = services.full_name("ws-gateway")
        yield lambda change: rollouts.apply(name, change)


def test_an_update_that_is_completed_and_cost_requests(
    gateway: Callable[..., None], run_features: RunFeatures
) -> None:
    def alone(spec: Json) -> Json:
        return {**spec, "Mode": {"Replicated": {"Replicas": 1}}}

    gateway(alone)
    outcome = run_features(FEATURE, "-k", "gateway and stop-first")
    assert outcome.status == 1
    assert outcome.verdicts(FAILED) == ["missed"]
    assert "Swarm says: completed" in outcome.reason(FAILED)
    (lost,) = [c for c in outcome.signoff["criteria"] if c["criterion"] == FAILED]
    # One that drains for 2 s and starts for some more, at 40 requests a second.
    assert 40 < lost["value"] < lost["n"]


def test_a_new_version_that_is_rolled_back_while_nobody_notices(
    gateway: Callable[..., None], run_features: RunFeatures
) -> None:
    def only_the_old_is_healthy(spec: Json) -> Json:
        container = spec["TaskTemplate"]["ContainerSpec"]
        (version,) = [e.partition("=")[2] for e in container["Env"] if e.startswith("WEB_VERSION=")]
        health = {
            **container["Healthcheck"],
            "Test": ["CMD-SHELL", f'[ "$WEB_VERSION" = "{version}" ]'],
            "Interval": 10**9,
            "StartPeriod": 10**9,
            "Retries": 1,
        }
        template = {**spec["TaskTemplate"], "ContainerSpec": {**container, "Healthcheck": health}}
        return {**spec, "TaskTemplate": template}

    gateway(only_the_old_is_healthy)
    outcome = run_features(FEATURE, "-k", "gateway and start-first and new_version")
    assert outcome.status == 1
    assert outcome.verdicts(FAILED) == ["met"], "clients notice nothing at all"
    changes = "the version changes over exactly once"
    assert outcome.verdicts(changes) == ["missed"]
    assert "version 2 was never seen" in outcome.reason(changes)


def test_a_bad_update_that_hangs_instead_of_being_taken_back(
    gateway: Callable[..., None], run_features: RunFeatures
) -> None:
    def pausing(spec: Json) -> Json:
        return {**spec, "UpdateConfig": {**spec["UpdateConfig"], "FailureAction": "pause"}}

    gateway(pausing)
    outcome = run_features(FEATURE, "-k", "image")
    assert outcome.status == 1
    assert outcome.verdicts("update rolled back") == ["missed"]
    assert "ended as paused" in outcome.reason("update rolled back")
