"""The guard before every fault: each refusal, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.guard import Refused, Situation, check_allowed, check_node_loss

TWIN = Situation(
    cluster="twin",
    is_twin=True,
    allowed_cluster=None,
    nodes=("m1", "m2", "m3", "w1", "w2"),
    managers=("m1", "m2", "m3"),
)
SERVERS = replace(TWIN, cluster="shop", is_twin=False)


def with_managers(count: int, lost: tuple[str, ...] = ()) -> Situation:
    managers = tuple(f"m{i + 1}" for i in range(count))
    return replace(TWIN, managers=managers, nodes=(*managers, "w1"), lost=lost)


@pytest.mark.parametrize("node", ["m1", "m3", "w1"])
def test_one_node_of_a_whole_twin_may_be_lost(node: str) -> None:
    check_node_loss(TWIN, node)


@pytest.mark.parametrize("quorum_may_be_lost", [False, True])
def test_a_node_outside_the_inventory_is_refused(quorum_may_be_lost: bool) -> None:
    with pytest.raises(Refused, match=r"'m9' is not in the inventory.*m1, m2, m3, w1, w2"):
        check_node_loss(TWIN, "m9", quorum_may_be_lost=quorum_may_be_lost)


@pytest.mark.parametrize("count", [1, 2])
def test_a_manager_that_quorum_needs_is_refused(count: int) -> None:
    with pytest.raises(Refused, match=rf"only {count - 1} of {count} managers are left"):
        check_node_loss(with_managers(count), "m1")


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_may_be_lost_however_few_the_managers(count: int) -> None:
    check_node_loss(with_managers(count), "w1")


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_manager_that_quorum_can_spare_may_be_lost(count: int) -> None:
    check_node_loss(with_managers(count), "m2")


def test_two_lost_managers_of_three_break_quorum_in_whatever_order_it_is_asked() -> None:
    # Asked again for one that is lost already: the fault-domain rule is silent, quorum is not.
    with pytest.raises(Refused, match="only 1 of 3 managers are left"):
        check_node_loss(with_managers(3, lost=("m1", "m2")), "m1")


def test_two_lost_managers_of_five_keep_quorum() -> None:
    check_node_loss(with_managers(5, lost=("m1", "m2")), "m2")


@pytest.mark.parametrize(("lost", "node"), [("m1", "w1"), ("w1", "m1"), ("w1", "w2")])
def test_a_second_fault_domain_is_refused_even_with_quorum(lost: str, node: str) -> None:
    with pytest.raises(Refused, match=f"{lost} is lost already: one fault domain at a time"):
        check_node_loss(replace(TWIN, lost=(lost,)), node)


def test_losing_what_is_lost_already_is_no_second_fault_domain() -> None:
    check_node_loss(replace(TWIN, lost=("m1",)), "m1")


@pytest.mark.parametrize("node", ["m2", "w1"])
def test_a_scenario_may_say_that_quorum_is_to_be_lost(node: str) -> None:
    check_node_loss(replace(TWIN, lost=("m1",)), node, quorum_may_be_lost=True)


def test_a_scenario_about_quorum_may_lose_the_second_of_three_managers() -> None:
    check_node_loss(with_managers(3, lost=("m1",)), "m2", quorum_may_be_lost=True)


@pytest.mark.parametrize("allowed", [None, "", "Shop", "shop2", "twin"])
def test_servers_are_refused_unless_they_were_named(allowed: str | None) -> None:
    situation = replace(SERVERS, allowed_cluster=allowed)
    with pytest.raises(Refused, match=r"shop is not a twin.*--allow-chaos shop$"):
        check_allowed(situation)


@pytest.mark.parametrize("quorum_may_be_lost", [False, True])
def test_losing_a_node_of_servers_that_were_not_named_is_refused(quorum_may_be_lost: bool) -> None:
    with pytest.raises(Refused, match="--allow-chaos shop"):
        check_node_loss(SERVERS, "w1", quorum_may_be_lost=quorum_may_be_lost)


def test_servers_that_were_named_may_be_broken() -> None:
    situation = replace(SERVERS, allowed_cluster="shop")
    check_allowed(situation)
    check_node_loss(situation, "m1")


def test_naming_servers_does_not_lift_the_other_rules() -> None:
    situation = replace(SERVERS, allowed_cluster="shop", managers=("m1", "m2"))
    with pytest.raises(Refused, match="managers are left"):
        check_node_loss(situation, "m1")


def test_a_twin_needs_no_permission() -> None:
    check_allowed(TWIN)
