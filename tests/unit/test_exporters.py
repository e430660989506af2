"""Metrics as exporters give them: read, refused, and found on a node."""

from __future__ import annotations

import pytest

from fixtures.errors import CutoverError
from tests.unit.builders import service, snapshot, task
from verify.exporters import Metric, Story, cadvisor_story, node_story, on_node, parse

NODE = """# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 1000.5
node_cpu_seconds_total{cpu="0",mode="iowait"} 10
node_cpu_seconds_total{cpu="0",mode="user"} 30.25
node_cpu_seconds_total{cpu="1",mode="system"} 2e+01
node_cpu_guest_seconds_total{cpu="0",mode="user"} 99
node_memory_MemTotal_bytes 2.5276502016e+10
node_memory_MemAvailable_bytes 2.2e+10
"""
CADVISOR = """cadvisor_version_info{cadvisorVersion="",kernelVersion="6.1"} 1
container_cpu_usage_seconds_total{cpu="total",id="/",image="",name=""} 120.5 1700000000123
container_cpu_usage_seconds_total{cpu="total",id="/docker/abc",image="",name="x"} 7 1700000000456
container_memory_working_set_bytes{id="/",image="",name=""} 4e+08 1700000000123
container_memory_working_set_bytes{id="/docker/abc",image="",name="x"} 1 1700000000123
"""


def test_lines_of_metrics() -> None:
    text = (
        "# a comment\n\nup 1\n"
        'a_total{path="C:\\\\x\\"y\\n",} +Inf 1500\nb{ x = "1" , y="}{" } NaN\n'.replace(" = ", "=")
    )
    up, a, b = parse(text)
    assert up == Metric("up", {}, 1.0)
    assert a == Metric("a_total", {"path": 'C:\\x"y\n'}, float("inf"), 1.5)
    assert b.labels == {"x": "1", "y": "}{"}


@pytest.mark.parametrize("line", ["<html>", "up", "up one", "up{x=1} 1", 'up{x="1} 1', "up 1 soon"])
def test_what_is_no_metric_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(CutoverError, match="line 2"):
        parse(f"ok 1\n{line}\n")


def test_node_exporter() -> None:
    assert node_story(NODE, 5.0) == Story(5.0, 50.25, 1060.75, 25276502016 - 22e9)


def test_cadvisor_tells_of_its_root_at_its_own_time() -> None:
    assert cadvisor_story(CADVISOR, 5.0) == Story(1700000000.123, 120.5, None, 4e8)


def test_an_older_cadvisor_without_time_stamps_counts_each_core() -> None:
    text = (
        'container_cpu_usage_seconds_total{cpu="cpu00",id="/"} 3\n'
        'container_cpu_usage_seconds_total{cpu="cpu01",id="/"} 4\n'
        'container_memory_working_set_bytes{id="/"} 5\n'
    )
    assert cadvisor_story(text, 5.0) == Story(5.0, 7.0, None, 5.0)


def test_a_collector_that_is_off_is_named() -> None:
    with pytest.raises(CutoverError, match="no node_memory_MemAvailable_bytes"):
        node_story(NODE.replace("MemAvailable", "Other"), 0)
    with pytest.raises(CutoverError, match="no container_cpu_usage_seconds_total"):
        cadvisor_story(CADVISOR.replace('id="/"', 'id="/x"'), 0)


def test_exporters_are_those_that_run_on_the_node() -> None:
    services = [
        service("node-exporter", None),
        service("cadvisor-2"),
        service("web"),
        service("exporter-of-node"),
    ]
    tasks = [
        task("shop_node-exporter", None, on="m1"),
        task("shop_node-exporter", None, on="m2"),
        task("shop_cadvisor-2", on="m2"),
        task("shop_web", on="m1"),
        task("shop_exporter-of-node", on="m1"),
    ]
    seen = snapshot(None, services, tasks)

    def named(hostname: str) -> list[tuple[str, int]]:
        return [(name, kind.port) for name, kind in on_node(seen, hostname)]

    assert named("m1") == [("shop_node-exporter", 9100)]
    assert named("m2") == [("shop_node-exporter", 9100), ("shop_cadvisor-2", 8080)]
    assert named("w1") == []
