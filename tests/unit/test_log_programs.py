"""The stand-ins for Loki and Promtail, as programs: on this machine's files and loopback."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from fixtures.stacks.catalogue import FOLDER
from verify.logs.loki import Loki, Span, lines_with

NS = 1_767_225_600_000_000_000  # 2026-01-01
STAMP = "2026-01-01T00:00:00.{:09d}Z"
ALL = Span(0, 1 << 62)


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"stand_in_{name}", FOLDER / f"configs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


loki = program("loki")
promtail = program("promtail")


class Disk:
    """An engine's folder of containers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def container(self, identity: str, service: str = "") -> None:
        (self.root / identity).mkdir()
        labels = {promtail.SERVICE_LABEL: service} if service else None
        config = {"Name": f"/{identity}-name", "Config": {"Labels": labels}}
        (self.root / identity / "config.v2.json").write_text(json.dumps(config))

    def log(self, identity: str) -> Path:
        return self.root / identity / f"{identity}-json.log"

    def write(self, identity: str, *pieces: str, stream: str = "stdout", ns: int = 1) -> None:
        with self.log(identity).open("a") as file:
            for piece in pieces:
                record = {"log": piece, "stream": stream, "time": STAMP.format(ns)}
                file.write(json.dumps(record) + "\n")

    def rotate(self, identity: str) -> None:
        log = self.log(identity)
        first, second = log.with_name(log.name + ".1"), log.with_name(log.name + ".2")
        if first.exists():
            first.rename(second)
        log.rename(first)


