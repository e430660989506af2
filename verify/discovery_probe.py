"""Runs inside a netcheck container: do names resolve, and does each address answer.

Standard library only.

Reads a JSON list of {"name", "port", "protocol"} from its first argument; prints a JSON list of
{"name", "addresses", "task_addresses", "failures"}.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 8
TIMEOUT = 3.0
# What a client says first, and how a living server's answer begins.
HELLO = {
    "http": (b"GET %s HTTP/1.0\r\nHost: cutover\r\n\r\n", (b"HTTP/1.0 200", b"HTTP/1.1 200")),
    # SSLRequest, PostgreSQL protocol 55.2.11: answered by one byte, S or N.
    "postgres": (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", (b"S", b"N")),
    "redis": (b"PING\r\n", (b"+PONG", b"-NOAUTH")),
}


def resolve(name: str) -> list[str]:
    return sorted({str(info[4][0]) for info in socket.getaddrinfo(name, None, socket.AF_INET)})


def ask(address: str, port: int, protocol: str, path: str) -> str:
    hello, answers = HELLO[protocol]
    with socket.create_connection((address, port), timeout=TIMEOUT) as connection:
        connection.sendall(hello.replace(b"%s", path.encode()))
        answer = connection.recv(64)
    return "" if answer.startswith(answers) else f"answered {answer[:40]!r}"


def check(service: dict[str, str]) -> dict[str, object]:
    result: dict[str, object] = {"name": service["name"], "addresses": [], "task_addresses": []}
    failures = []
    try:
        result["addresses"] = resolve(service["name"])
        result["task_addresses"] = resolve("tasks." + service["name"])
    except OSError as error:
        failures.append(f"does not resolve: {error}")
    # Behind a virtual address each task in turn: one that is out of reach fails now and then only.
    for address in sorted({*result["addresses"], *result["task_addresses"]}):  # type: ignore[misc]
        try:
            failure = ask(
                address, int(service["port"]), service["protocol"], service.get("path") or "/health"
            )
        except OSError as error:
            failure = str(error) or type(error).__name__
        if failure:
            failures.append(f"{address}:{service['port']} {failure}")
    result["failures"] = failures
    return result


if __name__ == "__main__":
    # Side by side: on a broken overlay every address takes its whole timeout.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        print(json.dumps(list(pool.map(check, json.loads(sys.argv[1])))))
