"""Every fault on a real twin: in force by its effect, gone by its effect, nothing left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos import catalogue, status
from chaos.fault import NotInForce
from chaos.faults.network import Cut, Isolate
from chaos.faults.node import ClockStep, PowerOff
from chaos.guard import Permission, Refused
from chaos.ledger import Ledger
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve
from fixtures.waiting import Pending, eventually
from tests.twin.menu import ALL, BACKUP
from verify.steady import await_steady, unsteady

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chaos(cluster: Cluster) -> Iterator[Chaos]:
    await_steady(cluster, within=180)
    cluster.node("hpr").run(f"head -c 100000 /dev/urandom >{BACKUP}")
    found = Chaos(
        cluster, Ledger.of(cluster.name, cluster.source), steady=lambda: unsteady(cluster)
    )
    yield found
    found.close()


def test_the_menu_holds_every_fault_that_a_twin_can_show() -> None:
    assert {name for name, _ in ALL} == set(catalogue.known()) - {ClockStep.name}


@pytest.mark.parametrize(("name", "arguments"), ALL, ids=lambda value: str(value))
def test_a_fault_is_proven_in_force_and_gone(
    cluster: Cluster, chaos: Chaos, name: str, arguments: dict[str, Any]
) -> None:
    before = cluster.node("hpr").run(f"sha256sum {BACKUP}").stdout
    with chaos.inject(catalogue.make(name, arguments)) as found:
        assert found.proof
        assert chaos.ledger.open()
    assert status.of(cluster, chaos.ledger.open()) == []
    if name != "node.power-off":
        assert cluster.node("hpr").run(f"sha256sum {BACKUP} || true").stdout in (before, "")


def test_a_fault_that_somebody_undid_meanwhile_is_no_test(cluster: Cluster, chaos: Chaos) -> None:
    fault = chaos.begin(Isolate("hpr"))
    cluster.node("hpr").run("iptables -t mangle -F PREROUTING; iptables -t mangle -F POSTROUTING")
    with pytest.raises(NotInForce, match="was not in force any more"):
        chaos.end(fault)
    assert status.of(cluster, chaos.ledger.open()) == []


def test_an_undo_leaves_the_rules_of_others_alone(cluster: Cluster, chaos: Chaos) -> None:
    node = cluster.node("hpr")
    rule = "POSTROUTING -d 192.0.2.1 -m comment --comment theirs -j ACCEPT"
    node.run(f"iptables -t mangle -A {rule}")
    try:
        with chaos.inject(Cut("hpr", "wsasus")), chaos.inject(Cut("hpr", "gmktec")):
            pass
        assert "theirs" in node.run("iptables -t mangle -S").stdout
    finally:
        node.run(f"iptables -t mangle -D {rule}")


def test_a_qdisc_of_somebody_else_is_neither_replaced_nor_removed(
    cluster: Cluster, chaos: Chaos
) -> None:
    node = cluster.node("hpr")
    node.run("tc qdisc add dev eth0 root handle 7: pfifo limit 1000")
    try:
        with pytest.raises(NotInForce):
            chaos.begin(catalogue.make("network.bandwidth", {"node": "hpr"}))
        assert "pfifo 7:" in node.run("tc qdisc show dev eth0").stdout
    finally:
        node.run("tc qdisc del dev eth0 root")


def test_the_node_undoes_by_itself_what_nobody_undid(cluster: Cluster, chaos: Chaos) -> None:
    chaos.at_most = 3.0
    fault = chaos.begin(Isolate("hpr"))
    with pytest.raises(NotInForce, match="was not in force any more"):
        _wait_and_end(cluster, chaos, fault)
    assert status.of(cluster, chaos.ledger.open()) == []


def _wait_and_end(cluster: Cluster, chaos: Chaos, fault: Any) -> None:
    eventually(
        lambda: status.residue(cluster) == {} or Pending("the node's timer runs"),
        within=15,
        what="the node's own switch",
    )
    chaos.end(fault)


def test_the_guard_refuses_on_a_real_cluster(cluster: Cluster, chaos: Chaos) -> None:
    with chaos.inject(Cut("hpr", "wsasus")), pytest.raises(Refused, match="one fault domain"):
        chaos.begin(Cut("gmktec", "wsasus"))
    with pytest.raises(CannotProve, match="share this machine's clock"):
        chaos.begin(ClockStep("hpr"))
    chaos.steady = lambda: Pending("a task is missing")
    chaos.steady_within = 0.1
    with pytest.raises(Refused, match="not steady"):
        chaos.begin(Cut("hpr", "wsasus"))
    assert status.of(cluster, chaos.ledger.open()) == []


def test_quorum_is_lost_only_when_that_is_allowed(cluster: Cluster, chaos: Chaos) -> None:
    first, second, _ = [node.name for node in cluster.managers]
    chaos.begin(Isolate(first))
    with pytest.raises(Refused, match="only 1 of 3 managers"):
        chaos.begin(PowerOff(second), Permission(several_domains=True))


def test_the_command_line_injects_and_undoes(cluster: Cluster, chaos: Chaos) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "chaos", *words),
                *("--twin", cluster.source.removeprefix("twin:")),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    dry = run("inject", "network.isolate", "node=the worker", "--dry-run")
    assert "nothing was touched" in dry.stdout
    assert status.of(cluster, chaos.ledger.open()) == []
    done = run("inject", "network.isolate", "node=the worker", "--for", "1s")
    assert (done.returncode, "proven gone" in done.stdout) == (0, True), done.stderr
    assert run("status").returncode == 0
    assert run("inject", "network.isolate", "node=nobody").returncode == 2
