"""Cluster formation: one test for each thing that can be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.errors import CutoverError, Unreachable
from tests.unit.builders import (
    MANAGERS,
    ROLES,
    WORKERS,
    FakeCluster,
    node,
    nodes,
    service,
    snapshot,
    task,
)
from verify import formation


def membership(**changed: Any) -> list[str]:
    return formation.membership_problems(snapshot(nodes(**changed)), MANAGERS, WORKERS)


def test_a_whole_cluster_has_no_membership_problem() -> None:
    assert membership() == []


def test_a_node_that_is_not_in_the_inventory_is_a_problem() -> None:
    seen = snapshot([*nodes(), node("stranger", "worker")])
    assert formation.membership_problems(seen, MANAGERS, WORKERS) == [
        "stranger is in the Swarm and not in the inventory"
    ]


@pytest.mark.parametrize("missing", ROLES)
def test_a_node_that_did_not_join_is_a_problem(missing: str) -> None:
    seen = snapshot([n for n in nodes() if n.hostname != missing])
    assert formation.membership_problems(seen, MANAGERS, WORKERS) == [
        f"{missing} is not in the Swarm"
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"w1": {"role": "manager"}}, "w1 is a manager, not a worker"),
        ({"m2": {"role": "worker"}}, "m2 is a worker, not a manager"),
        ({"w1": {"state": "down"}}, "w1 is down/active"),
        ({"m2": {"availability": "drain"}}, "m2 is ready/drain"),
        ({"m2": {"availability": "pause"}}, "m2 is ready/pause"),
        ({"m3": {"reachability": "unreachable"}}, "manager m3 is unreachable"),
        ({"m3": {"reachability": ""}}, "manager m3 is of no reachability"),
    ],
)
def test_a_node_in_another_state_is_a_problem(changed: Any, problem: str) -> None:
    assert membership(**changed) == [problem]


def test_a_node_with_two_problems_has_both_told() -> None:
    assert membership(m2={"state": "down", "reachability": "unreachable"}) == [
        "m2 is down/active",
        "manager m2 is unreachable",
    ]


def test_the_old_entry_of_a_node_that_joined_again_is_no_problem() -> None:
    seen = snapshot([node("w1", "worker", id="old", state="down"), *nodes()])
    assert formation.membership_problems(seen, MANAGERS, WORKERS) == []


def test_every_manager_gives_its_own_view() -> None:
    views = {name: snapshot() for name in MANAGERS}
    asked, problems = formation.views_of_managers(FakeCluster(views))
    assert asked == views
    assert problems == []


def test_a_silent_manager_is_a_problem_and_the_others_are_asked() -> None:
    answers = {"m1": snapshot(), "m2": Unreachable("no route"), "m3": snapshot()}
    asked, problems = formation.views_of_managers(FakeCluster(answers))
    assert set(asked) == {"m1", "m3"}
    assert problems == ["manager m2 does not answer: no route"]


def test_the_views_of_a_whole_cluster_have_no_problem() -> None:
    views = {name: snapshot() for name in MANAGERS}
    assert formation.membership_problems_of_all(views, [], ROLES) == []


def test_a_problem_that_one_manager_sees_is_told_with_its_name() -> None:
    views = {"m1": snapshot(), "m2": snapshot(nodes(w1={"state": "down"}))}
    assert formation.membership_problems_of_all(views, ["m3 is silent"], ROLES) == [
        "m3 is silent",
        "w1 is down/active (says m2)",
    ]


def test_one_leader_that_all_agree_on_is_one() -> None:
    assert formation.leaders({name: snapshot() for name in MANAGERS}) == {"m1"}


def test_a_split_shows_as_two_leaders() -> None:
    other = snapshot(nodes(m1={"leader": False}, m2={"leader": True}))
    assert formation.leaders({"m1": snapshot(), "m2": other}) == {"m1", "m2"}


def test_without_a_leader_there_is_none() -> None:
    assert formation.leaders({"m1": snapshot(nodes(m1={"leader": False}))}) == set()


TIER_CORE = [{"node": "m1", "label": "tier", "value": "core"}]


def test_the_wanted_label_is_no_problem() -> None:
    assert (
        formation.label_problems([node("m1", labels={"tier": "core", "x": "y"})], TIER_CORE) == []
    )


@pytest.mark.parametrize(
    ("seen", "is_"),
    [
        ([node("m1")], "None"),
        ([node("m1", labels={"tier": "data"})], "data"),
        ([node("m1", labels={"tier": ""})], ""),
        ([node("m2", labels={"tier": "core"})], "None"),
    ],
    ids=["missing", "another value", "empty", "on another node"],
)
def test_a_label_that_is_not_as_wanted_is_a_problem(seen: Any, is_: str) -> None:
    assert formation.label_problems(seen, TIER_CORE) == [f"m1: label tier is {is_}, not core"]


def test_labels_of_a_node_that_joined_again_are_read_from_its_living_entry() -> None:
    old = node("m1", id="old", state="down", labels={"tier": "core"})
    assert formation.label_problems([node("m1"), old], TIER_CORE) != []


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("20.10.24", (20, 10, 24)),
        ("28.0.0-rc.1", (28, 0, 0)),
        ("27", (27,)),
        ("", ()),
        ("dev", ()),
    ],
)
def test_a_version_is_read_by_its_numbers(version: str, key: tuple[int, ...]) -> None:
    assert formation.version_key(version) == key


@pytest.mark.parametrize("version", ["24.0", "24.0.0", "24.0.9", "26.1.5+dfsg1", "100.0.0"])
def test_an_engine_that_is_new_enough_is_no_problem(version: str) -> None:
    assert formation.version_problems([node("m1", engine_version=version)], "24.0") == []


@pytest.mark.parametrize(
    ("version", "mended"), [("20.10.24+dfsg1", True), ("20.10.30", True), ("20.10.23", False)]
)
def test_the_series_that_debian_mends(version: str, mended: bool) -> None:
    found = formation.version_problems([node("m1", engine_version=version)], "23.0.3")
    assert (found == []) is mended
    later = formation.version_problems([node("m1", engine_version=version)], "24.0")
    assert later, "nobody knows what a later floor is for"


@pytest.mark.parametrize(
    ("version", "shown"),
    [("23.0.6", "23.0.6"), ("9.9.9", "9.9.9"), ("", "(unknown)"), ("dev", "dev")],
)
def test_an_engine_that_is_too_old_or_unknown_is_a_problem(version: str, shown: str) -> None:
    problems = formation.version_problems([node("m1", engine_version=version), node("m2")], "24.0")
    assert problems == [f"m1 runs engine {shown}"]


def placement(place: str, *on: str, **changed: Any) -> tuple[list[str], int]:
    """Judge the service web, with a running task on each node of `on`."""
    tasks = [task("shop_web", slot, on=name) for slot, name in enumerate(on, 1)]
    seen = snapshot(nodes(**changed), [service("web", len(on))], tasks)
    return formation.placement_problems(seen, {"web": place})


CORE = {name: {"labels": {"tier": "core"}} for name in ("m1", "m2")}


@pytest.mark.parametrize(
    ("place", "on"),
    [
        ("node m2", ["m2"]),
        ("node m2", ["m2", "m2"]),
        ("label tier=core", ["m1", "m2"]),
        ("label tier=core", ["m2"]),
        ("every node", ["m1", "m2", "m3", "w1"]),
    ],
)
def test_tasks_in_their_place_are_no_problem_and_are_counted(place: str, on: list[str]) -> None:
    assert placement(place, *on, **CORE) == ([], len(on))


@pytest.mark.parametrize(
    ("place", "on", "problem"),
    [
        ("node m2", ["m1", "m2"], "web runs on m1, not on node m2"),
        ("label tier=core", ["m1", "w1"], "web runs on w1, not on label tier=core"),
        ("label tier=data", ["m1"], "web runs on m1, not on label tier=data"),
        ("every node", ["m1", "m2", "m3"], "web is not on w1"),
    ],
)
def test_a_task_out_of_its_place_is_a_problem(place: str, on: list[str], problem: str) -> None:
    assert placement(place, *on, **CORE) == ([problem], len(on))


@pytest.mark.parametrize("place", ["node m1", "label tier=core"])
def test_a_service_that_runs_nowhere_is_a_problem(place: str) -> None:
    assert placement(place) == (["web runs nowhere"], 0)


def test_other_services_tasks_do_not_count() -> None:
    services = [service("web"), service("db")]
    seen = snapshot(services=services, tasks=[task("shop_web", on="m1"), task("shop_db", on="m2")])
    assert formation.placement_problems(seen, {"web": "node m1"}) == ([], 1)


def test_a_service_that_is_not_deployed_is_a_problem() -> None:
    assert formation.placement_problems(snapshot(), {"absent": "node m1"}) == (
        ["absent runs nowhere"],
        0,
    )


def test_a_task_on_a_dead_node_does_not_run_there() -> None:
    assert placement("node w1", "w1", w1={"state": "down"}) == (["web runs nowhere"], 0)


@pytest.mark.parametrize("place", ["", "m1", "node", "node ", "label tier", "everywhere", "zone a"])
def test_a_place_that_cannot_be_read_is_refused(place: str) -> None:
    with pytest.raises(CutoverError, match="Write: node NAME, label KEY=VALUE, or every node"):
        formation.hostnames_of(nodes(), place)


def test_a_label_may_have_an_empty_value() -> None:
    seen = [node("m1", labels={"tier": ""}), node("m2")]
    assert formation.hostnames_of(seen, "label tier=") == {"m1"}
