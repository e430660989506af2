"""The control plane's states."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, RemoteTimeout, Unreachable
from fixtures.waiting import Pending
from tests.unit.builders import MANAGERS, FakeCluster, nodes, snapshot
from verify.quorum import State, control_plane, in_state

WHOLE = snapshot()
SILENT = Unreachable("no route", where="node", remedy="wait")
# The engine's own words on a manager without quorum.
NO_QUORUM = Unreachable(
    "engine: rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that"
    " too few managers are online. Make sure more than half of the managers are online."
)


def says(**changed: Any) -> Snapshot:
    return snapshot(nodes(**changed))


def cluster(*answers: Snapshot | CutoverError) -> FakeCluster:
    return FakeCluster(dict(zip(MANAGERS, answers, strict=True)))


LEADERLESS = says(m1={"leader": False})
M3_UNREACHABLE = says(m3={"reachability": "unreachable"})


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        pytest.param((WHOLE, WHOLE, WHOLE), State.WHOLE, id="all agree"),
        pytest.param((WHOLE, WHOLE, SILENT), State.DEGRADED, id="one is silent"),
        pytest.param((SILENT, SILENT, WHOLE), State.DEGRADED, id="one of them knows a leader"),
        pytest.param((WHOLE, WHOLE, M3_UNREACHABLE), State.DEGRADED, id="one misses another"),
        pytest.param((WHOLE, WHOLE, LEADERLESS), State.DEGRADED, id="one knows no leader"),
        pytest.param((SILENT, SILENT, LEADERLESS), State.LOST, id="the last knows no leader"),
        pytest.param((LEADERLESS,) * 3, State.LOST, id="none knows a leader"),
        pytest.param((SILENT, SILENT, NO_QUORUM), State.LOST, id="the last says so itself"),
        pytest.param((WHOLE, SILENT, NO_QUORUM), State.DEGRADED, id="one is cut off"),
        pytest.param((SILENT,) * 3, State.UNKNOWN, id="silence alone proves nothing"),
    ],
)
def test_the_state_follows_from_what_each_manager_says(answers: Any, state: State) -> None:
    assert control_plane(cluster(*answers)).state is state


def test_each_managers_answer_is_told() -> None:
    seen = control_plane(cluster(M3_UNREACHABLE, LEADERLESS, RemoteTimeout("no answer")))
    assert str(seen) == ("degraded: m1: leader m1, unreachable m3; m2: leader none; m3: no answer")


def test_an_unreachable_worker_does_not_count() -> None:
    seen = says(w1={"reachability": "", "state": "down"})
    assert control_plane(cluster(seen, seen, seen)).state is State.WHOLE


def test_being_in_the_state_is_true() -> None:
    assert in_state(cluster(WHOLE, WHOLE, WHOLE), State.WHOLE) is True


@pytest.mark.parametrize("wanted", [State.WHOLE, State.DEGRADED, State.LOST])
def test_being_in_another_state_is_pending_with_what_is_so(wanted: State) -> None:
    outcome = in_state(cluster(SILENT, SILENT, SILENT), wanted)
    assert isinstance(outcome, Pending)
    assert outcome.reason == "unknown: m1: no route; m2: no route; m3: no route"
