"""`fault_*`: from the wish to a proven fault, and from the undoing to its proof, fault by fault.

The floor does the very same steps on the same node in the same run with nothing around them: the
script over the open ssh connection, then its check until it says yes. What is beyond that is the
harness's own: reading the cluster, the guard, the look beforehand, the ledger, the node's switch.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Final

from bench.entry import Entry
from chaos import catalogue, doing, scripts
from chaos.fault import Fault, Plan, Shell
from chaos.ledger import Ledger
from chaos.session import Chaos
from chaos.view import ClusterView
from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.blueprint import SCRATCH
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.waiting import eventually
from verify.steady import await_steady, unsteady

_STEADY_SECONDS: Final = 180.0
_FAULTS: Final[tuple[tuple[str, dict[str, str | int]], ...]] = (
    ("node.power-off", {"node": "hpr"}),
    ("node.freeze", {"node": "hpr"}),
    ("node.engine-stop", {"node": "hpr"}),
    ("node.engine-freeze", {"node": "hpr"}),
    ("node.drain", {"node": "hpr"}),
    ("network.isolate", {"node": "hpr"}),
    ("network.cut", {"node": "hpr", "peer": "wsasus"}),
    ("network.one-way", {"node": "hpr", "source": "wsasus"}),
    ("network.partition", {"side": "hppavilion"}),
    ("network.port", {"node": "hpr", "port": 7946}),
    ("network.loss", {"node": "hpr", "percent": 20}),
    ("network.bandwidth", {"node": "hpr"}),
    ("network.latency", {"node": "hpr", "milliseconds": 50}),
    ("network.service-cut", {"service": "ws-gateway", "peer": "ws-company"}),
    ("network.dns-failure", {"service": "canary"}),
    ("task.pause", {"service": "canary"}),
    ("resource.cpu", {"node": "hpr"}),
    ("resource.memory", {"node": "hpr", "megabytes": 64}),
    ("resource.disk-full", {"node": "hpr", "path": SCRATCH}),
    ("resource.inodes", {"node": "hpr", "path": SCRATCH}),
    ("resource.io-throttle", {"service": "canary"}),
)


def run(rounds: int = 3) -> list[Entry]:
    """Inject and undo each fault `rounds` times both ways in turn; medians and worst, seconds."""
    twin = StandingTwin("bench", keep=False)
    with twin as cluster:
        twin.deploy(capabilities.probe(cluster))
        return [
            entry
            for name, arguments in _FAULTS
            for entry in _measure(cluster, catalogue.make(name, arguments), rounds)
        ]


def _measure(cluster: Cluster, fault: Fault, rounds: int) -> list[Entry]:
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    for _ in range(rounds):
        await_steady(cluster, within=_STEADY_SECONDS)
        ours.append(_ours(cluster, fault))
        await_steady(cluster, within=_STEADY_SECONDS)
        bare.append(_bare(cluster, fault.plan(ClusterView(cluster))))
    short = fault.name.replace(".", "_").replace("-", "_")
    return [
        Entry(
            f"fault_{short}_{what}",
            statistics.median(pair[index] for pair in ours),
            "s",
            statistics.median(pair[index] for pair in bare),
            rounds,
            max(pair[index] for pair in ours),
        )
        for index, what in enumerate(("in_force", "gone"))
    ]


def _ours(cluster: Cluster, fault: Fault) -> tuple[float, float]:
    chaos = Chaos(cluster, Ledger.of(cluster.name, cluster.source), lambda: unsteady(cluster))
    try:
        started = time.monotonic()
        found = chaos.begin(fault)
        proven = time.monotonic()
        chaos.end(found)
        return proven - started, time.monotonic() - proven
    finally:
        chaos.close()


def _bare(cluster: Cluster, plan: Plan) -> tuple[float, float]:
    started = time.monotonic()
    try:
        for step in plan.steps:
            bare = step
            if isinstance(step, Shell):
                place = f"mkdir -p {scripts.FOLDER}\n"  # which the timer makes otherwise
                bare = replace(step, do=place + step.do, timer=False)
            doing.do(cluster, bare, "be4c0000", 0, at_most=0)
        for step in plan.steps:
            eventually(
                lambda step=step: doing.in_force(cluster, step, "be4c0000"),  # type: ignore[misc]
                within=60,
                every=0.02,
                what="in force",
            )
        proven = time.monotonic()
    finally:
        for step in reversed(plan.steps):
            doing.undo(cluster, step, "be4c0000", 0)
    for step in plan.steps:
        eventually(
            lambda step=step: doing.gone(cluster, step, "be4c0000"),  # type: ignore[misc]
            within=60,
            every=0.02,
            what="gone",
        )
    return proven - started, time.monotonic() - proven
