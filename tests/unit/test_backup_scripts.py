"""The jobs' scripts and the look at a volume, run here with stand-ins for what they call."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from verify.backups import volumes

ROOT = Path(__file__).parents[2]
BIN = ROOT / "fixtures/images/backup/bin"
LOOK = ROOT / "verify/backups/volume_fingerprint.sh"
# What follows the options and the host is run here.
SSH = 'while [ "$1" != user@there ]; do shift; done; shift; exec bash -c "$*"'
RSYNC = 'for last; do :; done; exec cp -a "$BACKUPS" "${last#*:}"'
LOGIN = {
    "REMOTE": "user@there",
    "REMOTE_HOST_KEY": "ssh-ed25519 AAAA",
    "SSH_KEY_FILE": "/dev/null",
    "POSTGRES_PASSWORD_FILE": "/dev/null",
    "REDIS_PASSWORD_FILE": "/dev/null",
    "POSTGRES_HOST": "db",
    "POSTGRES_DB": "gibd",
    "REDIS_HOST": "redis",
}


def run_job(
    folder: Path, job: str, commands: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a job's script with `commands` in the place of the real ones, below `folder`."""
    (folder / "bin").mkdir()
    for name, script in commands.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    backups = folder / "backups"
    script = (BIN / job).read_text()
    script = script.replace("/dev/shm", str(folder)).replace(" /backups/ ", f" {backups}/ ")
    script = script.replace('"/backups/', f'"{backups}/').replace("cd /backups", f"cd {backups}")
    environment = {
        **LOGIN,
        "REMOTE_PATH": str(folder / "there"),
        "BACKUPS": str(backups),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-c", script, job],
        env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_a_snapshot_is_as_old_as_itself_and_not_as_the_folder_it_copies(tmp_path: Path) -> None:
    for path in ("postgres/last/a.sql.gz", "redis/a.rdb", "volumes/a.tar.gz"):
        (tmp_path / "backups" / path).parent.mkdir(parents=True)
        (tmp_path / "backups" / path).write_bytes(b"")
    long_ago = time.time() - 90 * 86400
    os.utime(tmp_path / "backups", (long_ago, long_ago))
    done = run_job(
        tmp_path, "remote-backup", {"ssh": SSH, "rsync": RSYNC, "gzip": "", "redis-check-rdb": ""}
    )
    assert done.returncode == 0, done.stderr
    (snapshot,) = (tmp_path / "there/snapshots").iterdir()
    assert (snapshot / "redis/a.rdb").exists()
    assert time.time() - snapshot.stat().st_mtime < 60


def test_what_restic_forgot_is_freed_once_a_run(tmp_path: Path) -> None:
    log = f'echo "$@" >>{tmp_path}/log'
    stand_ins = {"restic": log, "redis-cli": f"touch {tmp_path}/redis.rdb", "redis-check-rdb": ""}
    done = run_job(tmp_path, "restic-backup", stand_ins)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert sum(" forget " in call for call in calls) == 4
    assert " prune" in calls[-1]
    assert sum(" prune" in call for call in calls) == 1


def look(folder: Path, *, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"{before}\n{LOOK.read_text()}"],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


# Between the list of the files and their sums, one goes, or cannot be read.
GONE = "sort() {{ {}; command sort -z; }}"


def test_a_file_that_vanishes_while_a_volume_is_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "stays").write_text("x")
    (tmp_path / "goes").write_text("y")
    done = look(tmp_path, before=GONE.format("sleep 0.2; rm goes"))
    assert done.returncode == 0, done.stderr
    facts = volumes.parse_tree(done.stdout, "v")
    assert ("data", "v/stays") in facts
    assert ("data", "v/goes") not in facts


@pytest.mark.parametrize("says", ["sha256sum: ./a: Input/output error", ""])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, says: str) -> None:
    volume, stand_ins = tmp_path / "volume", tmp_path / "bin"
    volume.mkdir()
    stand_ins.mkdir()
    (volume / "a").write_text("x")
    failing = stand_ins / "sha256sum"
    failing.write_text(f"#!/bin/sh\nprintf '%s' '{says}' >&2\nexit 1\n")
    failing.chmod(0o755)
    assert look(volume, before=f"PATH={stand_ins}:$PATH").returncode != 0
