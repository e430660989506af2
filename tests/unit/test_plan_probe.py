"""The probe that asks by name from inside a network, against servers of this test's own."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from verify.plan import answer_probe

HERE = "127.0.0.1"


@contextmanager
def server(answer: bytes, *, speaks_first: bool = False) -> Iterator[int]:
    """Answer one connection with these bytes, after a request or before; yields the port."""
    with socket.create_server((HERE, 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                if not speaks_first:
                    line.recv(4096)
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join(5)


BODY = b'HTTP/1.0 200 OK\r\n\r\n{"service": "a"}\n'
MARIADB = b"\x5a\0\0\0\x0a11.8.9-MariaDB-0\0\x01\0\0\0salt\0\0"


@pytest.mark.parametrize(
    ("protocol", "answer", "first", "said"),
    [
        ("http", BODY, False, "a"),
        ("http:/edge-version", BODY, False, "a"),
        ("http", b"HTTP/1.0 503 No\r\n\r\nx", False, "HTTP/1.0 503 No"),
        ("http", b"HTTP/1.0 200 OK\r\n\r\n[]", False, "HTTP/1.0 200 OK"),
        ("influxdb", b"HTTP/1.1 204 N\r\nX-Influxdb-Version: 1.6\r\n\r\n", False, "influxdb"),
        ("influxdb", b"HTTP/1.1 204 N\r\n\r\n", False, "HTTP/1.1 204 N\r\n\r\n"),
        ("postgres", b"N", False, "postgres"),
        ("postgres", b"H", False, "b'H'"),
        ("redis", b"-NOAUTH Authentication required.\r\n", False, "redis"),
        ("redis", b"+PONG\r\n", False, "redis"),
        ("redis", b"-ERR no\r\n", False, "-ERR no\r\n"),
        ("mariadb", MARIADB, True, "mariadb"),
        ("smtp", b"220 mailcow-postfix ESMTP\r\n", True, "mailcow-postfix"),
        ("imap", b"* OK [CAPABILITY IMAP4rev1] mailcow-dovecot ready\r\n", True, "mailcow-dovecot"),
    ],
)
def test_who_answers(protocol: str, answer: bytes, first: bool, said: str) -> None:
    with server(answer, speaks_first=first) as port:
        assert answer_probe.ask(protocol, HERE, port) == said


def test_a_protocol_that_it_does_not_know() -> None:
    with server(b"hello\r\n", speaks_first=True) as port, pytest.raises(SystemExit):
        answer_probe.ask("gopher", HERE, port)


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Yield what sets the answer of a server that stands in Docker's place."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((HERE, 0))
        listening.settimeout(5)
        monkeypatch.setattr(answer_probe, "DNS", listening.getsockname())
        threads = []

        def answers(records: bytes, count: int) -> None:
            def serve() -> None:
                query, client = listening.recvfrom(512)
                head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, count, 0, 0)
                listening.sendto(head + query[12:] + records, client)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()

        yield answers
        for thread in threads:
            thread.join(5)


def record(address: str, kind: int = 1) -> bytes:
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 600, 4) + socket.inet_aton(address)


def test_a_name_s_addresses(dns: Callable[..., None]) -> None:
    dns(record("10.0.0.6") + record("10.0.0.5") + record("1.2.3.4", kind=2), 3)
    assert answer_probe.look_up("tasks.web") == ["10.0.0.5", "10.0.0.6"]


def test_a_name_that_nobody_has(dns: Callable[..., None]) -> None:
    dns(b"", 0)
    assert answer_probe.look_up("web") == []


def test_a_service_whose_name_leads_nowhere_or_whose_port_is_shut(dns: Callable[..., None]) -> None:
    dns(record(HERE), 1)
    with socket.create_server((HERE, 0)) as once:
        shut = once.getsockname()[1]
    name, told = answer_probe.answer({"name": "web", "protocol": "redis", "port": shut})
    assert name == "web"
    assert told["addresses"] == [HERE]
    assert "ConnectionRefusedError" in told["failure"]


def test_which_ports_are_open() -> None:
    with socket.create_server((HERE, 0)) as listening:
        port = listening.getsockname()[1]
        assert answer_probe.opens((HERE, port))
    assert not answer_probe.opens((HERE, port))
