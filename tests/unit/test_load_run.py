"""The load generator as the harness runs it, before small servers on 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.load_truth import truth_server
from bench.truth import true_latencies
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from load.entries import answering, by_entry
from load.outages import longest_silence
from load.percentiles import percentile
from load.results import failures, response_time
from load.run import LoadRun
from load.traffic import Route, Traffic, steady
from tests.unit.load_builders import GOOD_BODY, ScriptedServer

ROOT = Path(__file__).parents[2]
RATE = 40


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    found = ScriptedServer()
    yield found
    found.close()


def traffic(**changes: Any) -> Traffic:
    return Traffic.model_validate(
        {
            "name": "shop",
            "timeout": 1,
            "routes": [{"name": "shop", "path": "/", "key": "service", "value": "shop"}],
            "shapes": {"x": {"kind": "steady", "rate": 1, "seconds": 1}},
            **changes,
        }
    )


def load_of(url: str, tmp_path: Path, seconds: float = 300, **options: Any) -> LoadRun:
    profile = options.pop("profile", traffic())
    entries = options.pop("entries", {"n1": url})
    return LoadRun(profile, steady(RATE, seconds), entries, tmp_path / "load", **options)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_stall_cannot_be_hidden(tmp_path: Path) -> None:
    """A closed loop sends a request or two into it, and reports a p95 of some milliseconds."""
    service, stall = 0.02, 2.0
    profile = traffic(
        timeout=10, routes=[{"name": "t", "path": "/", "key": "service", "value": "truth"}]
    )
    with truth_server(service, [(2.0, stall)], 60) as server:
        with LoadRun(profile, steady(RATE, 8), {"n1": server.url}, tmp_path / "load") as load:
            load.wait_end()
        server.read_stalls(1)
    samples = load.all_samples()
    assert [s.seq for s in samples] == list(range(RATE * 8))
    true = true_latencies([s.due for s in samples], service, server.stalls)
    found = response_time(samples, 95, 10)
    assert abs(found.value - percentile(true, 95)) <= found.error + 0.1
    assert found.value > 1
    silence = longest_silence(samples)
    assert silence is not None
    assert abs(silence.seconds - stall) <= silence.error + 0.15
    assert load.page.exists()


def test_processes_share_the_rate(server: ScriptedServer, tmp_path: Path) -> None:
    with load_of(server.url, tmp_path, 2, processes=2) as load:
        load.wait_end()
    assert len(list(load.folder.glob("requests-*.msgpack"))) == 2
    samples = load.all_samples()
    assert [s.seq for s in samples] == list(range(RATE * 2))
    assert all(s.ok for s in samples), failures(samples)
    # One clock for both: request i is due at t0 + i / rate, whoever sends it.
    assert samples[-1].due - samples[0].due == pytest.approx((RATE * 2 - 1) / RATE, abs=0.05)


BEHAVIOURS = {
    "good": "ok",
    "open": "ok",
    "wrong": "wrong body",
    "status": "status 503",
    "close": "closed without an answer",
    "reset": "closed without an answer",
    "refuse": "refused",
    "garbage": "not HTTP, or cut off",
    "short": "not HTTP, or cut off",
    "stall": "timeout",
}


def test_what_is_not_the_right_answer_is_bad_and_sent_once(tmp_path: Path) -> None:
    """A server a behaviour, asked in turn. One that repeats a dropped request hides an update's."""
    servers = {behaviour: ScriptedServer() for behaviour in BEHAVIOURS}
    try:
        for behaviour, server in servers.items():
            server.behave(behaviour)
        entries = {name: server.url for name, server in servers.items()}
        with load_of("", tmp_path, 2, profile=traffic(timeout=0.5), entries=entries) as load:
            load.wait_end()
    finally:
        for server in servers.values():
            server.close()
    each = RATE * 2 // len(BEHAVIOURS)
    for behaviour, said in BEHAVIOURS.items():
        url = servers[behaviour].url.rstrip("/")
        found = [s.entries[url] for s in load.all_samples() if url in s.entries]
        assert len(found) == each, behaviour
        assert all(said in result for result in found), found
        assert servers[behaviour].asked == (0 if behaviour == "refuse" else each)


