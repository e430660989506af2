"""In which order a run heals what an earlier one left and stands its twin up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.ledger import Ledger, Owner
from fixtures.cluster.opening import cluster_name
from fixtures.errors import CutoverError
from steps import environment
from tests.unit.chaos_builders import ChaosCluster, Plan, breaking

SOURCE = "twin:restarted"


class Twin:
    """Stands the given cluster up, and keeps in `happened` what was done, in order."""

    def __init__(self, cluster: ChaosCluster, happened: list[str]) -> None:
        self.cluster = cluster
        self.happened = happened

    def __enter__(self) -> ChaosCluster:
        self.happened.append("up")
        return self.cluster

    def __exit__(self, *_: object) -> None:
        self.happened.append("down")


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Twin:
    """A twin on which an earlier run left one fault in force."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done: list[str] = []
    cluster = ChaosCluster()
    monkeypatch.setattr(cluster, "is_twin", True, raising=False)
    ledger = Ledger.of(cluster_name(SOURCE), SOURCE)
    ledger.intend("id-z", "theirs", Plan((breaking("z"),), frozenset({"m1"})), Owner(1, 1))
    cluster.broken.add("z")

    @contextmanager
    def opened(_: str) -> Iterator[ChaosCluster]:
        if environment.find() is None and not done:
            raise CutoverError("no Docker engine answers")
        done.append("opened")
        yield cluster
        done.append("healed" if not cluster.broken else "not healed")

    monkeypatch.setattr(environment, "opened", opened)
    return Twin(cluster, done)


def run(monkeypatch: pytest.MonkeyPatch, twin: Twin | None, *, engine: str | None) -> None:
    monkeypatch.setattr(environment, "find", lambda: engine)
    standing: Any = twin
    with environment.healed(SOURCE, standing):
        pass


def test_a_standing_twin_is_healed_before_it_is_looked_after(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, twin, engine="unix:///there")
    assert twin.happened == ["opened", "healed", "up", "down"]


def test_after_a_restart_of_the_machine_the_twin_is_stood_up_first(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, twin, engine=None)
    assert twin.happened == ["up", "opened", "healed", "down"]


def test_servers_are_healed_and_never_stood_up(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, None, engine="unix:///there")
    assert twin.happened == ["opened", "healed", "opened", "healed"]
