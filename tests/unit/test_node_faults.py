"""Faults on nodes: guarded, remembered, undone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chaos.guard import Refused
from chaos.nodes import NodeFaults
from fixtures import progress
from fixtures.errors import CannotProve, CutoverError, Unreachable
from tests.unit.builders import FakeCluster, FakeNode, service, snapshot, task


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    progress.set_sink(lambda _line: None)
    yield
    progress.set_sink(None)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(snapshot(services=[service("web")], tasks=[task("shop_web", on="m2")]))


@pytest.fixture
def faults(cluster: FakeCluster) -> NodeFaults:
    return NodeFaults(cluster)


def test_power_off_says_when_and_remembers_the_node(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    assert faults.power_off(cluster.nodes["w1"]).at == 10.0
    assert cluster.nodes["w1"].done == ["off"]
    assert faults.lost == ("w1",)


def test_a_scenario_without_a_fault_says_so(cluster: FakeCluster, faults: NodeFaults) -> None:
    assert faults.happened is False
    with pytest.raises(Refused):
        faults.power_off(FakeNode("stranger"))
    assert faults.happened is False


def test_a_power_cut_is_remembered_after_it_was_healed(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    faults.power_off(cluster.nodes["w1"])
    faults.heal()
    assert faults.happened is True


def test_a_killed_task_is_a_fault_that_happened(faults: NodeFaults) -> None:
    faults.kill_task("shop_web")
    assert faults.happened is True


def test_a_power_cut_that_failed_midway_may_have_happened(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    cluster.nodes["w1"].refusal = Unreachable("no answer")
    with pytest.raises(Unreachable):
        faults.power_off(cluster.nodes["w1"])
    assert faults.happened is True


def test_power_on_forgets_the_node(cluster: FakeCluster, faults: NodeFaults) -> None:
    faults.power_off(cluster.nodes["w1"])
    faults.power_on(cluster.nodes["w1"])
    assert faults.lost == ()


def test_power_on_of_a_node_that_was_not_lost_is_harmless(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    faults.power_on(cluster.nodes["w1"])
    assert faults.lost == ()


def test_a_second_node_is_refused_and_left_alone(cluster: FakeCluster, faults: NodeFaults) -> None:
    faults.power_off(cluster.nodes["m1"])
    with pytest.raises(Refused):
        faults.power_off(cluster.nodes["m2"])
    assert cluster.nodes["m2"].done == []
    assert faults.lost == ("m1",)


def test_a_scenario_about_quorum_may_lose_a_second_node(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    faults.power_off(cluster.nodes["m1"])
    faults.power_off(cluster.nodes["m2"], quorum_may_be_lost=True)
    assert faults.lost == ("m1", "m2")


@pytest.mark.parametrize("allowed", [None, "another"])
def test_servers_are_left_alone_unless_named(allowed: str | None) -> None:
    web = snapshot(services=[service("web")], tasks=[task("shop_web", on="m2")])
    servers = FakeCluster(web, name="shop", is_twin=False)
    faults = NodeFaults(servers, allowed_cluster=allowed)
    with pytest.raises(Refused):
        faults.power_off(servers.nodes["w1"])
    with pytest.raises(Refused):
        faults.kill_task("shop_web")
    assert [n.done for n in servers.nodes.values()] == [[]] * 4


def test_named_servers_may_be_broken() -> None:
    servers = FakeCluster(snapshot(), name="shop", is_twin=False)
    NodeFaults(servers, allowed_cluster="shop").power_off(servers.nodes["w1"])
    assert servers.nodes["w1"].done == ["off"]


def test_killing_a_task_kills_its_container_on_its_node(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    faults.kill_task("shop_web")
    assert cluster.nodes["m2"].done == ["kill c-shop_web-1-m2"]
    assert faults.lost == ()


def test_a_power_cut_that_failed_midway_is_still_undone(
    cluster: FakeCluster, faults: NodeFaults
) -> None:
    node = cluster.nodes["w1"]
    node.refusal = Unreachable("no answer")
    with pytest.raises(Unreachable):
        faults.power_off(node)
    node.refusal = None
    faults.heal()
    assert node.done == ["off", "on"]


def test_heal_gives_power_back_in_reverse_order(cluster: FakeCluster, faults: NodeFaults) -> None:
    order: list[str] = []
    for name in ("m1", "m2"):
        node = cluster.nodes[name]
        faults.power_off(node, quorum_may_be_lost=True)
        original = node.power_on
        node.power_on = lambda n=name, on=original: (order.append(n), on())[1]
    began = faults.heal()
    assert order == ["m2", "m1"]
    assert faults.lost == ()
    assert 0 <= time.monotonic() - began < 1


def test_heal_is_safe_to_repeat(cluster: FakeCluster, faults: NodeFaults) -> None:
    faults.power_off(cluster.nodes["w1"])
    faults.heal()
    faults.heal()
    assert cluster.nodes["w1"].done == ["off", "on"]


@pytest.mark.parametrize("error", [CutoverError("PDU is deaf"), OSError("no such command")])
def test_heal_goes_on_past_an_undo_that_fails_and_names_it(
    cluster: FakeCluster, faults: NodeFaults, error: Exception
) -> None:
    for name in ("m1", "m2"):
        faults.power_off(cluster.nodes[name], quorum_may_be_lost=True)
    cluster.nodes["m2"].refusal = error
    with pytest.raises(CutoverError, match=f"m2: {error}") as caught:
        faults.heal()
    assert "m1" not in str(caught.value)
    assert cluster.nodes["m1"].done == ["off", "on"]
    assert faults.lost == ("m2",)


def test_what_heal_could_not_undo_it_tries_again(cluster: FakeCluster, faults: NodeFaults) -> None:
    node = cluster.nodes["w1"]
    faults.power_off(node)
    node.refusal = CutoverError("PDU is deaf")
    with pytest.raises(CutoverError):
        faults.heal()
    node.refusal = None
    faults.heal()
    assert faults.lost == ()


def test_a_node_without_power_control_is_not_lost(cluster: FakeCluster, faults: NodeFaults) -> None:
    node = cluster.nodes["w1"]
    node.refusal = CannotProve("no power control")
    with pytest.raises(CannotProve):
        faults.power_off(node)
    assert faults.lost == ()
