"""One twin for all tests on a real cluster, and a way to run real scenarios on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.lifecycle import StandingTwin

ROOT = Path(__file__).parents[2]
#: Tests that run side by side (`pytest -n`) have a twin for each worker.
TWIN = "-".join(filter(None, ("test", os.environ.get("PYTEST_XDIST_WORKER"))))
_RUN_SECONDS = 900


@dataclass(frozen=True)
class Outcome:
    """How a run of features ended."""

    status: int
    output: str
    signoff: dict[str, Any]

    def verdicts(self, criterion: str) -> list[str]:
        """Return the verdicts on a criterion; the whole output is in the failure when none."""
        found = [c["verdict"] for c in self.signoff["criteria"] if c["criterion"] == criterion]
        assert found, f"{criterion!r} is not in the sign-off:\n{self.output}"
        return found

    def reason(self, criterion: str) -> str:
        """Return why a criterion was not met."""
        return "; ".join(
            c["reason"] for c in self.signoff["criteria"] if c["criterion"] == criterion
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield the tests' own twin with the plan's stacks on it."""
    twin = StandingTwin(TWIN, keep=False)
    with twin as found:
        twin.deploy(capabilities.probe(found))
        yield found


@pytest.fixture
def run_features(cluster: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    """Return what runs `pytest` on features against the tests' twin, as a user does."""

    def run(*arguments: str, inventory: Path | None = None) -> Outcome:
        on = ["--inventory", str(inventory)] if inventory else ["--twin", TWIN, "--keep-cluster"]
        reports = tmp_path / "reports"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, *on, "--reports", str(reports)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        signoff = reports / "latest" / "signoff.json"
        assert signoff.exists(), f"no sign-off:\n{done.stdout}\n{done.stderr}"
        return Outcome(done.returncode, done.stdout, json.loads(signoff.read_text()))

    return run
