"""The parts of the stand-in service that need none of its libraries (they are in its image)."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import time
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from fixtures.stacks.catalogue import FOLDER, service, stack_text

SOURCE = FOLDER.parent / "images" / "web" / "web.py"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for library in (
        "aiohttp",
        "prometheus_client",
        "psycopg",
        "psycopg.conninfo",
        "psycopg.rows",
        "psycopg_pool",
    ):
        monkeypatch.setitem(sys.modules, library, MagicMock())
    spec = importlib.util.spec_from_file_location("stand_in_web", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stand_in_web", module)
    spec.loader.exec_module(module)
    return module


def test_identity_and_upstreams_come_from_the_environment(web: ModuleType) -> None:
    config = web.Config.from_environment(
        {
            "SERVICE_NAME": "ws-gateway",
            "WEB_VERSION": "7",
            "NODE_NAME": "gmktec",
            "TASK_NAME": "ws-gateway.1.x",
            "UPSTREAMS": "company=http://ws-company:8080  news=http://ws-news:8080",
        }
    )
    assert config.upstreams == {
        "company": "http://ws-company:8080",
        "news": "http://ws-news:8080",
    }
    assert config.identity() == {
        "service": "ws-gateway",
        "version": "7",
        "node": "gmktec",
        "task": "ws-gateway.1.x",
    }


def test_answers_are_held_back_by_route(web: ModuleType) -> None:
    config = web.Config.from_environment({"WEB_DELAYS": "/items=0.12  /=0.05"})
    assert config.delays == {"/items": 0.12, "/": 0.05}
    assert web.Config.from_environment({}).delays == {}


def test_without_environment_it_is_a_plain_web_service(web: ModuleType) -> None:
    config = web.Config.from_environment({})
    assert (config.port, config.db_read_host, config.upstreams) == (8080, "", {})
    assert config.node == socket.gethostname()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ws-company:8080", ("ws-company", 8080)),
        ("http://ws-company", ("ws-company", 80)),
        ("http://ws-company:8080/", ("ws-company", 8080)),
    ],
)
def test_upstream_urls(web: ModuleType, url: str, expected: tuple[str, int]) -> None:
    assert web._host_port(url) == expected


def addresses(web: ModuleType, upstreams: Any, listed: list[str]) -> list[str]:
    async def ask() -> list[str]:
        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return [(0, 0, 0, "", (address, 8080)) for address in listed]

        asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        found: list[str] = await upstreams._addresses("ws-company", 8080)
        return found

    return asyncio.run(ask())


def test_an_address_that_failed_is_asked_last_for_a_while(web: ModuleType) -> None:
    upstreams = web.Upstreams({})
    listed = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    upstreams._failed_at["192.0.2.2"] = time.monotonic()
    assert {addresses(web, upstreams, listed)[-1] for _ in range(20)} == {"192.0.2.2"}
    upstreams._failed_at["192.0.2.2"] = time.monotonic() - web.AVOID_SECONDS - 1
    assert {addresses(web, upstreams, listed)[-1] for _ in range(60)} == set(listed)


def test_a_virtual_ip_is_asked_twice(web: ModuleType) -> None:
    assert addresses(web, web.Upstreams({}), ["192.0.2.1"]) == ["192.0.2.1"] * web.ATTEMPTS


def test_the_gateway_of_the_stack_file_knows_the_other_services() -> None:
    text = stack_text("services")
    for name in ("company", "trades", "news", "discovery"):
        assert f"{name}=http://ws-{name}:{service(f'ws-{name}').port}" in text
