"""Which URLs a route means, and answers that a server breaks off."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.errors import CutoverError
from load.asking import Pool, ask
from load.checks import Target, verdict
from load.routes import ROUTES, named_targets, route_target
from load.samples import Sample


def cluster(**entries: str) -> Any:
    return SimpleNamespace(name="shop", entries=entries)


def test_a_route_is_asked_at_every_entry() -> None:
    both = cluster(m1="http://127.0.0.1:8080/", w1="http://127.0.0.1:8081")
    edge, canary = named_targets(both, ["edge", "canary"])
    assert edge.entries == {"m1": "http://127.0.0.1:8080/", "w1": "http://127.0.0.1:8081/"}
    assert canary.entries["m1"] == "http://127.0.0.1:8080/canary"
    assert canary.entries["w1"] == "http://127.0.0.1:8081/canary"


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_is_right_only_when_its_own_service_answers(name: str) -> None:
    (target,) = named_targets(cluster(m1="http://127.0.0.1"), [name])
    _, key, value = ROUTES[name]
    assert verdict(target, 200, f'{{"{key}": "{value}"}}'.encode())[0] == "ok"
    assert verdict(target, 200, f'{{"{key}": "other"}}'.encode())[0] != "ok"


def test_an_unknown_route_names_those_that_there_are() -> None:
    with pytest.raises(
        CutoverError, match=r"no route is called api, shop.*There are: edge, canary"
    ):
        named_targets(cluster(m1="http://127.0.0.1"), ["shop", "edge", "api"])


def test_a_cluster_without_entries_cannot_be_asked() -> None:
    with pytest.raises(CutoverError, match=r"inventory of shop.*no node has an entry"):
        route_target(cluster(), "edge", "/", "service", "shop")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "not HTTP"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"service": ', "cut off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 21), "longer than 1048576 bytes"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"service": "shop"}and', "ok"),
    ],
)
def test_an_answer_that_breaks_off_is_bad(answer: bytes, said: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except OSError:
            pass  # the client had enough
        finally:
            writer.close()

    async def asked() -> Sample:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            target = Target("shop", {"n": f"http://127.0.0.1:{port}/"}, "service", "shop")
            return await ask(target, 0, time.monotonic(), 10.0, Pool())

    sample = asyncio.run(asked())
    assert sample.entries == {"n": said}
    assert sample.ok is (said == "ok")
