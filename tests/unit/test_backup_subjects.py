"""Where a restore is tried, and what of trying it says something of the backup."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CannotProve, CutoverError, Unreachable
from fixtures.waiting import Pending
from tests.unit.builders import Clock
from tests.unit.local_machine import LocalConnection
from verify.backups import isolated, redis
from verify.backups.isolated import Container
from verify.backups.names import Backup, Kind
from verify.backups.observed import Watched
from verify.backups.store import Store, Unreadable
from verify.backups.subjects import RedisSubject, another_node

MADE = datetime(2026, 1, 1, tzinfo=UTC)


class Node:
    """One that has images, or is away."""

    has_power = True

    def __init__(self, name: str, *images: str, away: bool = False) -> None:
        self.name, self.images, self.away = name, images, away

    def run(self, command: str, **_: object) -> Any:
        if self.away:
            raise Unreachable("gone", where=self.name)
        image = command.split()[-1]
        known = image in self.images
        return SimpleNamespace(rc=int(not known), stdout=f"redis@{image}\n" if known else "")


HOME = Node("home", "sha256:1")
SUBJECT: Any = SimpleNamespace(home=lambda: HOME, image=lambda: "sha256:1")


def chosen(*nodes: Node) -> str:
    cluster: Any = SimpleNamespace(name="c", nodes={node.name: node for node in nodes})
    return another_node(cluster, SUBJECT).name


def test_a_restore_goes_where_its_image_is() -> None:
    assert chosen(HOME, Node("bare"), Node("good", "sha256:1")) == "good"
    assert chosen(HOME, Node("away", away=True), Node("good", "sha256:1")) == "good"


def test_without_the_image_nothing_is_proved_and_it_is_said_what_to_pull() -> None:
    with pytest.raises(CannotProve, match="docker pull redis@sha256:1"):
        chosen(HOME, Node("bare"))


def test_a_node_that_is_away_may_have_the_image() -> None:
    with pytest.raises(Unreachable):
        chosen(HOME, Node("away", away=True))


def test_a_server_that_does_not_start_in_time_says_nothing_of_the_backup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fixtures.waiting.time", Clock())
    node: Any = SimpleNamespace(name="n", run=lambda *_, **__: SimpleNamespace(stdout="out of it"))
    with pytest.raises(CutoverError, match="out of it"):
        isolated.started(lambda: Pending("slow"), Container(node, "c"), what="it", log="logs")


@pytest.mark.parametrize(
    ("error", "counts"), [(Unreadable("torn"), True), (CommandFailed("no such image"), False)]
)
def test_only_what_cannot_be_read_is_a_fault_of_the_backup(
    error: CutoverError, counts: bool
) -> None:
    @contextlib.contextmanager
    def restored(*_: object, **__: object) -> Iterator[None]:
        raise error
        yield

    def look(*_: object, **__: object) -> None:
        raise error

    subject: Any = SimpleNamespace(look=look, restored=restored, kind=Kind.REDIS, database="")
    any_thing: Any = None
    watched = Watched(subject, any_thing, 1.0, since=MADE, backup=Backup(MADE, Kind.REDIS, "x"))
    expected = contextlib.nullcontext() if counts else pytest.raises(CommandFailed)
    with expected:
        assert watched.look(any_thing, node=any_thing) == ["torn"]
    expected = contextlib.nullcontext() if counts else pytest.raises(CommandFailed)
    with expected:
        assert watched.restore(any_thing, node=any_thing).problems == ["torn"]


def test_the_mark_is_looked_for_in_the_bytes_of_a_dump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a shell here."""
    check = tmp_path / "redis-check-rdb"
    check.write_text("#!/bin/sh\necho 'RDB looks OK'\n")
    check.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    class Here:
        def command(self, *arguments: str) -> str:
            return shlex.join(arguments).replace("/tmp/dump.rdb", f"{tmp_path}/dump.rdb")

    here: Any = Here()
    monkeypatch.setattr(redis, "isolated", lambda *_, **__: contextlib.nullcontext(here))
    store = Store(Machine("here", LocalConnection()), str(tmp_path))  # type: ignore[arg-type]
    any_node: Any = store.node
    (tmp_path / "dump").write_bytes(b"REDIS0012\0\xff" + redis.MARK.encode() + b"abc\0\xfe")
    dump = Backup(MADE, Kind.REDIS, "dump")

    def marked(mark: str) -> bool:
        return redis.check_dump(store, dump, node=any_node, image="i", mark=mark).marked

    assert marked("abc")
    assert not marked("abd")
    source: Any = SimpleNamespace(has_mark=lambda mark: mark == "abd")
    subject = RedisSubject(source)
    monkeypatch.setattr(RedisSubject, "image", lambda self: "i")

    def lacks(mark: str) -> bool:
        told = subject.look(store, dump, {}, node=any_node, mark=mark).problems
        return any("it lacks a key" in problem for problem in told)

    assert not lacks("abc")
    assert lacks("abd")
    assert not lacks("abe"), "a full cache has thrown it out"
    assert not marked("")


def test_a_mark_that_is_refused_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-cli ends well all the same, and nothing would be looked for in any dump."""
    source = redis.Redis(None, "data_redis")  # type: ignore[arg-type]
    monkeypatch.setattr(redis.Redis, "cli", lambda self, command: "OK\n")
    assert len(source.mark()) == 32
    readonly = "READONLY You can't write against a read only replica."
    monkeypatch.setattr(redis.Redis, "cli", lambda self, command: f"{readonly}\n")
    with pytest.raises(CutoverError, match="takes no mark: READONLY"):
        source.mark()
