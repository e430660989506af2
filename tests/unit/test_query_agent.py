"""The program that asks: its pacing with connections that are none, and its end as a process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from load.agents import query_agent

AGENT = Path(query_agent.__file__)


class Cursor:
    description = ("column",)

    def __init__(self, rows: int) -> None:
        self.rowcount = rows

    async def fetchall(self) -> list[int]:
        return [1] * self.rowcount


class Connection:
    """Answers after `takes` seconds with `rows` rows, or raises; a `closed` one is lost."""

    def __init__(self, takes: float = 0.0, rows: int = 1, error: str = "", dies: bool = False):
        self.takes, self.rows, self.error, self.dies = takes, rows, error, dies
        self.closed = False
        self.asked: list[tuple[bytes, dict[str, Any]]] = []

    async def execute(self, sql: bytes, values: dict[str, Any]) -> Cursor:
        self.asked.append((sql, values))
        await asyncio.sleep(self.takes)
        self.closed = self.dies
        if self.error:
            raise RuntimeError(self.error)
        return Cursor(self.rows)


def orders(count: int, rate: float = 200.0, connections: int = 2, **changed: Any) -> dict[str, Any]:
    return {
        "servers": {"primary": {"host": "db"}},
        "connections": connections,
        "statements": {"read": {"sql": "select", "rows": 1}},
        "asks": [["primary", "read", {"id": number}] for number in range(count)],
        "rate": rate,
        "timeout": 5,
        **changed,
    }


def asked(
    told: dict[str, Any], make: Callable[[], Connection]
) -> tuple[list[list[Any]], list[Connection]]:
    made: list[Connection] = []

    async def connect(server: dict[str, Any]) -> Connection:
        assert server == {"host": "db"}
        made.append(make())
        return made[-1]

    lines, cpu, seconds = asyncio.run(query_agent.ask_all(told, connect))
    assert 0 <= cpu <= 1.5
    assert seconds >= (len(told["asks"]) - 1) / told["rate"]
    return lines, made


def test_every_ask_is_due_at_its_time_whatever_became_of_the_others() -> None:
    lines, made = asked(orders(60), Connection)
    assert [line[0] for line in lines] == list(range(60))
    assert [line[1] for line in lines] == pytest.approx([n / 200 for n in range(60)])
    assert all(due <= started <= ended for _, due, started, ended, _ in lines)
    assert sorted(v["id"] for c in made for _, v in c.asked) == [
        line[0] for line in lines if not line[4]
    ]


def test_an_ask_that_finds_all_connections_busy_fails_at_once_and_does_not_wait() -> None:
    lines, made = asked(orders(20, rate=100.0), lambda: Connection(takes=0.4))
    good = [line for line in lines if not line[4]]
    bad = [line for line in lines if line[4]]
    assert len(made) == 2
    assert len(good) == 2
    assert len(bad) == 18
    assert {line[4] for line in bad} == {"no free connection"}
    assert all(started == ended for _, _, started, ended, _ in bad)
    assert all(ended - started >= 0.4 for _, _, started, ended, _ in good)


def test_a_slow_answer_counts_from_when_it_was_due() -> None:
    ((_, due, started, ended, error),), _ = asked(orders(1), lambda: Connection(takes=0.1))
    assert error == ""
    assert due == 0
    assert ended - due >= ended - started >= 0.1


def test_a_refused_query_fails_and_its_connection_goes_on() -> None:
    lines, made = asked(orders(9, 100), lambda: Connection(error="no such\n  table"))
    assert {line[4] for line in lines} == {"no such table"}
    assert len(made) == 2


def test_a_lost_connection_is_replaced() -> None:
    lines, made = asked(orders(9, 20, 1), lambda: Connection(error="server closed", dies=True))
    assert {line[4] for line in lines} <= {"server closed", "no free connection"}
    assert len(made) > 3


def test_too_few_rows_are_no_answer() -> None:
    lines, _ = asked(orders(2), lambda: Connection(rows=0))
    assert {line[4] for line in lines} == {"0 rows (at least 1)"}


def test_a_silent_server_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_agent, "SILENCE_SECONDS", 0.05)
    lines, made = asked(orders(1, timeout=0.2), lambda: Connection(takes=60))
    ((_, _, started, ended, error),) = lines
    assert error == "no answer within 0.25 s"
    assert ended - started >= 0.25
    assert len(made) >= 2


def test_a_server_that_refuses_is_a_failure_of_every_ask_with_its_reason() -> None:
    def refuse() -> Connection:
        raise OSError("connection refused")

    lines, _ = asked(orders(5), refuse)
    assert {line[4] for line in lines} == {"no free connection (connection refused)"}


# --- as it runs in a container: sent on standard input

PSYCOPG = """
import asyncio
class Cursor:
    description = None
    rowcount = 1
class Connection:
    closed = False
    async def execute(self, sql, values):
        await asyncio.sleep(0)
        return Cursor()
class AsyncConnection:
    @staticmethod
    async def connect(**options):
        assert options["password"] == "s3cret" and options["autocommit"] is True
        assert options["options"] == "-c statement_timeout=5000"
        return Connection()
"""


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Return what starts the agent beside a psycopg that is none; `orders` are sent."""
    (tmp_path / "psycopg.py").write_text(PSYCOPG)

    def start(told: dict[str, Any], psycopg: bool = True) -> subprocess.Popen[bytes]:
        program = AGENT.read_bytes()
        if not psycopg:
            (tmp_path / "psycopg.py").write_text("raise ImportError('no psycopg here')")
        code = f"import sys; exec(compile(sys.stdin.buffer.read({len(program)}), 'agent', 'exec'))"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(tmp_path)},
        )
        assert process.stdin is not None
        process.stdin.write(program + json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        return process

    return start


def told(count: int, rate: float) -> dict[str, Any]:
    return orders(count, rate, servers={"primary": {"host": "db", "password": "s3cret"}})


def test_it_prints_a_line_for_each_ask_and_its_own_use_of_the_processor(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    with started(told(20, 100)) as process:
        assert process.stdout is not None
        *lines, ending = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    assert [line[0] for line in lines] == list(range(20))
    assert {line[4] for line in lines} == {""}
    assert ending["seconds"] >= 0.19
    assert 0 < ending["cpu"] < 1


def test_it_says_when_it_cannot_ask_at_all(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    with started(told(1, 1), psycopg=False) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == {"failure": "no psycopg here"}


def test_it_ends_when_its_standard_input_does(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    before = time.monotonic()
    with started(told(1000, 10)) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=20) == 3
    assert time.monotonic() - before < 20
