"""The steady state: one test for each thing that can keep a cluster from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fixtures import progress, waiting
from fixtures.cluster.constraints import eligible
from fixtures.cluster.swarm import Service, Task
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import NeverTrue, Pending
from tests.unit.builders import (
    MANAGERS,
    ROLES,
    Clock,
    FakeCluster,
    node,
    nodes,
    service,
    snapshot,
    task,
)
from verify import steady


def problems_of_nodes(**changed: Any) -> list[str]:
    return steady.node_problems(snapshot(nodes(**changed)), list(ROLES), MANAGERS)


def problems_of_service(one: Service, *tasks: Task, **changed: Any) -> list[str]:
    return steady.service_problems(snapshot(nodes(**changed), [one], tasks))


def test_a_job_that_is_over_is_as_it_should_be() -> None:
    assert problems_of_service(service("job", 1, is_job=True)) == []
    assert problems_of_service(service("job", 1))


def reason(outcome: object) -> str:
    assert isinstance(outcome, Pending), f"{outcome} is not pending"
    return outcome.reason


def test_whole_nodes_are_no_problem() -> None:
    assert problems_of_nodes() == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"w1": {"state": "down"}}, "node w1 is down"),
        ({"m2": {"state": "unknown"}}, "node m2 is unknown"),
        ({"w1": {"availability": "drain"}}, "node w1 is drain"),
        ({"m2": {"reachability": "unreachable"}}, "manager m2 is unreachable"),
        ({"m2": {"reachability": ""}}, "manager m2 is not a manager"),
        ({"m1": {"leader": False}}, "0 leaders: none"),
        ({"m2": {"leader": True}}, "2 leaders: m1, m2"),
    ],
)
def test_a_node_that_is_not_whole_is_a_problem(changed: Any, problem: str) -> None:
    assert problems_of_nodes(**changed) == [problem]


def test_a_missing_node_is_a_problem() -> None:
    seen = snapshot([n for n in nodes() if n.hostname != "w1"])
    assert steady.node_problems(seen, list(ROLES), MANAGERS) == ["node w1 is not in the Swarm"]


def test_the_old_entry_of_a_node_that_joined_again_is_no_problem() -> None:
    seen = snapshot([node("w1", "worker", id="old", state="down"), *nodes()])
    assert steady.node_problems(seen, list(ROLES), MANAGERS) == []


def test_a_service_with_its_tasks_is_no_problem() -> None:
    two = [task("shop_web", 1), task("shop_web", 2, on="w1")]
    assert problems_of_service(service("web", 2), *two) == []


def test_a_service_that_shall_not_run_is_no_problem() -> None:
    assert problems_of_service(service("web", 0)) == []


def test_a_global_service_on_every_node_is_no_problem() -> None:
    everywhere = [task("shop_web", None, on=name) for name in ROLES]
    assert problems_of_service(service("web", None), *everywhere) == []


def test_a_missing_task_is_a_problem() -> None:
    assert problems_of_service(service("web", 2), task("shop_web")) == [
        "shop_web: 1 of 2 tasks running"
    ]


def test_a_task_too_many_is_a_problem() -> None:
    two = [task("shop_web", 1), task("shop_web", 1, on="m2")]
    assert problems_of_service(service("web"), *two) == ["shop_web: 2 of 1 tasks running"]


def test_a_global_service_missing_on_a_node_is_a_problem() -> None:
    assert problems_of_service(service("web", None), task("shop_web", None)) == [
        "shop_web: 1 of 4 tasks running"
    ]


@pytest.mark.parametrize("state", [{"availability": "drain"}, {"state": "down"}])
def test_a_global_service_is_not_wanted_where_nothing_can_run(state: Any) -> None:
    three = [task("shop_web", None, on=name) for name in MANAGERS]
    assert problems_of_service(service("web", None), *three, w1=state) == []


def test_a_task_said_to_run_on_a_dead_node_does_not_count() -> None:
    there = task("shop_web", on="w1")
    assert problems_of_service(service("web"), there, w1={"state": "down"}) == [
        "shop_web: 0 of 1 tasks running"
    ]


def test_a_task_that_is_being_shut_down_does_not_count() -> None:
    ending = task("shop_web", desired_state="shutdown")
    assert problems_of_service(service("web"), ending) == ["shop_web: 0 of 1 tasks running"]


def test_the_newest_error_is_told() -> None:
    past = [
        task("shop_web", state="failed", error="older", updated_at="2030-01-01T00:00:01Z"),
        task("shop_web", state="failed", error="newer", updated_at="2030-01-01T00:00:02Z"),
    ]
    assert problems_of_service(service("web"), *past) == ["shop_web: 0 of 1 tasks running (newer)"]


@pytest.mark.parametrize(
    "state",
    [
        "updating",
        "paused",
        "rollback_started",
        "rollback_paused",
    ],
)
def test_a_service_in_an_update_is_a_problem(state: str) -> None:
    updating = service("web", update_state=state)
    assert problems_of_service(updating, task("shop_web")) == [f"shop_web: update is {state}"]


@pytest.mark.parametrize("state", ["", "completed", "rollback_completed"])
def test_a_service_whose_update_is_over_is_no_problem(state: str) -> None:
    assert problems_of_service(service("web", update_state=state), task("shop_web")) == []


def test_a_constrained_global_service_is_wanted_on_eligible_nodes_only() -> None:
    on_managers = service("web", None, constraints=("node.role == manager",))
    three = [task("shop_web", None, on=name) for name in MANAGERS]
    assert problems_of_service(on_managers, *three) == []


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("node.role == worker", True),
        ("node.role==worker", True),
        ("node.role != worker", False),
        ("node.hostname == w1", True),
        ("node.hostname == W1", True),
        ("node.hostname == m1", False),
        ("node.id == id-w1", True),
        ("node.labels.tier == core", True),
        ("node.labels.tier == Core", True),
        ("node.labels.tier == data", False),
        ("node.labels.tier != data", True),
        ("node.labels.disk == ssd", False),
        ("node.labels.disk != ssd", True),
        ("node.platform.os == linux", True),
    ],
)
def test_a_constraint_is_read_as_swarm_reads_it(constraint: str, holds: bool) -> None:
    w1 = node("w1", "worker", labels={"tier": "core"})
    assert eligible(w1, [constraint]) is holds
    assert eligible(w1, ["node.role == worker", constraint]) is holds


def test_a_whole_cluster_is_steady() -> None:
    seen = snapshot(services=[service("web")], tasks=[task("shop_web")])
    assert steady.unsteady(FakeCluster(seen)) is True


def test_a_node_without_power_is_told_before_anyone_is_asked() -> None:
    cluster = FakeCluster(Unreachable("must not be asked"))
    cluster.nodes["m2"].has_power = False
    assert reason(steady.unsteady(cluster)) == "node m2 has no power"


def test_silent_managers_are_not_steady() -> None:
    assert reason(steady.unsteady(FakeCluster(Unreachable("no route")))) == "no route"


def test_problems_of_nodes_and_services_are_told_together() -> None:
    seen = snapshot(nodes(w1={"state": "down"}), [service("web")])
    assert reason(steady.unsteady(FakeCluster(seen))) == (
        "node w1 is down; shop_web: 0 of 1 tasks running"
    )


def whole(cluster: FakeCluster, name: str) -> object:
    return steady.node_is_whole(cluster, cluster.nodes[name])


@pytest.mark.parametrize("name", ["m2", "w1"])
def test_a_node_that_both_sides_call_whole_is_whole(name: str) -> None:
    assert whole(FakeCluster(snapshot()), name) is True


@pytest.mark.parametrize("state", ["inactive", "pending", "error", "locked"])
def test_the_managers_word_is_not_enough(state: str) -> None:
    cluster = FakeCluster(snapshot())
    cluster.nodes["w1"].swarm_state = state
    assert reason(whole(cluster, "w1")) == f"its own engine says {state}"


def test_the_engines_word_is_not_enough() -> None:
    cluster = FakeCluster(snapshot(nodes(w1={"state": "down"})))
    assert reason(whole(cluster, "w1")) == "node w1 is down"


def test_a_manager_must_be_reachable_for_the_others() -> None:
    cluster = FakeCluster(snapshot(nodes(m2={"reachability": "unreachable"})))
    assert reason(whole(cluster, "m2")) == "manager m2 is unreachable"


def test_other_nodes_troubles_do_not_count() -> None:
    seen = snapshot(nodes(m1={"state": "down", "leader": False}))
    assert whole(FakeCluster(seen), "w1") is True


@pytest.mark.parametrize("deaf", ["engine", "managers"])
def test_a_side_that_does_not_answer_is_pending(deaf: str) -> None:
    silence = Unreachable("no answer")
    cluster = FakeCluster(silence if deaf == "managers" else snapshot())
    if deaf == "engine":
        cluster.nodes["w1"].swarm_state = silence
    assert reason(whole(cluster, "w1")) == "no answer"


def test_a_node_whose_name_speaks_of_leaders_is_judged_too() -> None:
    seen = snapshot([node("leaders", "worker", state="down"), node("m1", leader=True)])
    cluster = FakeCluster(seen, {"leaders": "worker", "m1": "manager"})
    assert reason(whole(cluster, "leaders")) == "node leaders is down"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    progress.set_sink(lambda _line: None)
    yield
    progress.set_sink(None)


@pytest.mark.usefixtures("_quick")
def test_steadiness_is_awaited() -> None:
    down = snapshot(nodes(w1={"state": "down"}))
    cluster = FakeCluster([down, Unreachable("no route"), down, snapshot()])
    steady.await_steady(cluster, within=10)
    assert cluster.asked == 4


@pytest.mark.usefixtures("_quick")
def test_what_never_gets_steady_is_told_with_swarms_own_words() -> None:
    seen = snapshot(
        services=[service("web")],
        tasks=[task("shop_web", state="pending", on="", error="no suitable node")],
    )
    with pytest.raises(NeverTrue) as caught:
        steady.await_steady(FakeCluster(seen), within=3)
    message = str(caught.value)
    assert "twin steady: not within 3 s; last seen: shop_web: 0 of 1" in message
    assert "What Swarm says of its tasks:" in message


def test_the_story_tells_what_does_not_run_newest_first() -> None:
    tasks = [
        task("shop_ok"),
        task("shop_past", state="shutdown", desired_state="shutdown"),
        task("shop_a", state="pending", node_id="", updated_at="2030-01-01T00:00:01.5Z"),
        task(
            "shop_b",
            on="w1",
            state="failed",
            desired_state="shutdown",
            error="exit 1",
            updated_at="2030-01-01T00:00:02Z",
        ),
    ]
    assert steady.task_story(FakeCluster(snapshot(tasks=tasks))).splitlines() == [
        "What Swarm says of its tasks:",
        "2030-01-01T00:00:02 shop_b.1 on w1: failed (wanted shutdown) exit 1",
        "2030-01-01T00:00:01 shop_a.1 on -: pending (wanted running)",
    ]


def test_the_story_of_a_quiet_cluster_says_so() -> None:
    assert "all of them run" in steady.task_story(FakeCluster(snapshot(tasks=[task("shop_ok")])))


def test_the_story_keeps_to_thirty_lines() -> None:
    tasks = [task("shop_a", slot, state="failed", error="x") for slot in range(50)]
    assert len(steady.task_story(FakeCluster(snapshot(tasks=tasks))).splitlines()) == 31


def test_without_managers_there_is_no_story() -> None:
    with pytest.raises(CutoverError):
        steady.task_story(FakeCluster(Unreachable("no route")))


def test_a_task_that_swarm_overlooks_comes_with_what_helps() -> None:
    refused = task(
        "shop_edge", state="pending", error="no suitable node (4 nodes not available for new tasks)"
    )
    (said,) = problems_of_service(service("edge"), refused)
    assert said.endswith("docker service update --force shop_edge")
    (said,) = problems_of_service(service("edge"), refused, w1={"state": "down"})
    assert "--force" not in said
    (said,) = problems_of_service(service("edge"), task("shop_edge", state="preparing", error=""))
    assert "--force" not in said
