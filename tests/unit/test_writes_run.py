"""Writers as processes: what their history says, and that no SIGKILL takes any of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from load.writes import checker
from load.writes.findings import Writers, oldest_lost
from load.writes.history import Became, History, Write
from load.writes.run import WriteRun
from load.writes.validity import objections
from tests.unit.writes_lab import ORDERS, Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def writing(lab: Lab, rate: float = 100.0, **changed: Any) -> WriteRun:
    told = {"timeout": 0.3, "longest": 60, "connections": 4, **changed}
    return WriteRun(lab, "c0ffee", ORDERS, lab.folder / "history.jsonl", rate=rate, **told)


def became(run: WriteRun, what: Became, least: int) -> bool | Pending:
    count = Counter(write.became for write in run.writes() if write.ended is not None)[what]
    return count >= least or Pending(f"{count} {what}")


# --- what it records


def test_every_write_is_recorded_and_there(lab: Lab) -> None:
    with writing(lab) as run:
        run.wait_until_acknowledged(n=50, within=20)
        assert run.clock_error < 1
    writes = run.writes()
    assert run.failure == ""
    assert run.objections() == []
    assert [w.key for w in writes] == list(range(len(writes)))
    checked = checker.check(writes, lab.rows())
    assert checked.lost == checked.unknown_present == checked.unknown_absent == ()
    assert checked.impossible() == []
    assert {w.detail for w in checked.kept} == {"10.0.0.1"}
    # On the harness's clock: the same machine here.
    assert all(abs(w.invoked - w.due) < 5 for w in writes)
    assert abs(writes[-1].invoked - time.monotonic()) < 10


def test_a_read_only_server_refuses_and_a_broken_or_silent_one_leaves_it_open(lab: Lab) -> None:
    with writing(lab) as run:
        run.wait_until_acknowledged(n=20, within=20)
        for trouble, what in (("read-only", Became.REFUSED), ("shutdown", Became.UNKNOWN)):
            lab.trouble(trouble)
            eventually(lambda what=what: became(run, what, 5), within=10, what=trouble)  # type: ignore[misc]
        lab.trouble("")
        run.wait_until_acknowledged(n=20, within=20)
    checked = checker.check(run.writes(), lab.rows())
    assert checked.lost == ()
    assert len(checked.unknown_present) >= 5
    assert checked.refused_absent
    assert checked.impossible() == []
    refused = {w.detail for w in checked.refused_absent}
    assert "cannot execute INSERT in a read-only transaction" in refused


def test_a_silent_server_costs_a_timeout_and_the_writes_go_on(lab: Lab) -> None:
    with writing(lab) as run:
        run.wait_until_acknowledged(n=20, within=20)
        lab.trouble("silent")
        eventually(lambda: became(run, Became.UNKNOWN, 4), within=10, what="timeouts")
        lab.trouble("")
        run.wait_until_acknowledged(n=20, within=20)
    assert "no answer within 0.3 s" in {w.detail for w in run.writes()}
    assert run.objections() == []


def test_without_a_server_every_write_fails_with_the_reason(lab: Lab) -> None:
    lab.trouble("down")
    with writing(lab) as run:
        eventually(lambda: became(run, Became.REFUSED, 20), within=20, what="refusals")
    assert "no free connection (connection refused)" in {w.detail for w in run.writes()}
    assert lab.rows() == {}
    assert "0 good answers before the fault" in "; ".join(run.objections(fault=time.monotonic()))


def test_an_image_without_the_module_says_so_in_one_line(lab: Lab) -> None:
    (lab.folder / "psycopg.py").write_text("raise ImportError('No module named psycopg')")
    with pytest.raises(CutoverError, match="lacks a Python module: No module named psycopg"):
        writing(lab).__enter__()


def test_no_password_stands_in_the_history(lab: Lab) -> None:
    with writing(lab) as run:
        run.wait_until_acknowledged(n=2, within=20)
    assert "s3cret" not in run.file.read_text()
    assert run.history.orders["hosts"] == ["a", "b"]


# --- SIGKILL


def explained(history: History, rows: dict[int, int]) -> None:
    """What was executed was announced, and what was acknowledged is there."""
    writes = history.writes()
    checked = checker.check(writes, rows)
    assert checked.lost == ()
    assert checked.impossible() == []
    assert len(checked.kept) >= 50


def test_a_killed_writer_keeps_its_history_and_is_no_proof(lab: Lab) -> None:
    with writing(lab) as run:
        run.wait_until_acknowledged(n=50, within=20)
        (process,) = lab.processes
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        explained(History(run.file), lab.rows())
        assert "ended by itself with status -9" in run.failure
        with pytest.raises(CutoverError, match="ended by itself"):
            run.ensure_writing()
    assert any("ended by itself" in problem for problem in run.objections())


HARNESS = """
import sys, time
from pathlib import Path
from load.writes.run import WriteRun
from tests.unit.writes_lab import ORDERS, Lab
lab = Lab(Path(sys.argv[1]))
with WriteRun(lab, "c0ffee", ORDERS, lab.folder / "history.jsonl", rate=100.0) as run:
    run.wait_until_acknowledged(n=50, within=20)
    print(lab.processes[0].pid, flush=True)
    time.sleep(60)
