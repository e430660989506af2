"""What a server's power command says of itself is no proof that its power is off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import doing
from chaos.fault import Power
from fixtures.waiting import Pending


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def seen(port: int, *, is_twin: bool = False, has_power: bool = False) -> str | Pending:
    entry = SimpleNamespace(address="127.0.0.1", ssh_port=port)
    cluster: Any = SimpleNamespace(
        is_twin=is_twin, node=lambda _: SimpleNamespace(entry=entry, has_power=has_power)
    )
    return doing.in_force(cluster, Power("m1"), "f")


def test_a_machine_that_still_answers_has_power(port: int) -> None:
    assert seen(port) == Pending("m1 still answers at its ssh port")
    assert seen(port, is_twin=True) == "m1 is without power", "a twin's power is its container's"


def test_a_machine_that_refuses_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert seen(free) == Pending("m1 refuses connections, so that its kernel runs")


def test_silence_is_what_a_machine_without_power_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    assert seen(1) == "m1 is without power"
