"""Every call is bounded in time, and a node that comes back is itself."""

from __future__ import annotations

import time

import httpx
import pytest

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from verify.steady import await_steady, node_is_whole


def test_a_paused_node_hangs_nothing(cluster: Cluster) -> None:
    node = cluster.node("hpr")
    node.run("true")
    node.pause()
    try:
        for ask in (
            lambda: node.run("true", timeout=2),
            lambda: node.host.run("true"),
            lambda: node.ask(lambda api: api.ping(), timeout=2),
        ):
            started = time.monotonic()
            with pytest.raises(CutoverError):
                ask()
            assert time.monotonic() - started < 30
    finally:
        node.resume()
        node.disconnect()
    eventually(
        lambda: node.run("hostname", timeout=5).stdout,
        within=60,
        what="hpr answers again",
        retry_on=(CutoverError,),
    )
    await_steady(cluster, within=120)


def test_a_node_that_lost_its_power_comes_back_as_itself(cluster: Cluster) -> None:
    node = cluster.node("hpr")
    before = cluster.snapshot().node_named("hpr")
    assert before is not None
    node.power_off()
    assert not node.has_power
    with pytest.raises(CutoverError):
        node.run("true", timeout=5)
    node.power_on()
    eventually(lambda: node_is_whole(cluster, node), within=90, what="hpr whole")
    after = cluster.snapshot().node_named("hpr")
    assert after is not None
    assert after.id == before.id
    await_steady(cluster, within=180)


def test_a_power_cut_that_was_interrupted_is_finished_when_the_power_comes_back(
    cluster: Cluster,
) -> None:
    # What a harness leaves that is killed between the link and the container.
    node = cluster.node("hpr")
    first_process = "cut -d ' ' -f 22 /proc/1/stat"  # when it started
    before = node.run(first_process).stdout
    node.run("setsid sh -c 'sleep 0.3; ip link set dev eth0 down' >/dev/null 2>&1 &")
    eventually(
        lambda: Pending("it answers") if _answers(node) else True,
        within=30,
        what="hpr without its link",
    )
    assert node.has_power
    node.power_on()
    eventually(lambda: _answers(node) or Pending("no answer"), within=60, what="hpr answers again")
    assert node.run(first_process).stdout != before
    eventually(lambda: node_is_whole(cluster, node), within=90, what="hpr whole")
    await_steady(cluster, within=180)


def _answers(node: Node) -> bool:
    try:
        node.run("true", timeout=3)
    except CutoverError:
        return False
    return True


def test_a_service_is_reached_on_an_overlay_that_publishes_nothing(cluster: Cluster) -> None:
    with cluster.reach("services_ws-company", 8080) as path:
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://service", timeout=10) as client:
            assert client.get("/").json()["service"] == "ws-company"


def test_testinfra_sees_the_node(cluster: Cluster) -> None:
    host = cluster.node("gmktec").host
    assert host.process.filter(comm="dockerd")
    assert host.socket("tcp://0.0.0.0:22").is_listening
