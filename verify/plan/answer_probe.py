"""Run by Python on a node, inside the network of one task: who has these names, and who answers.

Standard input is JSON: {"ask": [{"name", "protocol", "port"}], "knock": [[address, port]],
"look_up": [name]}. Standard output is JSON: {"answers": {name: {"addresses", "said", "failure"}},
"open": [[address, port]], "found": {name: [address]}}. Docker's own DNS is asked directly, for the
node's resolver is not the container's.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

SECONDS = 2.0
DNS = ("127.0.0.11", 53)


def look_up(name: str) -> list[str]:
    """Return the IPv4 addresses of a name (RFC 1035); none when there is no such name."""
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    query += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query += struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(SECONDS)
        asked.sendto(query, DNS)
        answer = asked.recv(4096)
    count, at = struct.unpack(">H", answer[6:8])[0], len(query)
    found = []
    for _ in range(count):
        while answer[at] and answer[at] < 0xC0:  # a name in full; a pointer ends it
            at += answer[at] + 1
        at += 2 if answer[at] >= 0xC0 else 1
        kind, _, _, length = struct.unpack(">HHIH", answer[at : at + 10])
        if kind == 1:
            found.append(socket.inet_ntoa(answer[at + 10 : at + 14]))
        at += 10 + length
    return sorted(found)


def converse(address: str, port: int, send: bytes, until: bytes = b"\n") -> bytes:
    """Send, and return what is answered up to `until` or the end."""
    with socket.create_connection((address, port), SECONDS) as line:
        line.settimeout(SECONDS)
        line.sendall(send)
        said = b""
        while until not in said and len(said) < 65536:
            part = line.recv(4096)
            if not part:
                break
            said += part
    return said


def http(address: str, port: int, path: str) -> str:
    """Return a JSON answer's service, or the status."""
    request = f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"
    head, _, body = converse(address, port, request.encode(), b"\0\0").partition(b"\r\n\r\n")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["service"])
    return head.split(b"\r\n")[0].decode(errors="replace")


def ask(protocol: str, address: str, port: int) -> str:
    """Return who answers: a service's name where the protocol has one, else the kind of server."""
    kind, _, path = protocol.partition(":")
    if kind == "http":
        return http(address, port, path or "/")
    if kind == "influxdb":
        said = converse(address, port, b"GET /ping HTTP/1.0\r\n\r\n", b"\r\n\r\n")
        return kind if b"x-influxdb-version" in said.lower() else said[:40].decode("latin-1")
    if kind == "postgres":  # SSLRequest: yes or no, PostgreSQL manual, 54.2.10
        with socket.create_connection((address, port), SECONDS) as line:
            line.settimeout(SECONDS)
            line.sendall(struct.pack(">II", 8, 80877103))
            said = line.recv(1)
        return kind if said in (b"S", b"N") else repr(said)
    if kind == "redis":
        said = converse(address, port, b"PING\r\n")
        return kind if said.startswith((b"+PONG", b"-NOAUTH")) else said[:40].decode("latin-1")
    if kind == "mariadb":  # the server speaks first: its version ends with a zero byte
        said = converse(address, port, b"", b"\0\0")[4:60]
        return kind if b"MariaDB" in said else said.decode("latin-1")
    banner = converse(address, port, b"").decode("latin-1").split()
    if kind == "smtp":
        return banner[1] if banner[:1] == ["220"] else " ".join(banner)
    if kind == "imap":
        return banner[-2] if banner[-1:] == ["ready"] else " ".join(banner)
    raise SystemExit("unknown protocol " + protocol)


def answer(one: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Look a service up by name and ask each address."""
    told: dict[str, Any] = {"addresses": [], "said": [], "failure": ""}
    try:
        told["addresses"] = look_up(one["name"])
        for address in told["addresses"]:
            told["said"].append(ask(one["protocol"], address, one["port"]))
    except (OSError, IndexError, struct.error) as error:
        told["failure"] = f"{type(error).__name__}: {error}"
    return one["name"], told


def opens(target: tuple[str, int]) -> bool:
    """Whether a connection to (address, port) is accepted."""
    try:
        socket.create_connection((target[0], target[1]), SECONDS).close()
    except OSError:
        return False
    return True


def found(name: str) -> list[str]:
    """Return a name's addresses; none as well when the question has no answer in time."""
    try:
        return look_up(name)
    except OSError:
        return []


def at_once(do: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Do it to every item side by side; a node's smallest Python has no concurrent.futures."""
    results: list[Any] = [None] * len(items)

    def one(number: int) -> None:
        results[number] = do(items[number])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(items))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def main() -> None:
    """Answer the question on standard input."""
    question = json.load(sys.stdin)
    answers = dict(at_once(answer, question.get("ask", [])))
    knocked = question.get("knock", [])
    accepted = [t for t, yes in zip(knocked, at_once(opens, knocked), strict=True) if yes]
    names = question.get("look_up", [])
    led = {n: a for n, a in zip(names, at_once(found, names), strict=True) if a}
    json.dump({"answers": answers, "open": accepted, "found": led}, sys.stdout)


if __name__ == "__main__":
    main()
