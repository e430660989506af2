"""Writes unique keys on time from inside a container, and says at once what became of each.

It runs alone, where an application would: with python3 (3.9 or newer) and psycopg 3 or redis, and
nothing of this project. Its orders are one line of JSON on standard input, which must stay open:

    kind         postgresql or redis
    hosts        names of servers, tried in this order until one accepts writes
    port, user, password, dbname
    target       the table, or the Redis hash, that receives the keys
    connections  held open, as an application's pool does
    rate         writes a second
    timeout      s that a write may take
    longest      s after which it ends by itself

Open loop: key i is due at t0 + i / rate whatever became of the others, and is written once, in a
transaction of its own. One that finds every connection busy has failed. A lost connection is
replaced at once, by whichever host is writable then.

Each line is printed when it happens, in seconds of this machine's monotonic clock:

    ["begin", at, {"rate", ...}]       the orders, without what is secret
    ["invoke", at, key, due]           just before it is sent
    ["ack", at, key, server]           committed, says the server that answered
    ["fail", at, key, why]             never executed: refused, or not sent at all
    ["unknown", at, key, why]          broken or timed out: executed, perhaps
    ["echo", at, line]                 a line of standard input, as soon as it is read
    ["end", at, why]                   after the last write: told to stop, or its time was over
    ["failure", at, why]               it could not even begin

The line "stop" on standard input ends it in order; the input's own end (its docker exec was cut)
ends it at once, and SIGALRM when it hangs.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

CONNECT_SECONDS = 2
RECONNECT_SECONDS = 0.1
#: How long the first write waits for the connections; without them it fails, as later ones do.
FIRST_SECONDS = 5
MARGIN_SECONDS = 20
#: A Redis hash goes away by itself this long after the last write (s).
EXPIRY_SECONDS = 3600
#: Classes of SQLSTATE (PostgreSQL manual, appendix A) whose error surely rolled the write back. The
#: others, 08 (connection) and 57 (operator intervention) among them, may follow a commit.
ROLLED_BACK = ("22", "23", "25", "28", "3D", "42", "53")
SECRETS = ("password",)


class Refused(Exception):
    """The server did not execute it."""


class Postgres:
    """Commits a row for each key."""

    def __init__(self, orders: dict[str, Any]) -> None:
        import psycopg

        self._psycopg, self._orders = psycopg, orders
        self._insert = (
            f"insert into {orders['target']} (key) values (%s)"  # noqa: S608 - a name of ours
            " returning host(inet_server_addr())"
        ).encode()

    async def connect(self) -> Any:
        """Connect to the first host that accepts writes."""
        told = self._orders
        connection = await self._psycopg.AsyncConnection.connect(
            host=",".join(told["hosts"]),
            port=",".join([str(told["port"])] * len(told["hosts"])),
            dbname=told["dbname"],
            user=told["user"],
            password=told["password"],
            target_session_attrs="read-write",
            connect_timeout=CONNECT_SECONDS,
            application_name="cutover writes",
            autocommit=True,
        )
        # A pooler that gives every transaction another server knows no prepared statements.
        connection.prepare_threshold = None
        return connection

    async def write(self, connection: Any, key: int) -> str:
        """Commit `key`; return the address of the server that did."""
        try:
            cursor = await connection.execute(self._insert, (key,))
            (server,) = await cursor.fetchone()
        except self._psycopg.Error as error:
            if (error.sqlstate or "").startswith(ROLLED_BACK):
                raise Refused(one_line(error)) from error
            raise
        return server or "local"

    def broken(self, connection: Any) -> bool:
        """Say whether it cannot be used again."""
        return bool(connection.closed)

    def abandon(self, connection: Any, task: asyncio.Future[str]) -> None:
        """Have a write that takes too long fail at once.

        A task that is cancelled has the server asked to cancel its query, which holds up this whole
        process for seconds where no server answers. So the connection breaks instead.
        """
        try:
            end = socket.socket(fileno=os.dup(connection.fileno()))
        except (OSError, self._psycopg.Error):
            return
        with end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    async def close(self, connection: Any) -> None:
        """Let it go."""
        await connection.close()


class Redis:
    """Counts each key in a hash: one that is there twice says so."""

    def __init__(self, orders: dict[str, Any]) -> None:
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._redis, self._orders = redis, orders
        # A retry inside the client would write twice.
        self._never_again = Retry(NoBackoff(), 0)

    async def connect(self) -> Any:
        """Connect to the first host whose ROLE is master."""
        refusals = []
        for host in self._orders["hosts"]:
            client: Any = self._redis.asyncio.Redis(
                host=host,
                port=self._orders["port"],
                password=self._orders["password"],
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=self._orders["timeout"],
                retry=self._never_again,
                retry_on_timeout=False,
                single_connection_client=True,
            )
            try:
                (role, *_) = await client.execute_command("ROLE")
                if role == b"master":
                    client.cutover_host = host
                    return client
                refusals.append(f"{host} is a {role.decode()}")
            except (self._redis.RedisError, OSError) as error:
                refusals.append(f"{host}: {one_line(error)}")
            await self.close(client)
        raise OSError("; ".join(refusals))

    async def write(self, client: Any, key: int) -> str:
        """Add `key` to the hash; return the host that did."""
        target = self._orders["target"]
        try:
            async with client.pipeline(transaction=True) as both:
                both.hincrby(target, str(key), 1)
                both.expire(target, EXPIRY_SECONDS)
                await both.execute()
        except self._redis.ResponseError as error:  # read-only, loading, out of memory
            raise Refused(one_line(error)) from error
        return str(client.cutover_host)

    def broken(self, client: Any) -> bool:
        """Say whether it cannot be used again."""
        connection = client.connection
        return connection is None or not connection.is_connected

    def abandon(self, client: Any, task: asyncio.Future[str]) -> None:
        """Wait no longer for a write that takes too long."""
        task.cancel()

    async def close(self, client: Any) -> None:
        """Let it go."""
        await client.aclose() if hasattr(client, "aclose") else await client.close()


KINDS = {"postgresql": Postgres, "redis": Redis}


def one_line(error: BaseException) -> str:
    """Return what an error says, shortened."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def say(kind: str, *rest: Any) -> None:
    """Print what happens now, in one write: a line that was printed cannot be lost with us."""
    line = json.dumps([kind, round(time.monotonic(), 6), *rest], separators=(",", ":"))
    left = line.encode() + b"\n"
    while left:
        left = left[os.write(1, left) :]


