"""Whether an engine takes orders from whoever asks: over TCP, or through its socket's file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from docker import DockerClient

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.machine import Machine
from fixtures.cluster.swarm import alive_tasks
from fixtures.errors import CutoverError
from verify.security.ports import bound, listening

#: Docker's own, without and with TLS.
PORTS: Final = (2375, 2376)
SOCKET: Final = "/run/docker.sock"
#: What an engine says in /info of each of its TCP addresses (moby, daemon/info.go).
_ADMITTED: Final = re.compile(r"API is accessible on (https?://\S+) without")
_PROBE: Final = Path(__file__).with_name("agents") / "engine_probe.py"
_SECONDS: Final = 30.0


def doors(cluster: Cluster, nodes: Mapping[str, str]) -> list[str]:
    """Return `address:port` of Docker's ports and of all that listens on TCP, of every node."""
    heard = cluster.on_all(lambda node: listening(node, "tcp"))
    return [
        f"{address}:{port}"
        for name, address in nodes.items()
        for port in sorted({*PORTS, *heard[name]})
    ]


def bridges(cluster: Cluster) -> list[str]:
    """Return `address:port` of what listens on a single address of any node: a bridge's, say."""

    def look(node: Node) -> list[str]:
        return bound(node.run("ss -Hltn", timeout=15).stdout.splitlines())

    return sorted({door for found in cluster.on_all(look).values() for door in found})


def own_words(cluster: Cluster) -> tuple[list[str], list[str]]:
    """Ask every engine for what `admitted` reads."""

    def ask(api: DockerClient) -> list[str]:
        return api.info().get("Warnings") or []

    return admitted(cluster.on_all(lambda node: node.ask(ask)))


def admitted(warnings: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the addresses at which engines say they ask for no client's certificate.

    First those that others may reach, whatever a firewall does, then those of the loopback.
    """
    reachable: list[str] = []
    loopback: list[str] = []
    for node, said in warnings.items():
        for address in _ADMITTED.findall("\n".join(said)):
            host = urlsplit(address).hostname or ""
            inside = host.startswith("127.") or host in ("localhost", "::1")
            (loopback if inside else reachable).append(f"{node} says that it answers at {address}")
    return reachable, loopback


def answering_from_outside(machine: Machine, knocked: Iterable[str]) -> list[str]:
    """Return what answers as an engine to `machine`, as `ADDRESS PORT plain|tls`."""
    command = f"python3 - {shlex.join(knocked)}"
    return _answers(machine.run(command, stdin=_PROBE.read_bytes(), timeout=_SECONDS).stdout)


def answering_to_containers(cluster: Cluster, netcheck: str, knocked: Iterable[str]) -> list[str]:
    """Return the same as asked from the `netcheck` task of every node, of all nodes' doors.

    A firewall that faces outward does not face containers. Raises `CutoverError`.
    """
    snapshot = cluster.snapshot()
    tasks = {
        snapshot.hostname_of(task.node_id): task.container_id
        for task in alive_tasks(snapshot.tasks_of(netcheck), snapshot.nodes)
    }
    if missing := sorted(set(cluster.nodes) - set(tasks)):
        raise CutoverError(f"no task on {', '.join(missing)}", where=f"service {netcheck}")
    every = list(knocked)

    def ask(node: Node) -> list[str]:
        command = ["docker", "exec", "-i", tasks[node.name], "python3", "-", *every]
        done = node.run(shlex.join(command), stdin=_PROBE.read_bytes(), timeout=_SECONDS)
        return [f"{answer}, to containers on {node.name}" for answer in _answers(done.stdout)]

    return [answer for found in cluster.on_all(ask).values() for answer in found]


def _answers(text: str) -> list[str]:
    return [line.removeprefix("answers ") for line in text.splitlines()]


def socket_problems(cluster: Cluster) -> tuple[list[str], list[str], int]:
    """Say where others than root and a group may use the engine's socket.

    Returns problems, the nodes where it was not found, and how many sockets were.
    """
    command = f"for s in {SOCKET} /run/containerd/containerd.sock"
    command += " /run/docker/containerd/containerd.sock; do"
    command += ' [ -S "$s" ] && stat -c "%a %U %n" "$s"; done; true'
    found = cluster.on_all(lambda node: node.run(command, timeout=15).stdout.splitlines())
    return judge_sockets(found)


def judge_sockets(found: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str], int]:
    """Judge lines of `mode owner path` by node: problems, blind nodes, sockets."""
    problems, checked = [], 0
    blind = [
        node
        for node, lines in found.items()
        if not any(line.endswith(f" {SOCKET}") for line in lines)
    ]
    for node, lines in found.items():
        for line in lines:
            checked += 1
            mode, owner, path = line.split(None, 2)
            if int(mode, 8) & 0o007 or owner != "root":
                problems.append(f"{path} on {node} has mode {mode} and belongs to {owner}")
    return problems, blind, checked


def control(node: Node) -> bool:
    """Whether an engine that does answer is seen to: the node's own, through a socket of ours.

    For some seconds the engine's socket is reachable at a port of the loopback address only.
    """
    done = node.run(
        f"python3 -c {shlex.quote(_CONTROL)}", stdin=_PROBE.read_bytes(), timeout=_SECONDS
    )
    return bool(json.loads(done.stdout.splitlines()[-1]) == 1)


_CONTROL: Final = """
import json, socket, subprocess, sys, threading
door = socket.create_server(("127.0.0.1", 0))
def serve():
    link, _ = door.accept()
    engine = socket.socket(socket.AF_UNIX); engine.connect("/run/docker.sock")
    engine.sendall(link.recv(4096))
    while part := engine.recv(4096):
        link.sendall(part)
    link.close()
threading.Thread(target=serve, daemon=True).start()
name = "127.0.0.1:%d" % door.getsockname()[1]
said = subprocess.run(["python3", "-", name], input=sys.stdin.buffer.read(), capture_output=True)
print(json.dumps(said.stdout.count(b"answers")))
"""
