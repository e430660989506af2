"""Targets named by what they are."""

from __future__ import annotations

import pytest

from chaos.targets import NoTarget, hostname_in_role, hostnames_in_group, node_in_role
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError
from tests.unit.builders import FakeCluster, node, nodes, service, snapshot, task

ORDER = ["m1", "m2", "m3", "w1"]


def seen(*on: str) -> Snapshot:
    """The whole cluster; the service web has a running task on each node of `on`."""
    tasks = [task("shop_web", slot, on=name) for slot, name in enumerate(on, 1)]
    return snapshot(services=[service("web", len(on))], tasks=tasks)


@pytest.mark.parametrize(
    ("role", "hostname"),
    [
        ("m3", "m3"),
        ("the leader", "m1"),
        ("a manager that is not the leader", "m2"),
        ("the worker", "w1"),
        ("the node that runs web", "m3"),
        ("the node that runs shop_web", "m3"),
    ],
)
def test_a_role_names_one_node(role: str, hostname: str) -> None:
    assert hostname_in_role(seen("m3"), role, ORDER) == hostname


def test_the_role_is_resolved_to_the_clusters_node() -> None:
    cluster = FakeCluster(seen("m3"))
    assert node_in_role(cluster, "the leader") is cluster.nodes["m1"]


def test_the_first_of_the_other_managers_is_taken_in_the_inventorys_order() -> None:
    order = ["m3", "m2", "m1", "w1"]
    assert hostname_in_role(seen(), "a manager that is not the leader", order) == "m3"


def test_several_tasks_on_one_node_name_that_node() -> None:
    assert hostname_in_role(seen("m2", "m2"), "the node that runs web", ORDER) == "m2"


def test_a_task_on_a_dead_node_does_not_count() -> None:
    web = [task("shop_web", 1, on="m2"), task("shop_web", 1, on="m3")]
    half_dead = snapshot(nodes(m2={"state": "down"}), [service("web")], web)
    assert hostname_in_role(half_dead, "the node that runs web", ORDER) == "m3"


def test_without_a_leader_the_leader_is_no_node() -> None:
    with pytest.raises(NoTarget, match="'the leader' is no node"):
        hostname_in_role(snapshot(nodes(m1={"leader": False})), "the leader", ORDER)


def test_a_lone_manager_has_no_other() -> None:
    alone = snapshot([node("m1", leader=True), node("w1", "worker")])
    with pytest.raises(NoTarget, match="is no node"):
        hostname_in_role(alone, "a manager that is not the leader", ["m1", "w1"])


def test_without_a_worker_the_worker_is_no_node() -> None:
    with pytest.raises(NoTarget, match="'the worker' is no node"):
        hostname_in_role(snapshot([node("m1")]), "the worker", ["m1"])


def test_of_two_workers_neither_is_chosen() -> None:
    two = snapshot([*nodes(), node("w2", "worker")])
    with pytest.raises(NoTarget, match="'the worker' is w1, w2"):
        hostname_in_role(two, "the worker", [*ORDER, "w2"])


def test_a_worker_that_the_inventory_does_not_have_is_never_chosen() -> None:
    foreign = snapshot([*nodes(), node("w2", "worker")])
    assert hostname_in_role(foreign, "the worker", ORDER) == "w1"


def test_a_service_on_two_nodes_is_ambiguous() -> None:
    with pytest.raises(NoTarget, match="'the node that runs web' is m1, m3"):
        hostname_in_role(seen("m3", "m1"), "the node that runs web", ORDER)


def test_a_service_without_a_task_is_on_no_node() -> None:
    with pytest.raises(NoTarget, match="is no node"):
        hostname_in_role(seen(), "the node that runs web", ORDER)


@pytest.mark.parametrize("name", ["absent", ""])
def test_an_unknown_service_is_refused_with_those_that_are_there(name: str) -> None:
    with pytest.raises(CutoverError, match="It has: shop_web"):
        hostname_in_role(seen("m1"), f"the node that runs {name}", ORDER)


@pytest.mark.parametrize("role", ["", "all", "every node", "m9", "M1", "the Leader", "the node"])
def test_words_that_name_nothing_are_refused_with_those_that_do(role: str) -> None:
    with pytest.raises(NoTarget, match=r"cannot read .*m1, m2, m3, w1"):
        hostname_in_role(seen("m1"), role, ORDER)


def test_a_manager_that_is_down_is_not_worth_killing() -> None:
    seen_now = snapshot(nodes(m2={"state": "down", "reachability": "unreachable"}))
    assert hostname_in_role(seen_now, "a manager that is not the leader", ORDER) == "m3"


def test_without_a_leader_no_manager_is_known_not_to_lead() -> None:
    with pytest.raises(NoTarget):
        hostname_in_role(
            snapshot(nodes(m1={"leader": False})), "a manager that is not the leader", ORDER
        )


@pytest.mark.parametrize(
    ("words", "hostnames"),
    [
        ("a minority of the managers", ("m2",)),
        ("a majority of the managers", ("m1", "m3")),
        ("w1, m2", ("w1", "m2")),
        ("the leader, w1", ("m1", "w1")),
    ],
)
def test_a_group_is_named_by_what_it_is(words: str, hostnames: tuple[str, ...]) -> None:
    assert hostnames_in_group(snapshot(), words, ORDER) == hostnames


def test_a_minority_never_has_the_leader_and_a_majority_always() -> None:
    leads = {"m1": {"leader": False}, "m2": {"leader": True}}
    cluster = snapshot(nodes(**leads))
    assert hostnames_in_group(cluster, "a minority of the managers", ORDER) == ("m1",)
    assert hostnames_in_group(cluster, "a majority of the managers", ORDER) == ("m2", "m3")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("m1,m1", "twice"),
        ("the leader,m1", "twice"),
        ("m1,", "''"),
        ("", "''"),
        ("m1,everything", "everything"),
    ],
)
def test_a_group_that_is_empty_doubled_or_unknown_is_refused(words: str, why: str) -> None:
    with pytest.raises(NoTarget, match=why):
        hostnames_in_group(snapshot(), words, ORDER)


def test_a_single_manager_has_no_minority() -> None:
    with pytest.raises(NoTarget, match="no minority"):
        hostnames_in_group(snapshot(), "a minority of the managers", ["m1", "w1"])


def test_without_a_leader_there_is_no_group_of_managers() -> None:
    leaderless = snapshot(nodes(m1={"leader": False}))
    with pytest.raises(NoTarget, match="no leader"):
        hostnames_in_group(leaderless, "a majority of the managers", ORDER)
