"""A store: listed, its newest backup awaited, its bytes sent; here by a local shell."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import RemoteTimeout, Unreachable
from fixtures.waiting import Pending
from tests.unit.local_machine import LocalConnection
from verify.backups.names import Backup, Kind
from verify.backups.store import NothingThere, Store, Unreadable

HERE = Machine("here", LocalConnection())  # type: ignore[arg-type]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "redis").mkdir()
    return Store(HERE, str(tmp_path))


def put(store: Store, taken: datetime, *, quiet: float = 60) -> str:
    path = f"redis/redis-{taken:%Y%m%d-%H%M%S}.rdb"
    file = Path(store.path) / path
    file.write_bytes(b"dump")
    written = store.now().timestamp() - quiet
    os.utime(file, (written, written))
    return path


def test_a_folder_that_is_not_there_is_nothing(store: Store) -> None:
    with pytest.raises(NothingThere):
        Store(HERE, f"{store.path}/missing").entries()


def test_a_link_to_nothing_is_nothing_and_one_to_a_folder_is_that(store: Store) -> None:
    root = Path(store.path)
    (root / "latest").symlink_to("gone")
    with pytest.raises(NothingThere):
        Store(HERE, f"{root}/latest").entries()
    put(store, NOON)
    (root / "good").symlink_to(".")
    assert len(Store(HERE, f"{root}/good").backups(Kind.REDIS)) == 1


def test_a_folder_that_cannot_be_read_whole_is_not_one_that_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "find").write_text("#!/bin/sh\necho find: lost+found: denied >&2; exit 1\n")
    (programs / "find").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(CommandFailed, match=r"lost\+found: denied.*must be readable"):
        store.entries()


def test_the_first_begun_after_a_moment_is_awaited(store: Store) -> None:
    put(store, NOON)
    waiting = store.begun_after(NOON, Kind.REDIS)
    assert isinstance(waiting, Pending)
    assert "no redis backup" in waiting.reason
    first = put(store, NOON + timedelta(seconds=20))
    put(store, NOON + timedelta(seconds=40))
    found = store.begun_after(NOON, Kind.REDIS)
    assert isinstance(found, Backup)
    assert found.path == first


def test_one_of_the_same_second_may_have_begun_before(store: Store) -> None:
    put(store, NOON)
    assert isinstance(store.begun_after(NOON + timedelta(seconds=0.5), Kind.REDIS), Pending)


def test_one_that_is_being_written_is_no_backup_yet(store: Store) -> None:
    put(store, NOON + timedelta(seconds=20), quiet=0)
    waiting = store.begun_after(NOON, Kind.REDIS)
    assert isinstance(waiting, Pending)
    assert "being written" in waiting.reason


def test_a_dump_without_its_roles_is_no_backup_yet(store: Store) -> None:
    last = Path(store.path) / "postgres" / "last"
    last.mkdir(parents=True)
    old = store.now().timestamp() - 60
    for name in ("globals-20260101-115959", "gibd-20260101-120001"):
        (last / f"{name}.sql.gz").write_bytes(b"dump")
        os.utime(last / f"{name}.sql.gz", (old, old))
    waiting = store.begun_after(NOON, Kind.POSTGRES, "gibd")
    assert isinstance(waiting, Pending)
    assert "no roles are saved with" in waiting.reason
    (last / "globals-20260101-120001.sql.gz").write_bytes(b"dump")
    assert isinstance(store.begun_after(NOON, Kind.POSTGRES, "gibd"), Backup)


def test_bytes_are_sent_to_a_command(store: Store) -> None:
    path = put(store, NOON)
    done = store.send(path, HERE, "wc -c", timeout=10)
    assert (done.rc, done.stdout.strip()) == (0, "4")


def test_a_file_that_cannot_be_read_is_an_error_and_not_empty(store: Store) -> None:
    with pytest.raises(Unreadable, match="cannot read"):
        store.send("redis/none.rdb", HERE, "wc -c", timeout=10)


def test_a_command_that_takes_too_long_says_nothing_of_the_file(store: Store) -> None:
    with pytest.raises(RemoteTimeout):
        store.send(put(store, NOON), HERE, "sleep 9", timeout=0.3)


@pytest.mark.parametrize("command", ["cat", "cat; exit 1"])
def test_a_store_that_cannot_be_reached_says_nothing_of_the_file(
    store: Store, command: str
) -> None:
    class Lost(LocalConnection):
        def popen(self, command: str, **options: Any) -> subprocess.Popen[bytes]:
            return super().popen("exit 255", **options)

    away = Store(Machine("away", Lost()), store.path)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        away.send(put(store, NOON), HERE, command, timeout=10)


def test_a_command_that_refuses_early_is_reported_as_it_ended(store: Store) -> None:
    path = put(store, NOON)
    (Path(store.path) / path).write_bytes(b"x" * 2_000_000)
    done = store.send(path, HERE, "echo no >&2; exit 3", timeout=10)
    assert (done.rc, done.stderr.strip()) == (3, "no")