"""


def test_a_killed_harness_leaves_the_whole_history_and_no_writer(lab: Lab) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(lab.folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    with harness:
        assert harness.stdout is not None
        writer = int(harness.stdout.readline())
        harness.kill()
    eventually(
        lambda: not Path("/proc", str(writer)).exists() or Pending("it runs"),
        within=15,
        what="the writer ends with its harness",
    )
    explained(History(lab.folder / "history.jsonl"), lab.rows())


# --- reading a history


def lines(*entries: list[Any]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def test_a_torn_last_line_is_left_out_until_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(lines(["invoke", 1.0, 0, 1.0]) + '["ack",1.1,0,"a')
    history = History(file)
    (write,) = history.writes()
    assert write.ended is None
    assert not write.acknowledged
    with file.open("a") as more:
        more.write('b"]\n')
    (write,) = history.writes()
    assert write.acknowledged
    assert write.detail == "ab"


@pytest.mark.parametrize(
    "line",
    ["not JSON", "[]", '["ack",1.0,7,"a"]', '["invoke",1.0,0,1.0]\n["invoke",1.0,0,1.0]'],
    ids=["no JSON", "empty", "an end without a beginning", "a key twice"],
)
def test_what_is_no_history_is_not_read_as_one(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(ValueError, match="no line of a history"):
        History(file).read_on()


# --- what is no proof


def series(count: int, rate: float = 10.0, lag: float = 0.0) -> list[Write]:
    return [
        Write(k, k / rate, k / rate + lag, k / rate + lag + 0.01, Became.ACKNOWLEDGED, "a")
        for k in range(count)
    ]


def test_a_writer_that_wrote_all_the_time_is_believed() -> None:
    assert objections(series(100), 10.0, fault=5.0) == []


@pytest.mark.parametrize(
    ("writes", "problem"),
    [
        ([], "only 0 writes"),
        (series(100, lag=2.0), "lag p99 is 2.00 s"),
        (series(100)[:40] + series(100)[60:], "the writer was silent for 2.1 s"),
        (series(100)[:40] + series(100)[41:], "keys are missing before 41"),
        (series(100, rate=5.0), "only 100 of 198 writes"),
        (series(15), "only 15 good answers before the fault"),
        (series(40), "nothing was written after the fault"),
    ],
)
def test_a_writer_that_wrote_too_little_proves_nothing(writes: list[Write], problem: str) -> None:
    assert any(problem in found for found in objections(writes, 10.0, fault=5.0))


# --- what writers and servers show together


class Servers:
    """A pair of servers in memory."""

    servers = ("a", "b")

    def __init__(self, primary: dict[int, int], copy: dict[int, int], *, both: bool = False):
        self.data = {"a": primary, "b": copy}
        self.both = both

    def make(self) -> None: ...
    def drop(self) -> None: ...
    def orders(self) -> dict[str, Any]:
        return {}

    def writable(self, server: str) -> bool:
        return self.both or server == "a"

    def found(self, server: str) -> dict[int, int]:
        return self.data[server]


class Run:
    """Writers whose writes are known."""

    clock_error = 0.0
    running = False

    def __init__(self, writes: list[Write]) -> None:
        self._writes = writes

    def stop(self) -> None: ...
    def writes(self) -> list[Write]:
        return self._writes

    def samples(self) -> list[Any]:
        from load.writes.history import as_samples

        return as_samples(self._writes)


def writers(writes: list[Write], servers: Servers) -> Writers:
    return Writers(Run(writes), servers)  # type: ignore[arg-type]


def test_keys_are_looked_for_where_writes_are_accepted_now() -> None:
    found = writers(series(5), Servers(dict.fromkeys(range(4), 1), {})).examine()
    assert [w.key for w in found.lost] == [4]


def test_two_primaries_keep_only_what_both_have() -> None:
    everything = dict.fromkeys(range(5), 1)
    found = writers(series(5), Servers(everything, {0: 1}, both=True)).examine()
    assert [w.key for w in found.lost] == [1, 2, 3, 4]


def test_a_copy_that_lacks_a_write_is_not_the_same() -> None:
    seen = writers(series(3), Servers({0: 1, 1: 1}, {0: 1, 9: 1}))
    took = seen.same_on("b", "a", within=0.05)
    assert took.seconds > 0.05
    assert "1 are not on b, which has 1 others" in took.reason


def test_acknowledgements_from_before_the_fault_was_felt_are_no_recovery() -> None:
    now = time.monotonic()
    before = [w.shifted(now - 10) for w in series(100)]
    took = writers(before, Servers({}, {})).acknowledged_again(Instant(now - 0.5, 0.5), within=0.8)
    assert took.seconds >= 0.8
    assert "no writes of after the fault" in took.reason


def test_a_recovery_of_long_ago_is_judged_by_when_it_came() -> None:
    now = time.monotonic()
    writes = [w.shifted(now - 100) for w in series(900)]
    for write in writes[100:150]:
        write.became = Became.REFUSED
    fault = Instant(now - 90, 0.01)
    took = writers(writes, Servers({}, {})).acknowledged_again(fault, within=30)
    assert took.reason == ""
    assert 4.8 < took.seconds < 5.2


def test_writes_that_stay_refused_are_over_the_limit_however_late_the_last_ended() -> None:
    now = time.monotonic()
    writes = [w.shifted(now - 20) for w in series(195)]
    for write in writes[100:]:
        write.became = Became.REFUSED
    took = writers(writes, Servers({}, {})).acknowledged_again(Instant(now - 10, 0), within=10.2)
    assert took.seconds > 10.2
    assert took.reason == "not served again for good"


def test_the_newest_moment_is_a_fault_or_its_end() -> None:
    one, two, three = (Instant(at, 0.0) for at in (1.0, 2.0, 3.0))
    seen = writers(series(50), Servers({}, {}))
    assert seen.newest([(one, None), (two, None)]) == two
    assert seen.newest([(one, three), (two, None)]) == three


def test_a_fault_of_before_the_first_write_was_other_writers_trouble() -> None:
    later = [w.shifted(10.0) for w in series(20)] + [w.shifted(15.0) for w in series(20)]
    seen = writers(later, Servers({}, {}))
    earlier, met = Instant(5.0, 0.1), Instant(12.0, 0.1)
    assert seen.outage([earlier, met]) == met
    # Without one of their own, what they saw themselves: a silence.
    (ceased, again) = (seen.outage([earlier]), seen.newest([(earlier, None)]))
    assert ceased == again
    assert ceased is not None
    assert 11.8 < ceased.at < 12


def test_lost_writes_are_named_oldest_first() -> None:
    assert oldest_lost([]) == ""
    text = oldest_lost(list(reversed(series(5))), most=2)
    assert text == "0 (acknowledged by a), 1 (acknowledged by a) and 3 more"
