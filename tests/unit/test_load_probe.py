"""The probe as a real process, against a server on 127.0.0.1 that does as it is told."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually
from load import findings, http10, samples
from load.availability import AvailabilityProbe
from load.checks import Target, verdict
from load.outages import outages

ROOT = Path(__file__).parents[2]
RATE = 10
RIGHT = b'{"service": "shop", "node": "m1"}'
LONG = b'{"service": "shop"}'
ANSWERS = {
    "good": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(RIGHT), RIGHT),
    "wrong": b"HTTP/1.1 200 OK\r\n\r\nmaintenance",
    "error": b"HTTP/1.1 500 Oops\r\n\r\n" + RIGHT,
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + LONG,
    "nothing": b"",
}


class Server(socketserver.ThreadingTCPServer):
    """Answers as `mode` says: a key of ANSWERS, or `stall`."""

    allow_reuse_address = True
    daemon_threads = True
    mode = "good"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        self.request.recv(4096)
        while server.mode == "stall":
            time.sleep(0.005)
        self.request.sendall(ANSWERS[server.mode])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.mode = "good"
        server.shutdown()


def target(*urls: str) -> Target:
    return Target("shop", {f"n{i}": url for i, url in enumerate(urls)}, "service", "shop")


def wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    eventually(
        lambda: time.monotonic() >= end or Pending("waiting"), within=seconds + 5, what="time"
    )


def test_an_outage_is_measured_within_its_stated_error(server: Server, tmp_path: Path) -> None:
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
        server.mode, down = "error", time.monotonic()
        wait(1.5)
        server.mode, up = "good", time.monotonic()
        probe.wait_until_good(n=8, within=20)
    (outage,) = outages(probe.samples("shop"))
    assert outage.seconds is not None
    assert abs(outage.seconds - (up - down)) <= outage.error + 0.05
    assert probe.samples("shop")[0].served_by == "m1"


def test_a_stall_fails_every_request_that_was_due_in_it(server: Server, tmp_path: Path) -> None:
    """A closed loop would send one request, wait for it, and report one slow answer."""
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
        server.mode = "stall"
        wait(3)
        server.mode = "good"
        probe.wait_until_good(n=5, within=20)
    seen = probe.samples("shop")
    slow = [sample for sample in seen if not sample.ok or sample.latency > 0.5]
    assert 20 <= len(slow) <= 35
    assert findings.objections(probe) == []


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("wrong", "wrong body: b'maintenance'"),
        ("error", "status 500"),
        ("cut", "cut off"),
        ("nothing", "closed without an answer"),
        ("stall", "timeout"),
    ],
)
def test_what_is_not_the_right_answer_is_bad(
    server: Server, tmp_path: Path, mode: str, said: str
) -> None:
    server.mode = mode
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        eventually(
            lambda: len(probe.samples("shop")) >= 3 or Pending("few"), within=20, what="samples"
        )
    server.mode = "good"
    assert not any(sample.ok for sample in probe.samples("shop"))
    problems, asked = findings.wrong_answers(probe)
    assert asked >= 3
    assert said in problems[0]


def test_one_entry_that_answers_is_enough(server: Server, tmp_path: Path) -> None:
    with AvailabilityProbe([target("http://127.0.0.1:9/", server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
    assert probe.samples("shop")[0].entries["n1"] == "ok"


def test_a_target_that_never_existed_is_never_good(tmp_path: Path) -> None:
    with AvailabilityProbe([target("http://127.0.0.1:9/")], RATE, tmp_path) as probe:
        with pytest.raises(NeverTrue, match="refused"):
            probe.wait_until_good(n=5, within=3)
        assert findings.good_share(probe, "shop", 2)[0] == 0


def test_a_probe_that_ended_by_itself_is_an_error(server: Server, tmp_path: Path) -> None:
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=2, within=20)
        assert probe._process is not None
        probe._process.kill()
        probe._process.wait(timeout=5)
        with pytest.raises(CutoverError, match="ended by itself"):
            probe.wait_until_good(n=2, within=5)


def test_the_probe_ends_with_its_parent(server: Server, tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from load.availability import AvailabilityProbe
from load.checks import Target
target = Target("shop", {{"n": {server.url!r}}}, "service", "shop")
with AvailabilityProbe([target], 10, Path({str(tmp_path)!r})) as probe:
    probe.wait_until_good(n=2, within=20)
    print(probe._process.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(timeout=10)

    def gone() -> bool | Pending:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z" or Pending("the probe still runs")

    eventually(gone, within=10, what="probe ended")
    assert samples.read(tmp_path / "samples.jsonl")


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    whole = samples.Sample("shop", 1.0, 1.0, 1.1, True, {}).as_line()
    file = tmp_path / "samples.jsonl"
    file.write_text(whole + "\n" + whole[:20])
    assert len(samples.read(file)) == 1
    file.write_text(whole[:20] + "\n" + whole + "\n")
    with pytest.raises(json.JSONDecodeError):
        samples.read(file)


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0"],
)
def test_what_is_no_answer_is_told(answer: bytes) -> None:
    with pytest.raises(http10.BadAnswer):
        http10.parse(answer)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"service": "shop", "node": "m1"}', ("ok", "m1")),
        (200, b'{"service": "other"}', ('wrong body: b\'{"service": "other"}\'', "")),
        (200, b"[]", ("wrong body: b'[]'", "")),
        (503, b'{"service": "shop"}', ("status 503", "")),
    ],
)
def test_only_the_right_content_is_right(status: int, body: bytes, said: tuple[str, str]) -> None:
    assert verdict(target("http://x"), status, body) == said
