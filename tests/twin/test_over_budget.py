"""What must not keep a budget: a busy node, held memory, a lying exporter, a drill of nothing."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import MEMORY_DIVISOR
from tests.twin.conftest import ROOT, Outcome
from verify.steady import await_steady

#: Times answers or CPU: runs while no other twin stands.
pytestmark = pytest.mark.quiet

RunFeatures = Callable[..., Outcome]
FEATURE = ROOT / "features" / "performance" / "server_budget.feature"
DRILLS = ROOT / "features" / "drills" / "drills.feature"
CPU, MEMORY = "CPU load of gmktec", "memory in use on gmktec"
#: For its own part of the scenario, its limits as they are.
ONLY_MEMORY = (r"Then its average CPU load.*\n +And it uses", "Then it uses")
SECONDS = 8


def first_scenario(path: Path, *changes: tuple[str, str]) -> str:
    """Return the first scenario of a feature file, changed by regular expressions."""
    text = "  Scenario: " + path.read_text(encoding="utf-8").split("Scenario: ")[1]
    text = re.sub(r"(?m)^\s*@.*$", "", text)  # tags of the next one
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text)
        assert count == 1, f"{path} has no {pattern} any more"
    return text


def scenario(title: str, *changes: tuple[str, str], fault: str = "") -> str:
    """Return the server's scenario, watched for less long, with `fault` in force meanwhile."""
    watched = f"When gmktec is watched for {SECONDS} seconds"
    if fault:
        watched = f'When the fault "{fault}" is injected\n    {watched.replace("When", "And")}'
    return first_scenario(
        FEATURE,
        (r"Scenario: .*", f"Scenario: {title}"),
        (r"When gmktec is watched for \d+ seconds", watched),
        *changes,
    )


@pytest.fixture
def feature() -> Iterator[Callable[..., str]]:
    """Yield what writes a feature below the checkout, where it finds its steps; it goes again."""
    reports = ROOT / "reports"
    reports.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=reports) as folder:

        def write(*scenarios: str) -> str:
            path = Path(folder) / "sabotage.feature"
            path.write_text("Feature: Sabotage\n\n" + "\n".join(scenarios), encoding="utf-8")
            return str(path)

        yield write


def test_a_busy_node_and_held_memory(
    cluster: Cluster, run_features: RunFeatures, feature: Callable[..., str]
) -> None:
    cores = int(cluster.node("gmktec").run("nproc").stdout)
    limit = float(re.findall(r"less than (\d+) GB", FEATURE.read_text(encoding="utf-8"))[0])
    megabytes = round(limit / MEMORY_DIVISOR * 1e9 / (1 << 20))
    outcome = run_features(
        feature(
            scenario("busy", fault=f"resource.cpu node=gmktec workers={cores}"),
            scenario(
                "held", ONLY_MEMORY, fault=f"resource.memory node=gmktec megabytes={megabytes}"
            ),
        )
    )
    assert outcome.status == 1
    assert outcome.verdicts(CPU) == ["missed"], outcome.reason(CPU)
    assert "not 0." in outcome.reason(CPU)
    assert outcome.verdicts(MEMORY) == ["missed"], outcome.reason(MEMORY)
    assert f"< {limit:g}" in outcome.reason(MEMORY)


#: Tells the truth of the machine's memory, and that one core of two is always busy.
LIAR = """
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        now = time.monotonic()
        text = f'node_cpu_seconds_total{{cpu="0",mode="user"}} {now}\\n'
        text += f'node_cpu_seconds_total{{cpu="1",mode="idle"}} {now / 99}\\n'
        for line in open("/proc/meminfo"):
            if line.startswith(("MemTotal", "MemAvailable")):
                name, kilobytes = line.replace(":", "").split()[:2]
                text += f"node_memory_{name}_bytes {1024 * int(kilobytes)}\\n"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.HTTPServer(("", 9100), Handler).serve_forever()
"""


@contextmanager
def exporter(cluster: Cluster, program: str) -> Iterator[None]:
    """Run a Python program as the service node-exporter on gmktec."""
    leader = cluster.leader()
    web = cluster.snapshot().service_called("ws-gateway")
    image = leader.ask(lambda api: api.services.get(web.id)).attrs["Spec"]["TaskTemplate"][
        "ContainerSpec"
    ]["Image"]
    command = shlex.join(
        [
            *("docker", "service", "create", "--quiet", "--detach", "--no-resolve-image"),
            *("--name", "node-exporter", "--mode", "global", "--no-healthcheck"),
            *("--constraint", "node.hostname==gmktec", "--endpoint-mode", "dnsrr"),
            *("--network", "monitoring", "--entrypoint", "python3", image, "-c", program),
        ]
    )
    leader.run(command, timeout=60)
    try:
        await_steady(cluster, within=60)
        yield
    finally:
        leader.run("docker service rm node-exporter", timeout=60)


def test_an_exporter_that_tells_another_story(
    cluster: Cluster, run_features: RunFeatures, feature: Callable[..., str]
) -> None:
    with exporter(cluster, LIAR):
        outcome = run_features(feature(scenario("lie"), scenario("truth", ONLY_MEMORY)))
    assert outcome.status == 1
    assert outcome.verdicts(CPU) == ["inconclusive"]
    assert re.search(r"is 0\.\d+, but 0\.99\d by node-exporter", outcome.reason(CPU))
    assert outcome.verdicts(MEMORY) == ["met"], outcome.reason(MEMORY)
    assert any("cross-checked with node-exporter" in note for note in outcome.signoff["notes"])


DRILL = """
name: no server is lost
clients: {targets: [canary], rate: 10}
good_before: 20
schedule:
  - {at: 1, fault: task.kill, with: {service: canary}, for: 1}
"""


def test_a_drill_that_loses_no_server_says_nothing_of_losing_each(
    run_features: RunFeatures, feature: Callable[..., str], tmp_path: Path
) -> None:
    drill = tmp_path / "none.yml"
    drill.write_text(DRILL, encoding="utf-8")
    outcome = run_features(
        feature(
            first_scenario(
                DRILLS,
                (r"Given the edge runs .*", "Given the plan's services are running"),
                (r"And clients send .*\n", ""),
                (r"cutover_rehearsal\.yml", str(drill)),
            )
        )
    )
    assert outcome.status == 1
    assert outcome.verdicts("longest outage of canary") == ["met"]
    (criterion,) = {
        c["criterion"] for c in outcome.signoff["criteria"] if "availability" in c["criterion"]
    }
    assert outcome.verdicts(criterion) == ["inconclusive"]
    assert "hpr was never lost" in outcome.reason(criterion)
