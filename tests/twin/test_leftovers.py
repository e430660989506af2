"""Nothing is left behind, also when the harness is killed with a node off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from docker import DockerClient

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin import blueprint
from fixtures.cluster.twin.lifecycle import StandingTwin, take_down
from fixtures.cluster.twin.provision import Twin
from fixtures.engine import find
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import TWIN

ROOT = Path(__file__).parents[2]
NAME = f"{TWIN}-leftover"
# Brings a twin up, cuts a node's power and says so; then waits to be killed.
VICTIM = f"""
from chaos.faults.node import PowerOff
from chaos.ledger import Ledger
from chaos.session import Chaos
from fixtures.cluster.twin.lifecycle import StandingTwin
with StandingTwin({NAME!r}, keep=False) as cluster:
    Chaos(cluster, Ledger.of(cluster.name, cluster.source), lambda: True).begin(PowerOff("hpr"))
    print("BROKEN", flush=True)
    input()
"""


def leftovers(client: DockerClient) -> list[str]:
    """Name everything on the engine that belongs to the twin."""
    label: Any = {"label": f"cutover={NAME}"}
    return [
        *(
            str(c.name)
            for c in client.containers.list(all=True, filters=label, ignore_removed=True)
        ),
        *(str(v.name) for v in client.volumes.list(filters=label)),
        *(str(n.name) for n in client.networks.list(filters=label)),
    ]


def test_a_harness_that_is_killed_mid_failover_leaves_nothing(cluster: Cluster) -> None:
    """Run beside another twin, which must not notice."""
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    address = find()
    assert address is not None
    client = DockerClient(base_url=address, version="auto", timeout=60)
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline().strip() == "BROKEN"
        # A container and a volume a machine, and the network.
        assert len(leftovers(client)) == 2 * len(blueprint.HOSTS) + 1
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(timeout=10)
        eventually(
            lambda: Pending(", ".join(left)) if (left := leftovers(client)) else True,
            within=60,
            what="the reaper took the twin down",
        )
    finally:
        victim.kill()
        victim.wait(timeout=10)
        client.close()
        take_down([NAME])
    eventually(
        lambda: Pending("it still runs") if any(map(_reaps, Path("/proc").iterdir())) else True,
        within=15,
        what="the reaper's own end",
    )
    assert len([n for n in cluster.snapshot().nodes if n.ready]) == 4


def _reaps(process: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"fixtures.cluster.twin.reaper" in words and NAME.encode() in words


def test_what_a_removal_that_was_cut_short_left_is_no_obstacle(cluster: Cluster) -> None:
    """Its containers gone, its network and a volume not: the engine allows a second network."""
    address = find()
    assert address is not None
    client = DockerClient(base_url=address, version="auto", timeout=60)
    label = {blueprint.LABEL: NAME}
    try:
        network = client.networks.create(blueprint.network_name(NAME), labels=label)
        client.volumes.create(f"{blueprint.container_name(NAME, 'hpr')}-docker", labels=label)
        with StandingTwin(NAME, keep=False, bare=True) as again:
            assert len([n for n in again.snapshot().nodes if n.ready]) == 4
            assert network.id not in {n.id for n in client.networks.list()}
        assert leftovers(client) == []
    finally:
        take_down([NAME])
        client.close()


def test_taking_down_what_does_not_stand_is_no_error() -> None:
    assert take_down(["never-stood"]) == []


def test_closing_a_second_opening_does_not_disturb_the_first(cluster: Cluster) -> None:
    address = find()
    assert address is not None
    client = DockerClient(base_url=address, version="auto", timeout=60)
    try:
        with Twin(TWIN, client).open() as again:
            assert again.leader().name == cluster.leader().name
        assert cluster.node("hpr").run("hostname").stdout.strip() == "hpr"
        assert cluster.snapshot().leader() is not None
    finally:
        client.close()
