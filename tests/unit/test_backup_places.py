"""Where the newest remote copy is: in `latest`, or the folder itself that the plan mirrors to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from tests.unit.local_machine import LocalConnection
from verify.backups import places


@pytest.fixture
def cluster(tmp_path: Path) -> Any:
    host = Machine("backup-host", LocalConnection())  # type: ignore[arg-type]
    told = SimpleNamespace(host=SimpleNamespace(path=str(tmp_path)))
    return SimpleNamespace(name="c", backup_host=host, inventory=SimpleNamespace(backups=told))


def test_a_mirror_is_the_newest_copy_itself(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    assert places.remote(cluster).path == str(tmp_path)


@pytest.mark.parametrize("target", ["snapshots/1", "gone"])
def test_a_latest_is_followed_also_when_it_leads_nowhere(
    cluster: Any, tmp_path: Path, target: str
) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "snapshots/1").mkdir(parents=True)
    (tmp_path / "latest").symlink_to(target)
    assert places.remote(cluster).path == f"{tmp_path}/latest"


def test_before_the_first_copy_latest_is_awaited(cluster: Any, tmp_path: Path) -> None:
    assert places.remote(cluster).path == f"{tmp_path}/latest"
    (tmp_path / "snapshots").mkdir()
    assert places.remote(cluster).path == f"{tmp_path}/latest"
