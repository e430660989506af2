"""`python -m bench.truth_server`: answers after a known time, and stalls at known moments.

A request that arrives at a is answered at a + SERVICE. While it stalls, nothing is begun and
nothing is answered: what arrives is begun when the stall ends, and what is done is answered then.
The stalls are counted from the first request. It prints its port, then each stall's beginning and
end (monotonic seconds), a line each.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Final

_BODY: Final = b'{"service": "truth", "node": "here"}'
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_REQUEST_END: Final = b"\r\n\r\n"


class Truth:
    """When requests are begun and answered."""

    def __init__(self, service: float, stalls: list[tuple[float, float]]) -> None:
        self._service = service
        self._stalls = stalls
        self._begun = False
        self._stalled = False
        self._to_begin: list[asyncio.Transport] = []
        self._to_answer: list[asyncio.Transport] = []

    def arrived(self, client: asyncio.Transport) -> None:
        """Begin with a request, now or when the stall ends."""
        loop = asyncio.get_running_loop()
        if not self._begun:
            self._begun = True
            for after, seconds in self._stalls:
                loop.call_later(after, self._stall, seconds)
        if self._stalled:
            self._to_begin.append(client)
        else:
            loop.call_later(self._service, self._done, client)

    def _done(self, client: asyncio.Transport) -> None:
        if self._stalled:
            self._to_answer.append(client)
        else:
            client.write(_ANSWER)

    def _stall(self, seconds: float) -> None:
        self._stalled = True
        began = time.monotonic()
        asyncio.get_running_loop().call_later(seconds, self._go_on, began)

    def _go_on(self, began: float) -> None:
        self._stalled = False
        sys.stdout.write(f"{began} {time.monotonic()}\n")
        sys.stdout.flush()
        answers, self._to_answer = self._to_answer, []
        begins, self._to_begin = self._to_begin, []
        for client in begins:
            self.arrived(client)
        for client in answers:
            self._done(client)


class _Connection(asyncio.Protocol):
    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        while _REQUEST_END in self._head:
            _, _, self._head = self._head.partition(_REQUEST_END)
            self._truth.arrived(self._client)


async def _serve(service: float, stalls: list[tuple[float, float]], seconds: float) -> None:
    truth = Truth(service, stalls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(truth), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.sleep(seconds)


def main() -> None:
    """Serve on a free port of 127.0.0.1, for a bounded time."""
    parser = argparse.ArgumentParser(prog="python -m bench.truth_server", description=__doc__)
    parser.add_argument("--service", type=float, default=0.02, help="s a request")
    parser.add_argument(
        "--stall", action="append", nargs=2, type=float, metavar=("AT", "SECONDS"), default=[]
    )
    parser.add_argument("--seconds", type=float, default=120, help="ends after so long")
    options = parser.parse_args()
    stalls = [(at, seconds) for at, seconds in options.stall]
    asyncio.run(_serve(options.service, stalls, options.seconds))


if __name__ == "__main__":
    main()
