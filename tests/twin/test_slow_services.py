"""What must turn the response time red: slow answers, a stall, and a generator that got no CPU."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fixtures.cluster.cluster import Cluster
from fixtures.waiting import Pending, eventually
from load.process import prefer
from tests.twin.conftest import Outcome
from verify.steady import await_steady

#: Times answers or CPU: runs while no other twin stands.
pytestmark = pytest.mark.quiet

RunFeatures = Callable[..., Outcome]
EVERYDAY = ("features/performance/response_time.feature", "-k", "everyday")
_AT_ONCE = "docker service update --quiet --detach=false --update-parallelism 2 --update-monitor 1s"


@contextmanager
def held_back(cluster: Cluster, delays: dict[str, str]) -> Iterator[None]:
    """Let services answer late: name → what their WEB_DELAYS says."""

    def update(change: str, service: str) -> None:
        cluster.leader().run(f"{_AT_ONCE} {change} services_{service}", timeout=120)

    try:
        for service, delay in delays.items():
            update(f"--env-add 'WEB_DELAYS={delay}'", service)
        yield
    finally:
        for service in delays:
            update("--env-rm WEB_DELAYS", service)
        await_steady(cluster, within=120)


def test_a_slow_service_and_one_slow_route_of_another(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    """News takes 120 ms for everything, trades for one thing: every other route keeps the limit."""
    with held_back(cluster, {"ws-news": "/=0.12 /items=0.12", "ws-trades": "/items=0.12"}):
        outcome = run_features(*EVERYDAY)
    assert outcome.status == 1
    verdicts = {
        c["criterion"].removeprefix("p95 response time of "): c["verdict"]
        for c in outcome.signoff["criteria"]
    }
    slow = {name for name, verdict in verdicts.items() if verdict == "missed"}
    assert slow == {"news", "news items", "trades items"}, verdicts
    assert verdicts["trades"] == "met", "a slow route is not hidden among those of its service"


class WhenLoadFlows(threading.Thread):
    """Does something once while the load generator of a run sends its requests."""

    def __init__(self, what: Callable[[psutil.Process], None]) -> None:
        super().__init__(daemon=True)
        self._what = what
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._what(eventually(_generator, within=180, what="the load generator"))
        except Exception as error:  # noqa: BLE001 - told by the test
            self.error = error


def _generator() -> psutil.Process | Pending:
    """Return the load generator when it has sent requests for some seconds."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--log-folder" in words and process.is_running():
            folder = Path(words[words.index("--log-folder") + 1])
            if any(p.stat().st_size > 4000 for p in folder.glob("requests-*.msgpack")):
                return process
    return Pending("none sends requests")


def test_a_stall_of_seconds(cluster: Cluster, run_features: RunFeatures) -> None:
    """A closed loop would send one request into it: its p95 stays at milliseconds."""

    def stall(_: psutil.Process) -> None:
        node, task = cluster.a_task("edge_edge")
        # Both on the node itself, so that it ends there whatever becomes of us.
        node.run(
            f"docker pause {task.container_id} && sleep 3; docker unpause {task.container_id}",
            timeout=20,
        )

    stalling = WhenLoadFlows(stall)
    stalling.start()
    outcome = run_features(*EVERYDAY)
    stalling.join(30)
    assert stalling.error is None
    assert outcome.status == 1
    assert outcome.verdicts("requests that failed") == ["missed"]
    assert "timeout" in outcome.reason("requests that failed")
    (silence,) = (
        seen["value"]
        for seen in outcome.signoff["observations"]
        if seen["name"] == "longest time without a good answer"
    )
    assert 2.5 < silence < 4


def test_a_generator_without_cpu_proves_nothing(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    """It shares the machine with busy processes that go before it."""
    burn = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    busy: list[subprocess.Popen[bytes]] = []

    def starve(generator: psutil.Process) -> None:
        prefer(generator.pid, -19)
        busy.extend(subprocess.Popen([sys.executable, "-c", burn]) for _ in range(4))

    starving = WhenLoadFlows(starve)
    starving.start()
    try:
        outcome = run_features(*EVERYDAY)
    finally:
        starving.join(30)
        for process in busy:
            process.kill()
            process.wait()
    assert starving.error is None
    assert outcome.status == 1
    assert {c["verdict"] for c in outcome.signoff["criteria"]} == {"inconclusive"}
    assert "the generator's own lag" in "".join(c["reason"] for c in outcome.signoff["criteria"])
