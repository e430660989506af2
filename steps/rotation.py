"""Steps about a secret that is changed while it is in use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.waiting import how_long
from load.availability import AvailabilityProbe
from steps.deployments import ENDLESS_SECONDS
from verify.rollout import Rollout, Rollouts, SwarmServices, changed
from verify.security import rotation, wire, wire_findings
from verify.security.rotation import Login, Logins
from verify.security.wire import Tap

PRIMARY, STANDBY = "gibd-postgres", "gibd-postgres-replica"
SWARM_PORT = 2377


@dataclass
class Turn:
    """A service whose login changes from `former` to `new`; `taps` is what the managers sent."""

    service: str
    former: Login
    new: Login | None = None
    taps: dict[str, Tap] | None = None


@pytest.fixture
def logins(cluster: Cluster) -> Iterator[Logins]:
    """Yield what makes database roles and secrets; none is left, after services are put back."""
    with Logins(cluster, PRIMARY, STANDBY) as made:
        yield made


@given(
    parsers.parse("{service} logs in at its database as a role of its own"), target_fixture="turn"
)
def own_role(logins: Logins, rollouts: Rollouts, services: SwarmServices, service: str) -> Turn:
    """`logins` comes before `rollouts`, so that its roles go after the service is put back."""
    name = services.full_name(service)
    rotation.check_takes_logins(rollouts.spec(name))
    former = logins.make(logins.new_value())
    rollouts.apply(name, lambda spec: changed(spec, former.change))
    return Turn(name, former)


@when(
    parsers.parse(
        "{service} is given the next role with a new password, and watched until {seconds:g} "
        "seconds after its end"
    ),
    target_fixture="rollout",
)
def next_role(
    cluster: Cluster,
    logins: Logins,
    rollouts: Rollouts,
    turn: Turn,
    clients: AvailabilityProbe,
    service: str,
    seconds: float,
) -> Rollout:
    """The value is looked for in everything that the managers send, from before it exists."""
    value = logins.new_value()
    with wire.all_tapped(cluster, {m.name: [value.encode()] for m in cluster.managers}) as taps:
        turn.new = logins.make(value)
        rollout = rollouts.begin(turn.service, turn.new.change)
        rollouts.watch(rollout, within=ENDLESS_SECONDS)
    turn.taps = taps
    clients.mark("update", at=rollout.began.at)
    clients.mark("after its end", at=rollout.ended.at)
    clients.events += rollout.events()
    clients.wait_for(seconds)
    clients.stop()
    return rollout


@then(
    parsers.parse(
        "within {seconds:g} seconds every task of {service} has the new secret, and no session "
        "the former role"
    )
)
def taken(
    cluster: Cluster, logins: Logins, turn: Turn, seconds: float, service: str, measure: Any
) -> None:
    """By the content of each task's file, and by whom both servers have sessions of."""
    assert turn.new is not None
    new = turn.new
    took = how_long(
        lambda: rotation.not_taken(
            rotation.held(cluster, turn.service), logins.roles_of(service), new, turn.former
        ),
        within=seconds,
        since=time.monotonic(),
        what="the new login alone in use",
    )
    measure.duration("the new secret alone is in use", took, limit=seconds)


@then(
    parsers.parse(
        "the former password, accepted until its role is retired, is refused within {seconds:g} "
        "seconds"
    )
)
def refused(logins: Logins, turn: Turn, seconds: float, measure: Any) -> None:
    """One that was not accepted before would prove nothing."""
    criterion = "the former secret is refused"
    if not logins.accepted(turn.former):
        measure.inconclusive(criterion, "it was refused before it was retired")
    logins.retire(turn.former)
    found = rotation.refused_within(lambda: logins.accepted(turn.former), within=seconds)
    measure.violations(criterion, found, checked=1)


@then("the managers sent the new secret, and nothing of it in clear")
def sealed_on_the_way(turn: Turn, measure: Any) -> None:
    """In frames of the managers; those from Swarm's port carry it to the tasks' nodes."""
    assert turn.taps is not None
    problems, doubts, segments = wire_findings.sealed_problems(turn.taps, SWARM_PORT)
    if doubts and not problems:
        measure.inconclusive("secrets encrypted in transit", "; ".join(doubts))
    measure.violations("secrets encrypted in transit", problems, checked=segments)
