"""The process that holds packets back: its arithmetic, and itself in a network namespace."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from chaos.agents import slow_path
from chaos.agents.slow_path import Held

AGENT = Path(slow_path.__file__)


def test_packets_go_on_after_the_delay_in_the_order_in_which_they_came() -> None:
    held = Held(1.0, 0.9, random.Random(3))
    dues = [held.add(number, now=number * 0.01) for number in range(200)]
    assert dues == sorted(dues)
    assert all(due - number * 0.01 >= 0.1 for number, due in enumerate(dues))
    assert max(dues) <= 1.99 + 1.9
    assert len(held) == 200
    assert held.due(0.0) is None
    middle = held.due(dues[100])
    assert middle is not None
    assert middle >= 100
    assert held.due(float("inf")) == 199
    assert held.due(float("inf")) is None


def test_it_sleeps_no_longer_than_until_the_next_one_is_due() -> None:
    held = Held(0.2, 0.0, random.Random(1))
    assert held.next_in(5.0, longest=0.5) == 0.5
    held.add(1, now=5.0)
    assert held.next_in(5.1, longest=0.5) == pytest.approx(0.1)
    assert held.next_in(9.0, longest=0.5) == 0.0


def test_messages_are_as_the_kernel_reads_them() -> None:
    message = slow_path.message(slow_path.VERDICT_BATCH, 300, slow_path.attribute(2, b"12345678"))
    assert len(message) == 16 + 4 + 12
    ((kind, payload),) = slow_path.messages(message)
    assert kind == 0x0303
    assert payload[2:4] == (300).to_bytes(2, "big")
    assert slow_path.attribute(7, b"abc") == b"\x07\x00\x07\x00abc\x00"


def test_a_packets_id_is_found_among_its_attributes() -> None:
    header = slow_path.attribute(1, (77).to_bytes(4, "big") + b"\x08\x00\x01")
    other = slow_path.attribute(5, b"\x00\x00\x00\x02")
    assert slow_path.packet_id(b"\0\0\0\0" + other + header) == 77
    assert slow_path.packet_id(b"\0\0\0\0" + other) is None
    assert slow_path.packet_id(b"\0\0\0\0\x01\x00") is None
    assert list(slow_path.messages(b"\x03\x00\x00\x00" + b"\0" * 12)) == []


@pytest.mark.parametrize(
    "words", [[], ["--queue"], ["--quue", "1"], ["--queue", "x", "--delay", "1"]]
)
def test_a_mistake_on_its_command_line(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(AGENT), *words],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr


# In a namespace of its own: a rule on what leaves it for 127.0.0.1, port 5000, and an echo there.
HARNESS = textwrap.dedent("""
    set -e
    ip link set lo up
    iptables -w 5 -t mangle -A POSTROUTING -p udp --dport 5000 -j NFQUEUE --queue-num 7 \\
        --queue-bypass
    exec "$@"
""")


def has_queues() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return (
        subprocess.run(
            ["unshare", "-n", "sh", "-c", HARNESS, "sh", "true"],
            capture_output=True,
            timeout=20,
            check=False,
        ).returncode
        == 0
    )


needs_queues = pytest.mark.skipif(not has_queues(), reason="needs root, iptables and NFQUEUE")


def measure() -> None:
    """Runs inside the namespace: measure round trips without and with the agent, then its ends."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, slow_path.SO_RCVBUFFORCE, 8 << 20)
    server.bind(("127.0.0.1", 5000))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(10)
    import time

    def trips(count: int) -> list[float]:
        taken = []
        for number in range(count):
            sent = time.monotonic()
            client.sendto(str(number).encode(), ("127.0.0.1", 5000))
            assert server.recv(100) == str(number).encode()
            taken.append(time.monotonic() - sent)
        return taken

    def agent(*words: str, wait: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(AGENT), "--queue", "7", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if wait:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return process

    floor = statistics.median(trips(20))
    held = agent("--delay", "0.05", "--jitter", "0.02")
    slow = trips(20)
    assert min(slow) >= 0.03, slow
    assert statistics.median(slow) < 0.05 + 0.02 + 0.2 + floor, slow
    assert max(slow) - min(slow) > 0.005, "no jitter"

    second = agent("--delay", "0.05", wait=False)
    assert second.wait(timeout=10) == 1
    assert second.stderr is not None
    assert "queue 7 cannot be had" in second.stderr.read()

    for number in range(2000):
        client.sendto(b"%d" % number, ("127.0.0.1", 5000))
    assert [int(server.recv(100)) for _ in range(2000)] == list(range(2000))

    client.sendto(b"held", ("127.0.0.1", 5000))
    held.send_signal(signal.SIGTERM)
    assert server.recv(100) == b"held"
    assert held.wait(timeout=10) == 0
    assert statistics.median(trips(20)) < 0.03

    killed = agent("--delay", "5")
    client.sendto(b"x", ("127.0.0.1", 5000))
    killed.kill()
    killed.wait(timeout=10)
    server.settimeout(0.5)
    with contextlib.suppress(TimeoutError):  # the kernel drops or passes what a dead process held
        server.recv(100)
    server.settimeout(10)
    assert statistics.median(trips(20)) < 0.03, "without the agent packets must pass"

    short = agent("--delay", "0.05", "--for", "0.3")
    assert short.wait(timeout=10) == 0

    # What comes while it ends, read or not yet read, is neither lost nor left behind.
    for _ in range(5):
        ended = agent("--delay", "0.05")
        for number in range(3000):
            client.sendto(b"%d" % number, ("127.0.0.1", 5000))
            if number == 1500:
                ended.send_signal(signal.SIGTERM)
        assert ended.wait(timeout=10) == 0
        assert sorted(int(server.recv(100)) for _ in range(3000)) == list(range(3000))


@needs_queues
def test_in_a_network_namespace_packets_are_late_in_order_and_pass_when_it_is_gone() -> None:
    done = subprocess.run(
        [
            *("unshare", "-n", "sh", "-c", HARNESS, "sh"),
            *(sys.executable, "-c", "import test_slow_path; test_slow_path.measure()"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{AGENT.parents[2]}:{Path(__file__).parent}"},
    )
    assert done.returncode == 0, done.stderr
