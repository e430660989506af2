"""Logging that looks well and is not: every sabotage at once, and each is told by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import runner
from fixtures.stacks import catalogue
from fixtures.stacks.deploy import config_name, deploy_together, remove_stacks, wait_stacks
from tests.twin.conftest import Outcome
from verify.logs import central, loki, speaking

RunFeatures = Callable[..., Outcome]

#: Not the name of the harness's own stack, which it would put right.
STACK = "logs-by-hand"
IGNORED = "canary_canary"
FOUND, LABELS = "log lines found centrally", "log lines under their own labels"
BESIDE = "features/logging/central.feature"  # for its folder: by it pytest finds the options

BAD_COLLECTORS = f"""
import os, sys
sys.path.insert(0, "/app")
import promtail

node = os.environ["NODE_NAME"]
if node == "wsasus":
    os.environ["NODE_NAME"] = "gmktec"

record = promtail.Collector._record
def stdout_only(self, container, file, start, text):
    wanted = node != "hppavilion" or b'"stream":"stdout"' in text
    ignored = container.labels.get("service") == {IGNORED!r}
    return record(self, container, file, start, text) if wanted and not ignored else ()
promtail.Collector._record = stdout_only

def from_the_end(self, container, file):
    file.read = file.sent = os.fstat(file.descriptor).st_size
promtail.Positions.restore = from_the_end

promtail.main()
"""

DROPPING_LOKI = """
import sys
sys.path.insert(0, "/app")
import loki

loki.Store.push = lambda self, streams: None
loki.serve("/tmp/dropped.sqlite", 3100)
"""

FEATURE = """
Feature: Logs that are lost

  Background:
    Given the plan's services are running
    And the logs of every node are collected

  Scenario: Written by every container
    When every container writes a line to each of its outputs
    Then every line is found centrally within 6 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing

  Scenario: Written while the collector is away
    When the collector of one node is killed
    And every container of that node writes a line while it is away
    Then every line is found centrally within 14 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing
"""  # noqa: E501 - a step is one line


def deploy_by_hand(cluster: Cluster, *changes: tuple[str, str]) -> None:
    """Deploy the stack under another name, with changes to its text."""
    text = catalogue.stack_text("logging").replace("stack: logging", f"stack: {STACK}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    leader = cluster.leader()
    spec = leader.ask(lambda api: api.api.inspect_service(IGNORED))["Spec"]
    environment = {
        "WEB_IMAGE": spec["TaskTemplate"]["ContainerSpec"]["Image"],
        "CUTOVER_ENDPOINT_MODE": spec["EndpointSpec"]["Mode"],
        "CUTOVER_CONFIG_LOKI": config_name("loki.py"),
        "CUTOVER_CONFIG_PROMTAIL": config_name("promtail.py"),
        "CUTOVER_LOKI_RESERVED_MB": "64",
        "CUTOVER_PROMTAIL_RESERVED_MB": "16",
    }
    deploy_together(runner(leader), [(STACK, text, environment)])
    wait_stacks(runner(leader), [STACK], within=90)


def program(name: str, code: str) -> tuple[str, str]:
    """Have a service run `code`, which imports its program, in the program's place."""
    command = json.dumps(["python3", "-c", code.replace("$", "$$")])
    return f'command: ["python3", "/app/{name}.py"]', f"command: {command}"


BAD = (
    program("promtail", BAD_COLLECTORS),
    (
        "      mode: global\n",
        "      mode: global\n      placement: {constraints: [node.hostname != hpr]}\n",
    ),
)


@contextmanager
def by_hand(cluster: Cluster) -> Iterator[None]:
    try:
        deploy_by_hand(cluster, *BAD)
        yield
    finally:
        remove_stacks(runner(cluster.leader()), [STACK], within=60)


@pytest.fixture(scope="module")
def bad_collectors(cluster: Cluster) -> Iterator[None]:
    with by_hand(cluster):
        yield


@pytest.fixture
def feature(tmp_path: Path) -> str:
    path = tmp_path / "lost.feature"
    path.write_text(FEATURE)
    return str(path)


def reasons(outcome: Outcome, criterion: str) -> list[str]:
    found = [c for c in outcome.signoff["criteria"] if c["criterion"] == criterion]
    assert [c["verdict"] for c in found] == ["missed"] * len(found), outcome.output
    return [c["reason"] for c in found]


def test_collectors_that_leave_something_out(
    cluster: Cluster, bad_collectors: None, run_features: RunFeatures, feature: str
) -> None:
    """None on one node, a wrong name on another, no stderr on a third, no canary, no memory."""
    outcome = run_features(feature, BESIDE, "-k", "written_")
    assert outcome.status == 1
    any_line, meanwhile = reasons(outcome, FOUND)
    assert "lines of node hpr" in any_line
    assert "lines on stderr of node hppavilion" in any_line
    assert f"lines of service {IGNORED}" in any_line
    for well in ("node gmktec", "node wsasus", "node hppavilion"):
        assert f"lines of {well}" not in any_line, "its lines are found, whatever they are called"
    assert "wsasus: node gmktec instead of wsasus" in reasons(outcome, LABELS)[0]
    # Of the one that was killed: any line would be found but for where it begins again.
    assert any(f"lines of node {node}" in meanwhile for node in cluster.nodes if node != "hpr")


def test_labels_that_lack_a_node_and_a_service(cluster: Cluster, bad_collectors: None) -> None:
    problems, checked = central.label_problems(cluster, speaking.every_container_says(cluster))
    assert checked > len(cluster.nodes)
    assert "no logs of node hpr" in problems
    assert "no logs of node wsasus" in problems
    assert f"no logs of service {IGNORED}" in problems
    assert "no logs of node gmktec" not in problems


def test_a_loki_that_is_ready_and_drops_what_it_takes(
    cluster: Cluster, bad_collectors: None, run_features: RunFeatures, feature: str
) -> None:
    deploy_by_hand(cluster, *BAD, program("loki", DROPPING_LOKI))
    with loki.opened(cluster) as asked:
        assert asked.ready()
    outcome = run_features(feature, BESIDE, "-k", "written_by_every")
    assert outcome.status == 1
    (nothing,) = reasons(outcome, FOUND)
    for node in cluster.nodes:
        assert f"lines of node {node}" in nothing
