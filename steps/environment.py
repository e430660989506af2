"""What scenarios stand on: the cluster, its stacks, the faults, the clients."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.ledger import Ledger
from chaos.session import Chaos, heal_earlier
from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.opening import cluster_name, opened, source_of
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.engine import find
from fixtures.errors import CutoverError
from load import findings
from load.availability import REQUEST_SECONDS, AvailabilityProbe
from load.checks import Target
from signoff import evidence
from verify.steady import await_steady, task_story, unsteady

RECOVERY_SECONDS = 300.0
_ON_DEMAND = pytest.StashKey[OnDemandStacks]()

STANDINGS = {
    "edge": "HAProxy stands where the plan has Traefik",
    "ws-gateway, ws-company, ws-trades, ws-news, ws-discovery": "one small web service stands for "
    "each; it speaks real HTTP and reads and writes PostgreSQL",
    "PostgreSQL, PgBouncer, Redis": "real, Debian's packages",
}


@pytest.fixture(scope="session")
def standing_twin(pytestconfig: pytest.Config) -> StandingTwin | None:
    """Return the twin to stand up, or None when an inventory names servers."""
    if pytestconfig.option.inventory is not None:
        return None
    return StandingTwin(pytestconfig.option.twin, keep=pytestconfig.option.keep_cluster)


@pytest.fixture(scope="session")
def cluster(
    pytestconfig: pytest.Config, standing_twin: StandingTwin | None, run: Any
) -> Iterator[Cluster]:
    """Yield the cluster under test; a twin goes down in the end unless it is to be kept."""
    with ExitStack() as stack:
        try:
            option = pytestconfig.option
            source = source_of(twin=option.twin, inventory=option.inventory)
            found = stack.enter_context(healed(source, standing_twin))
            run.cluster = found.name
            versions = {n.hostname: n.engine_version for n in found.snapshot().nodes}
        except CutoverError as error:
            pytest.exit(f"error: {error}", returncode=4)
        run.environment |= {f"engine on {name}": version for name, version in versions.items()}
        yield found


@contextmanager
def healed(source: str, standing_twin: StandingTwin | None) -> Iterator[Cluster]:
    """Yield the cluster behind `source` with what an earlier run left in force undone first.

    A twin whose engine died as well (the machine was restarted) is stood up before that: until
    then there is nothing to undo it on. Raises `CutoverError`.
    """
    stands = standing_twin is None or find() is not None
    if stands:
        _heal_what_was_left(source)
    with standing_twin or opened(source) as cluster:
        if not stands:
            _heal_what_was_left(source)
        yield cluster


def _heal_what_was_left(source: str) -> None:
    """Undo what an earlier run left in force, before this one begins. Raises `CutoverError`."""
    ledger = Ledger.of(cluster_name(source), source)
    if not ledger.open():
        return
    with opened(source) as cluster:
        healing = heal_earlier(cluster, ledger)
    # A twin that cannot be healed is rebuilt; servers have to be put right by their owner.
    if healing is not None and not cluster.is_twin:
        healing.raise_failures()


@pytest.fixture(scope="session")
def deployed(cluster: Cluster, standing_twin: StandingTwin | None, run: Any) -> None:
    """Deploy the plan's stacks on a twin; servers have theirs already."""
    found = capabilities.probe(cluster)
    run.notes += found.notes()
    run.environment["endpoint mode"] = found.endpoint_mode
    run.environment["port mode"] = found.port_mode
    run.notes.append(
        "Clients ask every node at once and take the first right answer: that clients find the "
        "node with the edge (DNS, a floating address) is not tested."
    )
    if standing_twin is None:
        return
    run.standins |= STANDINGS
    standing_twin.deploy(found)


@pytest.fixture(scope="session")
def on_demand(
    pytestconfig: pytest.Config,
    cluster: Cluster,
    standing_twin: StandingTwin | None,
    deployed: None,
) -> Iterator[OnDemandStacks | None]:
    """Yield what puts further stacks on a twin, or None: servers have theirs already.

    They are removed when the scenarios of one folder of features are over.
    """
    if standing_twin is None:
        yield None
        return
    stacks = OnDemandStacks(standing_twin, cluster, capabilities.probe(cluster))
    pytestconfig.stash[_ON_DEMAND] = stacks
    yield stacks
    stacks.remove()  # after the last scenario the hook comes when the cluster is closed


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Remove stacks on demand before scenarios of another folder, which they could disturb."""
    stacks = item.config.stash.get(_ON_DEMAND, None)
    if stacks is not None and nextitem is not None and nextitem.path.parent != item.path.parent:
        stacks.remove()


@pytest.fixture
def chaos(pytestconfig: pytest.Config, cluster: Cluster) -> Iterator[Chaos]:
    """Yield the scenario's faults; afterwards they are healed and the cluster proven steady."""
    faults = Chaos(
        cluster,
        Ledger.of(cluster.name, cluster.source),
        steady=lambda: unsteady(cluster),
        allowed_cluster=pytestconfig.option.allow_chaos,
    )
    yield faults
    faults.close()
    if faults.happened:
        await_steady(cluster, within=RECOVERY_SECONDS)


@pytest.fixture
def start_clients(
    cluster: Cluster, chaos: Chaos, run: Any, measure: Any, tmp_path: Path
) -> Iterator[Callable[..., AvailabilityProbe]]:
    """Yield what starts clients; in the end they stop and what they saw is attached."""
    with ExitStack() as stack:
        started: list[AvailabilityProbe] = []

        def start(
            targets: Sequence[Target], rate: float, *, timeout: float = REQUEST_SECONDS
        ) -> AvailabilityProbe:
            probe = stack.enter_context(AvailabilityProbe(targets, rate, tmp_path, timeout=timeout))
            started.append(probe)
            measure.evidence.append(evidence.timeline_name(measure.scenario))
            return probe

        yield start
        for probe in started:
            probe.stop()
            probe.windows = chaos.windows()
            evidence.attach_clients(measure.scenario, run.folder, probe, findings.phase_rows(probe))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what Swarm and the engines say of a scenario that failed, before it is healed."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if call.when == "call" and report.failed and isinstance(cluster, Cluster):
        evidence.attach_story(lambda: task_story(cluster), "What Swarm says of its tasks")
        for node in cluster.nodes.values():
            if node.has_power:
                evidence.attach_story(node.engine_log, f"Engine log of {node.name}, last lines")
    return report
