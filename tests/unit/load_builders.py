"""Samples and servers for the tests of `load`."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from load.samples import Sample

GOOD_BODY = b'{"service": "shop", "node": "n1"}'


def series(
    pattern: str,
    *,
    rate: float = 10.0,
    latency: float = 0.01,
    bad_latency: float | None = None,
    start: float = 0.0,
    lag: float = 0.0,
) -> list[Sample]:
    """Return a sample for each character: `+` is good, anything else bad."""
    samples = []
    for seq, mark in enumerate(pattern):
        due = start + seq / rate
        ok = mark == "+"
        took = latency if ok or bad_latency is None else bad_latency
        entries = {"n1": "ok" if ok else "refused"}
        samples.append(Sample("shop", seq, due, due + lag, due + lag + took, ok, entries))
    return samples


class ScriptedServer:
    """An HTTP server on 127.0.0.1 that does what `behave` was told last.

    good, wrong (200 with another body), status (503), stall (holds the answer until told
    otherwise), reset, close (without an answer), garbage (no HTTP), open (never closes), short
    (less than it announces), refuse.
    """

    def __init__(self) -> None:
        self.behaviour = "good"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.asked = 0
        self.last_request = b""
        self._do(self._listen()).result(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def behave(self, behaviour: str) -> tuple[float, float]:
        """Change; return monotonic seconds before and after it happened."""
        before = time.monotonic()
        self._do(self._become(behaviour)).result(5)
        return before, time.monotonic()

    def close(self) -> None:
        self._do(self._become("refuse")).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True, backlog=200
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _become(self, behaviour: str) -> None:
        self.behaviour = behaviour
        if behaviour == "refuse" and self._server:
            self._server.close()
            self._server = None
        elif behaviour != "refuse" and self._server is None:
            await self._listen()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.last_request = await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            while self.behaviour == "stall":
                await self._changed.wait()
            await self._answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        match self.behaviour:
            case "good":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD_BODY)
            case "wrong":
                writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"service": "other"}')
            case "status":
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            case "garbage":
                writer.write(b"HTTP/1.1 20x ?\r\nContent-Length: many\r\n\r\n")
            case "short":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + GOOD_BODY)
            case "open":
                length = str(len(GOOD_BODY)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + GOOD_BODY
                )
                await writer.drain()
                await self._changed.wait()
            case "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            case "close" | "refuse":
                pass
        await writer.drain()
