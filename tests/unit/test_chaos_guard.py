"""The guard before every fault: each refusal, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.fault import A_MANAGER, Plan, Power, Shell
from chaos.faults.network import Partition
from chaos.guard import Permission, Refused, Situation, check, check_allowed
from tests.unit.builders import node, snapshot
from tests.unit.chaos_builders import FakeView, breaking

TWIN = Situation(
    cluster="twin-test",
    is_twin=True,
    allowed_cluster=None,
    nodes=("m1", "m2", "m3", "w1", "w2"),
    managers=("m1", "m2", "m3"),
)
SERVERS = replace(TWIN, cluster="shop", is_twin=False)


def loses(*nodes: str) -> Plan:
    """A plan that cuts the power of `nodes`."""
    lost = frozenset(nodes)
    return Plan(tuple(Power(name) for name in nodes), lost, lost)


def slows(node_name: str) -> Plan:
    """A plan that only touches a node."""
    return Plan((breaking("a", node_name),), frozenset({node_name}))


def with_managers(count: int, **changed: object) -> Situation:
    managers = tuple(f"m{i + 1}" for i in range(count))
    return replace(TWIN, managers=managers, nodes=(*managers, "w1", "w2"), **changed)


@pytest.mark.parametrize("name", ["m1", "m3", "w1"])
def test_one_node_of_a_whole_twin_may_be_lost(name: str) -> None:
    check(TWIN, loses(name))


# -- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        Plan((), frozenset({"m9"})),
        Plan((), frozenset({"m1"}), frozenset({"m9"})),
        Plan((breaking("a", "m9"),), frozenset({"m1"})),
    ],
    ids=["touched", "taken away", "only in a step"],
)
@pytest.mark.parametrize(
    "permission", [Permission(), Permission(quorum_may_be_lost=True, several_domains=True)]
)
def test_a_node_outside_the_inventory_is_refused(plan: Plan, permission: Permission) -> None:
    with pytest.raises(Refused, match=r"m9 is not in the inventory.*m1, m2, m3, w1, w2"):
        check(TWIN, plan, permission)


def test_every_unknown_node_is_named() -> None:
    with pytest.raises(Refused, match=r"m8, m9 is not in"):
        check(TWIN, loses("m9", "m1", "m8"))


def test_whichever_manager_answers_is_no_unknown_node() -> None:
    check(TWIN, Plan((breaking("a", A_MANAGER),), frozenset({"w1"}), frozenset({"w1"})))


@pytest.mark.parametrize("steps", [(), (breaking("a", A_MANAGER),)])
@pytest.mark.parametrize(
    "permission", [Permission(), Permission(quorum_may_be_lost=True, several_domains=True)]
)
def test_a_target_that_is_nothing_is_refused(
    steps: tuple[Shell, ...], permission: Permission
) -> None:
    with pytest.raises(Refused, match="its target is nothing"):
        check(TWIN, Plan(steps, frozenset()), permission)


# -- quorum ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_a_manager_that_quorum_needs_is_refused(count: int) -> None:
    with pytest.raises(
        Refused, match=rf"without m1 only {count - 1} of {count} managers are left.*quorum may be"
    ):
        check(with_managers(count), loses("m1"))


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_manager_that_quorum_can_spare_may_be_lost(count: int) -> None:
    check(with_managers(count), loses("m2"))


@pytest.mark.parametrize(("count", "left"), [(3, 1), (4, 2)])
def test_two_managers_at_once_of_three_or_four_are_refused(count: int, left: int) -> None:
    with pytest.raises(Refused, match=rf"without m1, m2 only {left} of {count} managers are left"):
        check(with_managers(count), loses("m1", "m2"))


def test_two_managers_at_once_of_five_may_be_lost() -> None:
    check(with_managers(5), loses("m1", "m2"))


def test_three_managers_at_once_of_five_are_refused() -> None:
    with pytest.raises(Refused, match="only 2 of 5 managers are left"):
        check(with_managers(5), loses("m1", "m2", "m5"))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_workers_may_be_lost_however_few_the_managers(count: int) -> None:
    check(with_managers(count), loses("w1", "w2"))


@pytest.mark.parametrize("count", [1, 2])
def test_touching_a_manager_costs_no_vote(count: int) -> None:
    check(with_managers(count), slows("m1"))


def test_what_was_lost_before_counts() -> None:
    situation = with_managers(3, lost=("m1",), touched=("m1",))
    with pytest.raises(Refused, match="without m2 only 1 of 3 managers are left"):
        check(situation, loses("m2"), Permission(several_domains=True))


def test_what_was_lost_before_of_five_is_spared_once_more_and_not_twice() -> None:
    allowed = Permission(several_domains=True)
    check(with_managers(5, lost=("m1",)), loses("m2"), allowed)
    with pytest.raises(Refused, match="only 2 of 5"):
        check(with_managers(5, lost=("m1", "m2")), loses("m3"), allowed)


def test_losing_the_same_manager_again_is_not_counted_twice() -> None:
    check(with_managers(3, lost=("m2",), touched=("m2",)), loses("m2"))


def test_a_lost_worker_costs_no_vote() -> None:
    check(with_managers(3, lost=("w1",)), loses("m1"), Permission(several_domains=True))


def test_where_quorum_is_gone_already_a_worker_may_still_be_lost() -> None:
    situation = with_managers(3, lost=("m1", "m2"))
    check(situation, loses("w1"), Permission(several_domains=True))
    # Nor does it matter that a manager is touched, as long as it is not taken away.
    touching = Plan((breaking("a", "m3"),), frozenset({"m3"}), frozenset({"w1"}))
    check(situation, touching, Permission(several_domains=True))


def test_those_who_cost_quorum_are_named_and_not_those_who_are_touched() -> None:
    plan = Plan((breaking("a", "m3"),), frozenset({"m3"}), frozenset({"m1", "m2"}))
    with pytest.raises(Refused, match="without m1, m2 only 1 of 3"):
        check(TWIN, plan)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_scenario_may_say_that_quorum_is_to_be_lost(count: int) -> None:
    managers = [f"m{i + 1}" for i in range(count)]
    check(with_managers(count), loses(*managers), Permission(quorum_may_be_lost=True))


# -- fault domains --------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [loses("w1"), slows("w1"), slows("m3")])
@pytest.mark.parametrize("before", [{"lost": ("m1",)}, {"touched": ("m1",)}])
def test_a_second_fault_domain_is_refused(plan: Plan, before: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(Refused, match="m1 is broken already: one fault domain at a time"):
        check(replace(TWIN, **before), plan)


def test_the_domain_of_a_step_counts_although_the_plan_does_not_name_it() -> None:
    plan = Plan((breaking("a", "w1"),), frozenset({"m1"}))
    with pytest.raises(Refused, match="one fault domain"):
        check(replace(TWIN, touched=("m1",)), plan)


def test_a_fault_that_reaches_beyond_the_broken_domain_is_refused() -> None:
    with pytest.raises(Refused, match="one fault domain"):
        check(replace(TWIN, touched=("w1",)), loses("w1", "w2"))


def test_a_second_fault_on_the_same_node_is_let_pass() -> None:
    check(replace(TWIN, touched=("m1",)), loses("m1"))
    check(replace(TWIN, lost=("m1",)), slows("m1"))


def test_one_fault_may_be_in_several_domains() -> None:
    check(TWIN, loses("w1", "w2"))


def test_several_domains_can_be_allowed() -> None:
    check(replace(TWIN, touched=("m1",)), slows("w1"), Permission(several_domains=True))


def test_who_may_lose_quorum_may_break_several_domains() -> None:
    allowed = Permission(quorum_may_be_lost=True)
    check(with_managers(3, lost=("m1",)), loses("m2"), allowed)


def test_allowing_several_domains_does_not_allow_quorum_to_be_lost() -> None:
    with pytest.raises(Refused, match="only 0 of 1"):
        check(with_managers(1), loses("m1"), Permission(several_domains=True))


# -- steady state, clusters -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "permission", [Permission(), Permission(quorum_may_be_lost=True, several_domains=True)]
)
def test_an_unsteady_cluster_is_refused_whatever_is_allowed(permission: Permission) -> None:
    situation = replace(TWIN, unsteady="node w1 is down")
    with pytest.raises(Refused, match=r"not steady: node w1 is down.*python -m chaos heal"):
        check(situation, slows("m1"), permission)


@pytest.mark.parametrize("allowed", [None, "", "Shop", "shop2", "twin-test"])
@pytest.mark.parametrize(
    "permission", [Permission(), Permission(quorum_may_be_lost=True, several_domains=True)]
)
def test_servers_are_refused_unless_they_were_named(
    allowed: str | None, permission: Permission
) -> None:
    situation = replace(SERVERS, allowed_cluster=allowed)
    with pytest.raises(Refused, match=r"shop is not a twin.*--allow-chaos shop$"):
        check(situation, loses("w1"), permission)
    with pytest.raises(Refused, match="shop is not a twin"):
        check_allowed(situation)


def test_servers_are_refused_before_anything_else_is_said() -> None:
    with pytest.raises(Refused, match="is not a twin"):
        check(replace(SERVERS, unsteady="node w1 is down"), Plan((), frozenset()))


def test_servers_that_were_named_are_treated_as_a_twin() -> None:
    named = replace(SERVERS, allowed_cluster="shop")
    check(named, loses("w1"))
    with pytest.raises(Refused, match="only 1 of 3"):
        check(named, loses("m1", "m2"))


def test_a_twin_needs_no_permission_and_minds_none() -> None:
    check(replace(TWIN, allowed_cluster="another"), loses("w1"))


# -- partitions -----------------------------------------------------------------------------------


def partition(count: int, side: str) -> tuple[Situation, Plan]:
    """A partition of a cluster of so many managers and one worker."""
    roles = {**{f"m{i + 1}": "manager" for i in range(count)}, "w1": "worker"}
    seen = snapshot([node(name, role, leader=name == "m1") for name, role in roles.items()])
    plan = Partition(side).plan(FakeView(roles, seen=seen))
    return replace(with_managers(count), nodes=tuple(roles)), plan


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("side", ["a minority of the managers", "a majority of the managers"])
def test_a_partition_whose_larger_side_keeps_quorum_is_let_pass(count: int, side: str) -> None:
    check(*partition(count, side))


@pytest.mark.parametrize("side", ["w1", "m1, m2, m3"])
def test_splitting_off_the_worker_costs_no_vote_from_whichever_side(side: str) -> None:
    check(*partition(3, side))


@pytest.mark.parametrize(("count", "side", "left"), [(2, "m1", 1), (4, "m1, m2", 2)])
def test_a_partition_into_halves_is_refused(count: int, side: str, left: int) -> None:
    with pytest.raises(Refused, match=rf"only {left} of {count} managers are left"):
        check(*partition(count, side))


def test_a_partition_whose_larger_side_lost_a_manager_before_is_refused() -> None:
    situation, plan = partition(3, "m2")
    with pytest.raises(Refused, match="only 1 of 3"):
        check(replace(situation, lost=("m3",)), plan, Permission(several_domains=True))
