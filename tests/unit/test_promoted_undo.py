"""The undo of a promotion throws a database away: only when another one leads."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.fault import Shell
from tests.unit.test_chaos_faults import ANSWERS, plan_of

DOCKER = """#!/bin/sh
case "$1" in
 ps) echo c1 ;;
 inspect) echo {pid} ;;
 exec) case "$*" in *PEER*) exit {peer} ;; *) echo f ;; esac ;;
esac
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "pgdata"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("17")
    return folder


@pytest.fixture
def server() -> Iterator[int]:
    """A process whose /proc/PID/root is this machine's own root folder."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def undone(data: Path, server: int, *, peer: int) -> subprocess.CompletedProcess[str]:
    """Run the undo itself, with an engine that answers as `peer` (exit status) makes it."""
    answers = {"readlink": str(data), **ANSWERS}
    (step,) = plan_of("data.replica-promoted", {"service": "db"}, answers=answers).steps
    assert isinstance(step, Shell)
    docker = data.parent / "docker"
    docker.write_text(DOCKER.format(pid=server, peer=peer))
    docker.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", step.undo],
        env={"PATH": f"{data.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_is_thrown_away_while_no_other_server_leads(data: Path, server: int) -> None:
    done = undone(data, server, peer=1)
    assert done.returncode == 1
    assert "only copy" in done.stderr
    assert (data / "PG_VERSION").exists()


def test_the_copy_goes_when_another_server_leads(data: Path, server: int) -> None:
    assert undone(data, server, peer=0).returncode == 0
    assert not data.exists()
