"""What must not pass as the whole plan: everything is broken at once, and each has to be seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks import catalogue
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import ROOT, TWIN, Outcome

RunFeatures = Callable[..., Outcome]
FEATURES = ROOT / "features" / "plan"

#: Full name → how `docker service update` breaks it.
SABOTAGES = {
    "mailcow_mailcow-sogo": "--replicas 0",
    "backup-coordinator_bacula-director": (
        "--constraint-rm 'node.hostname == wsasus' --constraint-add node.hostname==hppavilion"
    ),
    "frontends_ddg-bff": (
        "--update-failure-action continue --entrypoint sh --args '-c \"standin & sleep 7; exit 1\"'"
    ),
    "infrastructure_oauth2-proxy": "--env-add SERVICE_NAME=keycloak",
    "appwrite_appwrite-console": "--limit-memory 0",
    "staging_staging-appwrite": "--reserve-memory 700M --limit-memory 800M",
    "staging_staging-frontend": "--network-add database",
    "staging_staging-traefik": "--secret-add mailcow_db_password",
}


@pytest.fixture(scope="module")
def broken(cluster: Cluster) -> Iterator[None]:
    """Have the whole plan on the twin, with all of that done to it."""
    twin = StandingTwin(TWIN, keep=True)
    with twin as own:
        stacks = OnDemandStacks(twin, own, capabilities.probe(own))
        try:
            stacks.stand_together(catalogue.PLAN)
            leader = own.leader()
            updates = [
                f"docker service update --quiet --detach {change} {name}"
                for name, change in SABOTAGES.items()
            ]
            before = own.snapshot()
            leader.run(" && ".join(updates), timeout=60)
            eventually(
                lambda: _all_changed(before, own.snapshot()), within=60, what="all to be broken"
            )
            yield
        finally:
            stacks.remove()


def _all_changed(before: Snapshot, now: Snapshot) -> bool | Pending:
    """Whether each has a task that was not there before and runs, or none where none is wanted."""
    old = {task.id for task in before.tasks}
    left = []
    for name in SABOTAGES:
        running = [t for t in now.tasks_of(name) if t.running]
        if name == "mailcow_mailcow-sogo":
            changed = not running
        else:
            changed = bool(running) and not {t.id for t in running} & old
        if not changed and "ddg-bff" not in name:  # that one runs for seconds only
            left.append(name)
    return not left or Pending(f"{', '.join(left)} not yet")


@pytest.fixture
def alone() -> Iterator[Callable[[], str]]:
    """Yield what writes each Then of the plan's scenarios as a scenario of its own.

    The first thing missed ends a scenario, and here several are to be seen.
    """
    reports = ROOT / "reports"
    reports.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=reports) as folder:

        def write() -> str:
            path = Path(folder) / "sabotage.feature"
            parts = [_apart(file) for file in sorted(FEATURES.glob("*.feature"))]
            path.write_text("Feature: Sabotage\n\n" + "\n".join(parts), encoding="utf-8")
            return str(path)

        yield write


def _apart(file: Path) -> str:
    """Return a scenario for each Then of the file's only one, watching no longer than it needs."""
    text = file.read_text(encoding="utf-8").split("Scenario: ")[1]
    title, *lines = text.splitlines()
    steps: list[list[str]] = []
    for line in lines:
        if line.strip().startswith("|"):
            steps[-1].append(line)
        elif line.strip() and not line.strip().startswith("#"):
            steps.append([line])
    first = next(i for i, s in enumerate(steps) if s[0].strip().startswith("Then "))
    given, asked = steps[:first], steps[first:]
    if "these stacks run on" in asked[0][0]:
        given.append(asked[0])  # it says which services the others speak of
    scenarios = []
    for number, step in enumerate(asked):
        if "reported" in step[0] or (step in given and number):
            continue
        seconds = "10" if "restarted" in step[0] else "1"
        before = [one for one in given if one is not step]
        last = [step[0].replace("And ", "Then ", 1), *step[1:]]
        body = "\n".join(line for one in (*before, last) for line in one)
        body = body.replace("watched for 15 seconds", f"watched for {seconds} seconds")
        scenarios.append(f"  Scenario: {title} {number}\n{body}\n")
    return "\n".join(scenarios)


def test_everything_that_is_broken_is_seen(
    broken: None, run_features: RunFeatures, alone: Callable[[], str]
) -> None:
    outcome = run_features(alone())
    assert outcome.status == 1
    for criterion, told in (
        ("services of the plan run, healthy", "mailcow_mailcow-sogo: 0 of 1 tasks run"),
        ("containers of the plan in their places", "bacula-director runs on hppavilion"),
        ("containers that restart", "frontends_ddg-bff"),
        ("services answer as themselves", "oauth2-proxy answers as 'keycloak'"),
        ("services with a memory limit", "appwrite_appwrite-console has no memory limit"),
        ("reserved memory within the budget", "hpr: "),
        ("memory limits fit the servers", "hpr: "),
        ("networks shared by staging and production", "staging_staging-frontend and production's"),
        ("secrets shared by staging and production", "staging-traefik has the secret mailcow_db"),
        (
            "production's databases out of staging's reach",
            "staging_staging-frontend connects to",
        ),
    ):
        assert outcome.verdicts(criterion) == ["missed"], outcome.output
        assert told in outcome.reason(criterion)
    # What was left whole is not blamed with the rest.
    assert set(outcome.verdicts("staging and production on their own servers")) == {"met"}
    assert outcome.verdicts("production finds room without a server") == ["met"]
