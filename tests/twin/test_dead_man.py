"""Whatever happens to the harness, its faults are undone.

CUTOVER_KILLS says how often it is killed at a random moment (3 unless told; `make dead-man` 50).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos import status
from chaos.ledger import Ledger
from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.stacks import catalogue
from fixtures.waiting import Pending, eventually, how_long
from tests.twin.menu import BACKUP
from verify import discovery
from verify.steady import unsteady

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("CUTOVER_KILLS", "3"))
FIRST_SEED = int(os.environ.get("CUTOVER_SEED", "1"))
LIMIT_SECONDS = 15
STEADY_SECONDS = 180
NAMES_SECONDS = 90


@pytest.fixture(scope="module", autouse=True)
def names_come_back(cluster: Cluster) -> Iterator[None]:
    """Leave a whole cluster to the next tests: Swarm calls it steady before its names are there."""
    yield
    eventually(lambda: unsteady(cluster), within=STEADY_SECONDS, every=0.5, what="steady")
    names = [s.name for s in catalogue.SERVICES if s.protocol is not catalogue.Protocol.NONE]
    wanted = discovery.endpoints_of(cluster.snapshot(), names)
    lost = discovery.problems_within(cluster, wanted, within=NAMES_SECONDS)
    # What starts while its node is cut off may stay without a name for hours (moby issue 53141).
    for name in {problem.partition(" from ")[0] for problem in lost}:
        service = cluster.snapshot().service_called(name).name
        cluster.leader().run(f"docker service update --quiet --force {service}", timeout=120)
    assert discovery.problems_within(cluster, wanted, within=NAMES_SECONDS) == []


@pytest.fixture(autouse=True)
def steady(cluster: Cluster) -> None:
    eventually(lambda: unsteady(cluster), within=STEADY_SECONDS, every=0.5, what="steady")
    for node in cluster.nodes.values():
        node.run(f"head -c 100000 /dev/urandom >{BACKUP}")


@contextmanager
def victim(cluster: Cluster, seed: int) -> Iterator[subprocess.Popen[str]]:
    """A harness with random faults; it has begun with the first when this is entered."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.twin.victim"),
            *(cluster.source.removeprefix("twin:"), str(seed)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def left(cluster: Cluster) -> bool | Pending:
    """True when nothing of any fault is left: not in the ledger, not on a node, no watchdog."""
    lines = status.of(cluster, Ledger.of(cluster.name, cluster.source).open())
    lines += [f"watchdog {pid}" for pid in watchdogs(cluster)]
    return Pending("; ".join(lines)) if lines else True


def watchdogs(cluster: Cluster) -> list[int]:
    """Those of this cluster: another twin may stand beside it."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if {b"chaos.watchdog", cluster.source.encode()} <= set(words):
                found.append(int(process.name))
    return found


def until_all(process: subprocess.Popen[str]) -> list[str]:
    """Read what is in force, until all is."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if line.strip() == "all":
            break
        lines.append(line.strip())
    return lines


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + KILLS))
def test_killed_at_a_random_moment_it_leaves_nothing(cluster: Cluster, seed: int) -> None:
    moment = random.Random(seed).uniform(0.0, 6.0)
    with victim(cluster, seed) as process:
        killed = time.monotonic() + moment
        eventually(
            lambda: time.monotonic() >= killed or Pending("it is breaking things"),
            within=10,
            every=0.01,
            what="the moment of the kill",
        )
        os.kill(process.pid, signal.SIGKILL)
        before = time.monotonic()
        process.wait(timeout=5)
        assert process.stdout is not None
        in_force = process.stdout.read().split("\n")[:-1]
    took = how_long(lambda: left(cluster), within=LIMIT_SECONDS, since=before, what="nothing left")
    again = how_long(
        lambda: unsteady(cluster), within=STEADY_SECONDS, since=before, what="steady again"
    )
    progress.say(
        f"seed {seed}: killed after {moment:.1f} s with {in_force}: nothing left after "
        f"{took.seconds:.1f} ± {took.error:.1f} s, steady after {again.seconds:.1f} s"
    )
    assert not took.reason
    assert not again.reason


def test_ctrl_c_leaves_nothing(cluster: Cluster) -> None:
    with victim(cluster, seed=1001) as process:
        assert until_all(process)
        os.kill(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert left(cluster) is True


def test_with_the_watchdog_killed_too_heal_undoes_everything(cluster: Cluster) -> None:
    with victim(cluster, seed=1002) as process:
        assert until_all(process)
        (watchdog,) = watchdogs(cluster)
        os.kill(watchdog, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=5)
    assert isinstance(left(cluster), Pending), "a switch that nobody needed proves nothing"
    twin = cluster.source.removeprefix("twin:")
    healed = subprocess.run(
        [sys.executable, "-m", "chaos", "heal", "--twin", twin],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert healed.returncode == 0, healed.stderr
    eventually(lambda: left(cluster), within=5, what="nothing left")