class Receiver:
    """Takes batches, or refuses them; a clock that stands still beside it."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refusals = 0
        self.clock = 0.0

    def push(self, batch: list[Any]) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.taken += batch
        return True

    @property
    def lines(self) -> list[str]:
        return [entry.line for entry in self.taken]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    root = tmp_path / "containers"
    root.mkdir()
    disk = Disk(root)
    disk.container("a", "stack_web")
    return disk


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def collector(disk: Disk, receiver: Receiver) -> Any:
    positions = promtail.Positions(disk.root.parent / "positions.json")
    return promtail.Collector(
        disk.root, positions, "gmktec", receiver.push, now=lambda: receiver.clock
    )


def test_a_line_with_its_labels_and_time(disk: Disk, receiver: Receiver) -> None:
    disk.container("b")
    disk.write("a", "one\n", ns=123)
    disk.write("b", "two\n", stream="stderr", ns=456_000_000)
    assert collector(disk, receiver).turn()
    one, two = sorted(receiver.taken, key=lambda entry: entry.ns)
    assert (one.line, one.ns) == ("one", NS + 123)
    assert one.labels == {
        "node": "gmktec",
        "service": "stack_web",
        "container": "a-name",
        "stream": "stdout",
    }
    assert (two.line, two.ns) == ("two", NS + 456_000_000)
    assert two.labels == {"node": "gmktec", "container": "b-name", "stream": "stderr"}


def test_pieces_are_joined_by_stream_and_keep_the_first_one_s_time(
    disk: Disk, receiver: Receiver
) -> None:
    disk.write("a", "x" * 16384, ns=5)
    disk.write("a", "between\n", stream="stderr", ns=6)
    running = collector(disk, receiver)
    running.turn()
    assert receiver.lines == ["between"]
    disk.write("a", "y" * 16384, "end\n", ns=7)
    running.turn()
    assert receiver.lines[1] == "x" * 16384 + "y" * 16384 + "end"
    assert receiver.taken[1].ns == NS + 5


def test_a_line_without_end_is_given_up_waiting_for(disk: Disk, receiver: Receiver) -> None:
    disk.write("a", "killed in mid")
    running = collector(disk, receiver)
    running.turn()
    assert receiver.lines == []
    receiver.clock = 2.0
    running.turn()
    assert receiver.lines == ["killed in mid"]


def test_nothing_is_sent_twice_over_a_restart_and_nothing_lost(
    disk: Disk, receiver: Receiver
) -> None:
    disk.write("a", "one\n")
    collector(disk, receiver).turn()
    disk.write("a", "two\n")
    collector(disk, receiver).turn()
    assert receiver.lines == ["one", "two"]


def test_a_piece_that_was_read_before_a_restart_is_read_again(
    disk: Disk, receiver: Receiver
) -> None:
    disk.write("a", "one\n", "head ")
    collector(disk, receiver).turn()
    disk.write("a", "tail\n")
    collector(disk, receiver).turn()
    assert receiver.lines == ["one", "head tail"]


def test_a_rotated_file_is_read_to_its_end_also_by_one_that_was_away(
    disk: Disk, receiver: Receiver
) -> None:
    disk.write("a", "one\n")
    running = collector(disk, receiver)
    running.turn()
    disk.write("a", "two\n")
    disk.rotate("a")
    disk.write("a", "three\n")
    disk.rotate("a")
    disk.write("a", "four\n")
    later = Receiver()
    collector(disk, later).turn()  # another, from the same positions
    assert later.lines == ["two", "three", "four"]
    while running.turn():
        pass
    assert receiver.lines == ["one", "two", "three", "four"]


def test_what_a_removed_container_said_last_is_read(disk: Disk, receiver: Receiver) -> None:
    disk.write("a", "one\n")
    running = collector(disk, receiver)
    running.turn()
    disk.write("a", "last\n")
    for path in (disk.root / "a").iterdir():
        path.unlink()
    (disk.root / "a").rmdir()
    running.turn()
    assert receiver.lines == ["one", "last"]
    running.turn()
    assert running.containers == {}


def test_a_batch_is_offered_until_it_is_taken(
    disk: Disk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promtail, "BACKOFF_SECONDS", (0.0, 0.0))
    disk.write("a", "one\n", "two\n")
    receiver.refusals = 3
    collector(disk, receiver).turn()
    assert receiver.lines == ["one", "two"]


def test_what_was_not_taken_is_read_again_by_the_next(
    disk: Disk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(promtail.time, "sleep", killed)
    disk.write("a", "one\n")
    receiver.refusals = 1
    with pytest.raises(KeyboardInterrupt):
        collector(disk, receiver).turn()
    collector(disk, receiver).turn()
    assert receiver.lines == ["one"]


def test_a_new_file_with_an_old_one_s_inode_is_read_from_its_beginning(
    disk: Disk, receiver: Receiver
) -> None:
    disk.write("a", "one\n", ns=1)
    collector(disk, receiver).turn()
    text = disk.log("a").read_text().replace("one", "two").replace("1Z", "2Z")
    with disk.log("a").open("r+") as file:
        file.write(text)
    collector(disk, receiver).turn()
    assert receiver.lines == ["one", "two"]


def test_more_than_a_chunk(disk: Disk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promtail, "CHUNK_BYTES", 100)
    monkeypatch.setattr(promtail, "BATCH_BYTES", 300)
    wanted = [f"line {n} {'z' * (n * 7 % 250)}" for n in range(50)]
    disk.write("a", *(f"{line}\n" for line in wanted))
    running = collector(disk, receiver)
    while running.turn():
        pass
    assert receiver.lines == wanted


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Loki, str]]:
    store = loki.Store(str(tmp_path / "store.sqlite"))
    handler = type("Serving", (loki.Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with httpx.Client(base_url=url, timeout=5) as client:
        yield Loki(client), url
    server.shutdown()
    server.server_close()
    thread.join()
    store.close()


def entry(line: str, ns: int = NS, **labels: str) -> Any:
    return promtail.Entry(labels or {"node": "gmktec", "service": "s"}, ns, line)


def test_what_the_collector_pushes_loki_gives_to_who_asks(served: tuple[Loki, str]) -> None:
    asked, url = served
    push = promtail.Pusher(url)
    assert asked.ready()
    assert push([entry("one öü😀", NS + 1), entry('two "q" \\'), entry("one öü😀", node="hpr")])
    found = asked.entries(lines_with("one", node="gmktec"), ALL)
    assert [(e.text, e.ns, e.labels) for e in found] == [
        ("one öü😀", NS + 1, {"node": "gmktec", "service": "s"})
    ]
    assert [e.text for e in asked.entries(lines_with('"q" \\', node="gmktec"), ALL)] == [
        'two "q" \\'
    ]
    assert len(asked.entries(lines_with("öü"), ALL)) == 2
    assert asked.entries(lines_with("öü"), Span(NS + 2, NS + 3)) == []
    assert asked.values("node", ALL) == {"gmktec", "hpr"}
    assert asked.values("service", ALL) == {"s"}


def test_an_entry_that_is_pushed_again_is_kept_once(served: tuple[Loki, str]) -> None:
    asked, url = served
    push = promtail.Pusher(url)
    assert push([entry("one"), entry("one", NS + 1)])
    assert push([entry("one")])
    assert len(asked.entries(lines_with("one"), ALL)) == 2


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ('{node="gmktec"}', 2),
        ('{node=~"gm.*", service="s"} |= `t` != "ne"', 1),
        ('{node!="hpr", service=~".+"}', 2),
        ('{node="gmktec", service!~"s|t"}', 0),
    ],
)
def test_selectors_and_filters(served: tuple[Loki, str], query: str, count: int) -> None:
    asked, url = served
    assert promtail.Pusher(url)([entry("tone"), entry("two"), entry("x", node="hpr")])
    assert len(asked.entries(query, ALL)) == count


@pytest.mark.parametrize(
    "query", ["", "node", "{}", '{node=~".*"}', '{node!="x"}', '{node="x"} | json', '{node="x"']
)
def test_what_loki_refuses(served: tuple[Loki, str], query: str) -> None:
    _, url = served
    answer = httpx.get(f"{url}/loki/api/v1/query_range", params={"query": query})
    assert answer.status_code == 400


def test_pushes_that_are_none(served: tuple[Loki, str]) -> None:
    _, url = served
    to = f"{url}/loki/api/v1/push"
    assert httpx.post(to, content=b"x").status_code == 415
    for body in ({}, {"streams": [{"stream": {}, "values": []}]}, {"streams": [{}]}):
        assert httpx.post(to, json=body).status_code == 400


def test_the_store_outlives_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    store = loki.Store(path)
    store.push([('{"node": "a"}', [(1, "kept")])])
    del store  # not closed: as after SIGKILL
    again = loki.Store(path)
    assert again.query('{node="a"}', 0, 2, 10, forward=True) == [({"node": "a"}, [("1", "kept")])]
    again.close()


def test_a_loki_that_cannot_be_reached_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    push = promtail.Pusher("http://127.0.0.1:9")
    assert not push([entry("one")])
    assert not push([entry("one")])
    assert capsys.readouterr().err.count("trying on") == 1
