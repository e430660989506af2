"""Asks queries on time from inside a container, and says when each was answered.

It runs alone, where an application would: with python3 (3.9 or newer) and psycopg 3, and nothing of
this project. Its orders are one line of JSON on standard input, which must stay open:

    servers      name → what psycopg.connect takes: host, port, dbname, user, password
    connections  to each server, held open as an application's pool does
    statements   name → sql with named placeholders, rows: the fewest that are a right answer
    asks         [server, statement, parameters] in the order in which they are due
    rate         asks a second, over all servers
    timeout      s that a query may take

Open loop: ask i is due at t0 + i / rate whatever became of the others. An ask that finds every
connection of its server busy has failed, at once: to wait would hide that the server is slow.

Nothing is printed before the last answer. Then, as lines of JSON, for every ask [number, due,
started, ended, error] in seconds since t0, and {"cpu": share of a core, "seconds": of asking}.
What keeps it from asking at all is {"failure": why} instead.

It ends when standard input does (its docker exec was cut), and by SIGALRM when it hangs.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

CONNECT_SECONDS = 5
RECONNECT_SECONDS = 0.5
#: What a server that is silent gets on top of the time after which it has to cancel a query.
SILENCE_SECONDS = 0.5
#: From the orders to the first ask, for the connections, and again for the end.
MARGIN_SECONDS = 20

Connect = Callable[[Any], Awaitable[Any]]


class Pool:
    """A few connections to one server, used in turn; one that broke is replaced."""

    def __init__(self, server: Any, connect: Connect) -> None:
        self._server, self._connect = server, connect
        self._idle: collections.deque[Any] = collections.deque()
        self._under_way: set[asyncio.Future[None]] = set()
        self._refusal = ""

    async def open(self, size: int) -> None:
        """Connect `size` times; what is refused is tried again while asks go on."""
        await asyncio.gather(*(self._add() for _ in range(size)))

    @property
    def why_none(self) -> str:
        """Why `take` has none."""
        return "no free connection" + (f" ({self._refusal})" if self._refusal else "")

    def take(self) -> Any:
        """Return an idle connection, or None."""
        return self._idle.popleft() if self._idle else None

    def give_back(self, connection: Any) -> None:
        """Keep it for the next; one that is closed is replaced."""
        if connection.closed:
            self.replace()
        else:
            self._idle.append(connection)

    def replace(self) -> None:
        """Connect anew for one that is lost."""
        self._again(0.0)

    def _again(self, delay: float) -> None:
        task = asyncio.ensure_future(self._add(delay))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _add(self, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        try:
            self._idle.append(await self._connect(self._server))
            self._refusal = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, an application cannot ask
            self._refusal = one_line(error)
            self._again(RECONNECT_SECONDS)


def one_line(error: BaseException) -> str:
    """Return what an error says, shortened."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


async def answer(connection: Any, statement: dict[str, Any], values: dict[str, Any]) -> str:
    """Ask and fetch all; return what was wrong with the answer, or nothing."""
    cursor = await connection.execute(statement["sql"].encode(), values)
    count = len(await cursor.fetchall()) if cursor.description is not None else cursor.rowcount
    if count < statement["rows"]:
        return f"{count} rows (at least {statement['rows']})"
    return ""


async def timed(
    pool: Pool, connection: Any, statement: dict[str, Any], values: dict[str, Any], most: float
) -> tuple[float, float, str]:
    """Return when a query was sent and when it was answered, and what was wrong."""
    started = time.monotonic()
    task = asyncio.ensure_future(answer(connection, statement, values))
    await asyncio.wait({task}, timeout=most)
    ended = time.monotonic()
    if not task.done():
        task.cancel()
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        pool.replace()
        return started, ended, f"no answer within {most:g} s"
    error = task.exception()
    pool.give_back(connection)
    return started, ended, one_line(error) if error else task.result()


async def ask_all(orders: dict[str, Any], connect: Connect) -> tuple[list[list[Any]], float, float]:
    """Return a line for every ask, the share of a core that asking took, and its seconds."""
    pools = {name: Pool(server, connect) for name, server in orders["servers"].items()}
    await asyncio.gather(*(pool.open(orders["connections"]) for pool in pools.values()))
    statements, rate = orders["statements"], orders["rate"]
    most = orders["timeout"] + SILENCE_SECONDS
    lines: list[list[Any]] = []
    asked: list[asyncio.Future[tuple[float, float, str]]] = []
    numbers: list[int] = []
    gc.collect()
    gc.disable()  # a collection would hold up every answer; the asks are bounded in number
    start, cpu = time.monotonic(), time.process_time()
    for number, (server, statement, values) in enumerate(orders["asks"]):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        pool = pools[server]
        connection = pool.take()
        if connection is None:
            now = time.monotonic() - start
            lines.append([number, due - start, now, now, pool.why_none])
            continue
        task = timed(pool, connection, statements[statement], values, most)
        asked.append(asyncio.ensure_future(task))
        numbers.append(number)
    answers = await asyncio.gather(*asked)
    seconds = time.monotonic() - start
    share = (time.process_time() - cpu) / seconds
    for number, (started, ended, error) in zip(numbers, answers):
        lines.append([number, number / rate, started - start, ended - start, error])
    return sorted(lines), share, seconds


def connect_with(psycopg: Any, timeout: float) -> Connect:
    """Return what connects as an application does: autocommit, and every statement bounded."""

    async def connect(server: dict[str, Any]) -> Any:
        return await psycopg.AsyncConnection.connect(
            **server,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="cutover queries",
            options=f"-c statement_timeout={int(1000 * timeout)}",
        )

    return connect


def end_with(stdin: int) -> None:
    """End this process at once when its standard input ends."""

    def look() -> None:
        if not os.read(stdin, 4096):
            os._exit(3)

    asyncio.get_running_loop().add_reader(stdin, look)


async def serve(orders: dict[str, Any], connect: Connect) -> tuple[list[list[Any]], float, float]:
    """Ask while standard input is open."""
    end_with(sys.stdin.fileno())
    return await ask_all(orders, connect)


def main() -> int:
    """Read the orders, ask, print; returns the exit status."""
    orders = json.loads(sys.stdin.buffer.readline())
    signal.alarm(int(len(orders["asks"]) / orders["rate"] + orders["timeout"]) + 2 * MARGIN_SECONDS)
    try:
        import psycopg
    except ImportError as error:
        sys.stdout.write(json.dumps({"failure": one_line(error)}) + "\n")
        return 1
    lines, cpu, seconds = asyncio.run(serve(orders, connect_with(psycopg, orders["timeout"])))
    for line in lines:
        line[1:4] = [round(at, 6) for at in line[1:4]]
    ending = {"cpu": round(cpu, 4), "seconds": round(seconds, 3)}
    sys.stdout.write("".join(json.dumps(line) + "\n" for line in [*lines, ending]))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