@pytest.mark.quiet
def test_more_under_way_than_a_client_has_room_for_fail(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.behave("stall")
    with load_of(server.url, tmp_path, 1, profile=traffic(most_under_way=5)) as load:
        load.wait_end()
    kinds = failures(load.all_samples())
    assert any("5 are under way already" in kind for kind in kinds), kinds
    assert len(load.all_samples()) == RATE
    assert load.objections() == [], "that is the system's doing"


class Keeping(BaseHTTPRequestHandler):
    """Answers over connections that stay open, and counts them."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD_BODY)))
        self.end_headers()
        self.wfile.write(GOOD_BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("connections", "most"), [("fresh", RATE), ("kept", RATE // 2)])
def test_connections_are_fresh_or_kept(tmp_path: Path, connections: str, most: int) -> None:
    Keeping.connections = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Keeping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with load_of(url, tmp_path, 1, profile=traffic(connections=connections)) as load:
            load.wait_end()
        server.shutdown()
    assert all(s.ok for s in load.all_samples())
    assert 0 < Keeping.connections <= most
    assert connections == "kept" or Keeping.connections == RATE


def test_an_entry_that_is_silent_is_left_for_one_that_answers(
    server: ScriptedServer, tmp_path: Path
) -> None:
    entries = {"dead": f"http://127.0.0.1:{closed_port()}", "alive": server.url.rstrip("/")}
    with load_of("", tmp_path, 1, entries=entries, failover=True) as load:
        load.wait_end()
    assert all(s.ok for s in load.all_samples())
    with load_of("", tmp_path / "again", 1, entries=entries) as load:
        load.wait_end()
    samples = load.all_samples()
    assert [s.ok for s in samples] == [False, True] * (RATE // 2)
    target = load.targets[0].target(entries)
    assert answering(target) == ["alive"]
    assert [each.name for each in by_entry(target)] == ["shop at dead", "shop at alive"]
    server.behave("close")
    assert answering(target) == list(entries)


def test_with_other_entries_a_slow_answer_is_still_waited_for(tmp_path: Path) -> None:
    """Its share of the time is over before it comes, and nobody else answers."""
    dead = {f"dead {n}": f"http://127.0.0.1:{closed_port()}" for n in range(3)}
    profile = traffic(
        timeout=2, routes=[{"name": "t", "path": "/", "key": "service", "value": "truth"}]
    )
    with truth_server(0.6, [], 60) as server:
        entries = {"slow": server.url, **dead}
        options = {"profile": profile, "entries": entries, "failover": True}
        with load_of("", tmp_path, 1, **options) as load:
            load.wait_end()
    assert all(s.ok for s in load.all_samples()), failures(load.all_samples())


def test_an_end_that_nobody_asked_for_leaves_requests_without_a_record(
    server: ScriptedServer, tmp_path: Path
) -> None:
    with load_of(server.url, tmp_path, 3) as load:
        load.wait_until_good(n=10, within=20)
        assert load.pid is not None
        os.kill(load.pid, signal.SIGTERM)
        load.wait_end()
        load.wait_for(3)
    assert any("requests left no record" in said for said in load.objections())


def test_posts_are_sent_once_and_carry_their_body(tmp_path: Path, server: ScriptedServer) -> None:
    route = Route(name="w", path="/", method="POST", body='{"a": 1}', text="shop")
    with load_of(server.url, tmp_path, 1, profile=traffic(routes=[route.model_dump()])) as load:
        load.wait_end()
    assert all(s.ok for s in load.all_samples())
    assert server.asked == RATE
    assert server.last_request.startswith(b"POST / HTTP/1.1\r\n")
    assert b"Content-Length: 8" in server.last_request


def test_stopped_early_it_records_what_was_sent(server: ScriptedServer, tmp_path: Path) -> None:
    with load_of(server.url, tmp_path) as load:
        load.wait_until_good(n=10, within=20)
    samples = load.all_samples()
    assert [s.seq for s in samples] == list(range(len(samples)))
    assert load.objections() == []
    assert load.merged().stat().st_size > 0


def test_a_killed_generator_is_an_error_and_an_objection(
    server: ScriptedServer, tmp_path: Path
) -> None:
    with load_of(server.url, tmp_path) as load:
        load.wait_until_good(n=10, within=20)
        assert load.pid is not None
        os.kill(load.pid, signal.SIGKILL)
        eventually(lambda: bool(load.failure) or Pending("it runs"), within=10, what="its end")
        with pytest.raises(CutoverError, match="load generator ended by itself with status -9"):
            load.wait_end()
    assert "ended by itself with status -9" in load.objections()[0]
    assert len(load.all_samples()) >= 10


def test_a_generator_that_gets_no_cpu_spoils_its_run(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Stopped and continued by signals: it stands still for half of the time."""
    with load_of(server.url, tmp_path, 3) as load:
        load.wait_until_good(n=10, within=20)
        assert load.pid is not None
        for _ in range(5):
            os.kill(load.pid, signal.SIGSTOP)
            load.wait_for(0.3)
            os.kill(load.pid, signal.SIGCONT)
            load.wait_for(0.1)
        load.wait_end()
    assert any("the generator's own lag p99" in said for said in load.objections())


def test_it_ends_with_the_harness(server: ScriptedServer, tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from load.run import LoadRun
from load.traffic import Traffic, steady
from tests.unit.test_load_run import traffic
with LoadRun(traffic(), steady(10, 300), {{"n": {server.url!r}}}, Path({str(tmp_path)!r}),
             processes=2) as load:
    load.wait_until_good(n=5, within=20)
    print(load.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.communicate(timeout=10)

    def gone() -> bool | Pending:
        names = [path.name for path in Path("/proc").iterdir()]
        living = [pid for pid in map(int, filter(str.isdigit, names)) if _in(pid)]
        return not living or Pending(f"{living} still run")

    def _in(pid: int) -> bool:
        try:
            return os.getpgid(pid) == group and "Z" not in _state(pid)
        except (OSError, ProcessLookupError):
            return False

    def _state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    eventually(gone, within=15, what="the whole group's end")


def test_a_closed_loop_is_never_judged(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match="asks less when the system is slow"):
        LoadRun(traffic(loop="closed"), steady(1, 1), {"n": "http://127.0.0.1:1"}, tmp_path)
    with pytest.raises(CutoverError, match="no entry"):
        LoadRun(traffic(), steady(1, 1), {}, tmp_path)


def test_locust_by_hand_runs_a_closed_loop_too(server: ScriptedServer, tmp_path: Path) -> None:
    profile = traffic(
        loop="closed",
        think={"least": 0.01, "most": 0.05},
        shapes={"x": {"kind": "steady", "rate": 4, "seconds": 3}},
    )
    path = tmp_path / "closed.yml"
    path.write_text(profile.model_dump_json())
    done = _locust("--traffic", str(path), "--host", server.url)
    assert done.returncode == 0, done.stderr
    assert server.asked > 4 * 3 / 0.06 / 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--traffic", "nothing"], "nothing.yml: cannot be read"),
        (["--host", "http://127.0.0.1:1", "--shape", "wave"], "error: traffic services, shapes"),
        (["--host", "http://127.0.0.1:1", "--rate", "-1"], "error: rate or seconds: rate"),
        (["--host", "ftp://127.0.0.1"], "no http or https URL"),
        ([], "error: --host: no host is given"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: list[str], said: str) -> None:
    done = _locust(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", "load/locustfile.py", "--headless"),
            *("--only-summary", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