class Writer:
    """Writes keys on time over a few connections, used in turn."""

    def __init__(self, store: Any, orders: dict[str, Any], tell: Callable[..., None]) -> None:
        self._store, self._orders, self._say = store, orders, tell
        self._idle: collections.deque[Any] = collections.deque()
        self._under_way: set[asyncio.Future[None]] = set()
        self._missing, self._refusal = 0, ""
        self._told_to_stop = asyncio.Event()

    def stop(self) -> None:
        """Send no further key."""
        self._told_to_stop.set()

    async def run(self) -> str:
        """Write until told to stop, or until the time is over; return which."""
        self._missing = self._orders["connections"]
        first = asyncio.ensure_future(self._refill())
        self._keep(first)
        await asyncio.wait({first}, timeout=FIRST_SECONDS)
        rate, most = self._orders["rate"], self._orders["rate"] * self._orders["longest"]
        start, key = time.monotonic(), 0
        writes: set[asyncio.Future[None]] = set()
        while key < most and not self._told_to_stop.is_set():
            due = start + key / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.ensure_future(self._one(key, due))
            writes.add(task)
            task.add_done_callback(writes.discard)
            key += 1
        await asyncio.gather(*writes)
        return "told to stop" if self._told_to_stop.is_set() else "its time is over"

    async def _one(self, key: int, due: float) -> None:
        connection = self._idle.popleft() if self._idle else None
        self._say("invoke", key, round(due, 6))
        if connection is None:
            why = f" ({self._refusal})" if self._refusal else ""
            self._say("fail", key, f"no free connection{why}")
            return
        task = asyncio.ensure_future(self._store.write(connection, key))
        await asyncio.wait({task}, timeout=self._orders["timeout"])
        if not task.done():
            self._say("unknown", key, f"no answer within {self._orders['timeout']:g} s")
            self._store.abandon(connection, task)
            self._drop(connection, task)
            return
        error = task.exception()
        if error is None:
            self._say("ack", key, task.result())
        elif isinstance(error, Refused):
            self._say("fail", key, one_line(error))
        else:
            self._say("unknown", key, one_line(error))
        # After a refusal too: a server that has become read-only must not be asked for ever.
        if error is not None or self._store.broken(connection):
            self._drop(connection)
        else:
            self._idle.append(connection)

    def _drop(self, connection: Any, first: Any = None) -> None:
        async def close() -> None:
            if first is not None:
                await asyncio.wait({first})
            await self._store.close(connection)

        self._keep(close())
        self._add()

    def _keep(self, doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # of a connection that was let go: nobody needs it

    async def _refill(self) -> None:
        """Replace what is missing, one after the other: all at once would only crowd a server."""
        while self._missing:
            try:
                self._idle.append(await self._store.connect())
                self._missing -= 1
                self._refusal = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, an application cannot write
                self._refusal = one_line(error)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _add(self) -> None:
        self._missing += 1
        if self._missing == 1:
            self._keep(self._refill())


def listen(writer: Writer) -> None:
    """Echo each line of standard input, stop when told to, end at once when the input ends."""
    left = bytearray()

    def look() -> None:
        read = os.read(0, 4096)
        if not read:
            os._exit(3)
        left.extend(read)
        while b"\n" in left:
            line, _, rest = bytes(left).partition(b"\n")
            left[:] = rest
            say("echo", line.decode())
            if line == b"stop":
                writer.stop()

    asyncio.get_running_loop().add_reader(0, look)


async def serve(store: Any, orders: dict[str, Any]) -> str:
    """Write while standard input is open."""
    writer = Writer(store, orders, say)
    listen(writer)
    return await writer.run()


async def serve_and_leave(store: Any, orders: dict[str, Any]) -> None:
    """Write, say that it is over, and be gone.

    The loop's own ending would cancel what is under way, and to cancel is to ask servers: with one
    that nobody can reach that held this process up for longer than its harness waits.
    """
    say("end", await serve(store, orders))
    os._exit(0)


def read_line() -> bytes:
    """Read one line of standard input and nothing beyond it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(3)
        line += byte
    return bytes(line)


def main() -> int:
    """Read the orders and write; returns the exit status."""
    orders = json.loads(read_line())
    signal.alarm(int(orders["longest"] + orders["timeout"]) + MARGIN_SECONDS)
    try:
        store = KINDS[orders["kind"]](orders)
    except ImportError as error:
        say("failure", f"the image lacks a Python module: {one_line(error)}")
        return 1
    say("begin", {name: told for name, told in orders.items() if name not in SECRETS})
    asyncio.run(serve_and_leave(store, orders))
    return 0


if __name__ == "__main__":
    sys.exit(main())
