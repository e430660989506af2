"""Reading the Engine API's objects, and asking a snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.cluster.swarm import alive_tasks, parse_node, parse_service, parse_task
from fixtures.errors import CutoverError
from tests.unit.builders import node, service, snapshot, task

NODE: dict[str, Any] = {
    "ID": "n1",
    "Spec": {"Role": "manager", "Availability": "active", "Labels": {"tier": "core"}},
    "Description": {"Hostname": "m1", "Engine": {"EngineVersion": "26.1.5+dfsg1"}},
    "Status": {"State": "ready", "Addr": "192.0.2.1"},
    "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "192.0.2.1:2377"},
}
SERVICE: dict[str, Any] = {
    "ID": "s1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {"com.docker.stack.namespace": "shop"},
        "TaskTemplate": {
            "Placement": {"Constraints": ["node.labels.tier == core"]},
            "Networks": [{"Target": "net1"}, {"Target": "net2"}],
        },
        "Mode": {"Replicated": {"Replicas": 3}},
    },
    "UpdateStatus": {"State": "completed"},
}
TASK: dict[str, Any] = {
    "ID": "t1",
    "ServiceID": "s1",
    "Slot": 2,
    "NodeID": "n1",
    "DesiredState": "running",
    "Status": {
        "State": "running",
        "Timestamp": "2030-01-01T00:00:00Z",
        "ContainerStatus": {"ContainerID": "c1", "PID": 42},
    },
    "NetworksAttachments": [
        {"Network": {"Spec": {"Name": "backend"}}, "Addresses": ["198.51.100.7/24"]},
        {"Network": {"Spec": {"Name": "ingress"}}},
        {"Network": {"Spec": {"Name": "mesh", "Ingress": True}}, "Addresses": ["10.0.0.7/24"]},
    ],
}


def test_a_manager_is_read_whole() -> None:
    read = parse_node(NODE)
    assert (read.id, read.hostname, read.role) == ("n1", "m1", "manager")
    assert (read.state, read.availability, read.reachability) == ("ready", "active", "reachable")
    assert read.leader
    assert read.ready
    assert read.engine_version == "26.1.5+dfsg1"
    assert read.labels == {"tier": "core"}
    assert read.address == "192.0.2.1"


@pytest.mark.parametrize("manager_status", [None, {"Reachability": "reachable"}])
def test_a_node_without_the_leader_flag_does_not_lead(manager_status: Any) -> None:
    assert not parse_node({**NODE, "ManagerStatus": manager_status}).leader


def test_a_node_that_has_not_described_itself_is_read_as_unknown() -> None:
    read = parse_node({"ID": "n1"})
    assert (read.hostname, read.state, read.reachability) == ("", "unknown", "")
    assert not read.ready
    assert read.labels == {}


def test_labels_may_be_null() -> None:
    assert parse_node({**NODE, "Spec": {"Labels": None}}).labels == {}


def test_a_replicated_service_is_read_whole() -> None:
    read = parse_service(SERVICE)
    assert (read.id, read.name, read.stack, read.short_name) == ("s1", "shop_web", "shop", "web")
    assert read.replicas == 3
    assert not read.is_global
    assert read.constraints == ("node.labels.tier == core",)
    assert read.networks == ("net1", "net2")
    assert read.update_state == "completed"


@pytest.mark.parametrize(
    ("mode", "replicas"),
    [
        ({"Global": {}}, None),
        ({"Replicated": {"Replicas": 0}}, 0),
        ({"Replicated": {}}, 1),
        ({}, 1),
    ],
)
def test_replicas_are_read_from_the_mode(mode: Any, replicas: int | None) -> None:
    read = parse_service({"ID": "s1", "Spec": {"Name": "web", "Mode": mode}})
    assert read.replicas == replicas
    assert read.is_global == (replicas is None)


def test_a_service_of_no_stack_keeps_its_name() -> None:
    assert parse_service({"ID": "s1", "Spec": {"Name": "shop_web"}}).short_name == "shop_web"


def test_only_the_stacks_own_prefix_is_cut_from_a_name() -> None:
    assert service("web", name="shop_shop_web").short_name == "shop_web"


def test_a_running_task_is_read_whole() -> None:
    read = parse_task(TASK, {"s1": "shop_web"})
    assert (read.name, read.node_id, read.container_id, read.pid) == ("shop_web.2", "n1", "c1", 42)
    assert read.running
    assert read.addresses == {"backend": "198.51.100.7"}
    assert read.updated_at == "2030-01-01T00:00:00Z"


def test_a_task_that_waits_for_a_node_is_read() -> None:
    read = parse_task(
        {
            "ID": "t1",
            "ServiceID": "s1",
            "Slot": 1,
            "DesiredState": "running",
            "Status": {"State": "pending", "Err": "no suitable node"},
        },
        {"s1": "shop_web"},
    )
    assert (read.node_id, read.container_id, read.addresses) == ("", "", {})
    assert read.error == "no suitable node"
    assert not read.running


def test_a_global_services_task_is_named_by_its_node() -> None:
    no_slot = {key: value for key, value in TASK.items() if key != "Slot"}
    assert parse_task(no_slot, {"s1": "shop_web"}).name == "shop_web.n1"


def test_a_task_of_a_removed_service_carries_the_services_id() -> None:
    assert parse_task(TASK, {}).service == "s1"


@pytest.mark.parametrize(
    ("state", "desired", "running"),
    [
        ("running", "running", True),
        ("running", "shutdown", False),
        ("starting", "running", False),
        ("failed", "shutdown", False),
    ],
)
def test_running_is_being_and_meant_to_be(state: str, desired: str, running: bool) -> None:
    assert task("shop_web", state=state, desired_state=desired).running is running


def test_of_two_entries_of_one_name_the_ready_one_counts() -> None:
    old = node("m2", id="old", state="down")
    new = node("m2", id="new")
    for order in ((old, new), (new, old)):
        found = snapshot(order).node_named("m2")
        assert found is not None
        assert found.id == "new"


def test_a_node_that_is_not_there_is_none() -> None:
    assert snapshot().node_named("absent") is None


def test_the_host_name_of_an_unknown_id_is_the_id() -> None:
    assert snapshot().hostname_of("id-m2") == "m2"
    assert snapshot().hostname_of("gone") == "gone"


def test_the_leader_is_the_node_that_leads() -> None:
    leader = snapshot().leader()
    assert leader is not None
    assert leader.hostname == "m1"
    assert snapshot([node("m1")]).leader() is None


@pytest.mark.parametrize("name", ["web", "shop_web"])
def test_a_service_is_found_by_its_short_or_full_name(name: str) -> None:
    seen = snapshot(services=[service("web"), service("db")])
    assert seen.service_called(name).name == "shop_web"


@pytest.mark.parametrize(
    ("services", "complaint"),
    [
        ([], "0 services are called 'web'.*It has: none"),
        ([service("db")], "0 services are called 'web'.*It has: shop_db"),
        (
            [service("web"), service("web", name="other_web", stack="other")],
            "2 services are called 'web'.*other_web, shop_web",
        ),
    ],
    ids=["none", "unknown", "ambiguous"],
)
def test_a_service_that_cannot_be_told_is_refused(services: Any, complaint: str) -> None:
    with pytest.raises(CutoverError, match=complaint):
        snapshot(services=services).service_called("web")


def test_past_tasks_belong_to_their_service_too() -> None:
    past = task("shop_web", state="failed", desired_state="shutdown")
    now = task("shop_web", on="m2")
    assert snapshot(tasks=[past, now, task("shop_db")]).tasks_of("shop_web") == (past, now)


def test_what_runs_on_a_node_is_counted_under_each_of_its_entries() -> None:
    seen = snapshot(
        [node("m1"), node("m2", id="id-old", state="down"), node("m2", id="id-new")],
        tasks=[
            task("shop_a", on="old"),
            task("shop_b", on="new"),
            task("shop_c", on="new", state="failed"),
            task("shop_d", on="m1"),
        ],
    )
    assert [t.service for t in seen.running_on("m2")] == ["shop_a", "shop_b"]


def test_a_task_said_to_run_on_a_dead_node_is_not_alive() -> None:
    kept = task("shop_web", 1, on="m1")
    tasks = [
        kept,
        task("shop_web", 2, on="m2"),
        task("shop_web", 3, on="gone"),
        task("shop_web", 4, on="m1", state="starting"),
    ]
    assert alive_tasks(tasks, [node("m1"), node("m2", state="down")]) == [kept]
