"""Which ports of a node are open: asked from outside of the Swarm, and of the node itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from docker import DockerClient

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.machine import Machine
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CannotProve, CutoverError

_SCAN: Final = Path(__file__).with_name("agents") / "syn_scan.py"
_SCAN_SECONDS: Final = 180.0
_ROUNDS: Final = 2


def outsider(cluster: Cluster) -> Machine:
    """Return the machine from which nodes are seen as a stranger does: the backup host.

    Raises `CannotProve` where the inventory names none.
    """
    if cluster.backup_host is None:
        raise CannotProve(
            "no machine outside the Swarm is known, so that nothing can be seen from there",
            where=f"inventory of {cluster.name}",
            remedy="Name backups.host.",
        )
    return cluster.backup_host


def addresses(cluster: Cluster) -> dict[str, str]:
    """Return node name → the address by which the Swarm knows it. Raises `CutoverError`."""
    return {node.hostname: node.address for node in cluster.snapshot().nodes}


def open_from(machine: Machine, nodes: Mapping[str, str]) -> dict[str, frozenset[int]]:
    """Return node → its open TCP ports, of all 65,535, as seen from `machine`.

    Raises `CannotProve` when the login there may not use raw sockets, and `CutoverError`.
    """
    try:
        done = machine.run(
            f"python3 - {_ROUNDS} {shlex.join(nodes.values())}",
            stdin=_SCAN.read_bytes(),
            timeout=_SCAN_SECONDS,
        )
    except CommandFailed as error:
        if "PermissionError" in str(error):
            raise CannotProve(
                "the login there may not open a raw socket", where=machine.name, remedy="Use root."
            ) from error
        raise
    return parse_scan(done.stdout, nodes)


def parse_scan(text: str, nodes: Mapping[str, str]) -> dict[str, frozenset[int]]:
    """Read what the scanner prints. Raises `CutoverError` for a node it says nothing of."""
    said = dict(line.partition(" ")[::2] for line in text.splitlines())
    if missing := [name for name, address in nodes.items() if address not in said]:
        raise CutoverError(f"the scan says nothing of {', '.join(missing)}", where="syn_scan.py")
    return {
        name: frozenset(int(port) for port in said[address].split(",") if port)
        for name, address in nodes.items()
    }


def published(cluster: Cluster) -> dict[str, dict[str, frozenset[int]]]:
    """Return service (short name) → node → the ports that it publishes there.

    Through the mesh that is every node, in mode `host` those where a task runs.
    """
    snapshot = cluster.snapshot()
    running = {
        service.name: {
            snapshot.hostname_of(task.node_id)
            for task in snapshot.tasks_of(service.name)
            if task.running
        }
        for service in snapshot.services
    }
    names = {service.name: service.short_name for service in snapshot.services}

    def ask(api: DockerClient) -> list[dict[str, Any]]:
        return list(api.api.services())

    found: dict[str, dict[str, frozenset[int]]] = {}
    for service in cluster.leader().ask(ask):
        name = service["Spec"]["Name"]
        for port in (service.get("Endpoint") or {}).get("Ports") or ():
            number = port.get("PublishedPort")
            if not number:
                continue
            nodes = running.get(name, set()) if port.get("PublishMode") == "host" else cluster.nodes
            for node in nodes:
                places = found.setdefault(names.get(name, name), {})
                places[node] = places.get(node, frozenset()) | {number}
    return found


def expected(row: str, node: str, seen: Mapping[str, Mapping[str, frozenset[int]]]) -> set[int]:
    """Return the ports that must be open on `node` by a row of the feature's table.

    `22, 80 of edge` is 22, and 80 where the service `edge` publishes it. Raises `CutoverError`.
    """
    ports = set()
    for item in row.split(","):
        number, _, service = item.strip().partition(" of ")
        if not number.isdigit():
            raise CutoverError(f"{item.strip()!r} is no port", where="feature", remedy="22 of sshd")
        if not service or int(number) in seen.get(service, {}).get(node, frozenset()):
            ports.add(int(number))
    return ports


def exposure_problems(node: str, found: Iterable[int], wanted: Iterable[int]) -> list[str]:
    """Say how the open ports of a node differ from the list."""
    found, wanted = set(found), set(wanted)
    return [
        *(f"{node}: {port} is open and not in the list" for port in sorted(found - wanted)),
        *(f"{node}: {port} is in the list and not open" for port in sorted(wanted - found)),
    ]


def unlisted(
    seen: Mapping[str, Mapping[str, frozenset[int]]], rows: Mapping[str, str]
) -> list[str]:
    """Say what services publish that no row (node → ports) names, whatever a firewall lets in."""
    found = []
    for service, nodes in sorted(seen.items()):
        for node, ports in sorted(nodes.items()):
            listed = expected(rows[node], node, seen) if node in rows else set()
            found += [
                f"{service} publishes {port} on {node}, which is not in the list"
                for port in sorted(ports - listed)
            ]
    return found


def listening(node: Node, kind: str) -> dict[int, str]:
    """Return port → program of what listens on addresses that others reach; `kind` tcp or udp."""
    option = {"tcp": "-Hltnp", "udp": "-Hlunp"}[kind]
    return parse_listeners(node.run(f"ss {option}", timeout=15).stdout.splitlines())


def untried(cluster: Cluster) -> list[str]:
    """Return `node: addresses` of what the scan, which speaks IPv4, cannot knock at."""
    found = cluster.on_all(
        lambda node: node.run("ip -6 -oneline address show scope global", timeout=15).stdout
    )
    told = {name: global_addresses(text) for name, text in found.items()}
    return [f"{name}: {', '.join(its)}" for name, its in told.items() if its]


def global_addresses(text: str) -> list[str]:
    """Read the addresses that `ip -6 -oneline address` prints."""
    lines = (line.split() for line in text.splitlines())
    return sorted(f[3].partition("/")[0] for f in lines if len(f) > 3 and f[2] == "inet6")


def bound(lines: Sequence[str]) -> list[str]:
    """Return `address:port` of what listens on one IPv4 address only, by lines of `ss -Hltn`.

    As on that of a bridge, where containers of the node get and nobody else. Loopback is left out.
    """
    local = [fields[3] for line in lines if len(fields := line.split(None, 5)) >= 5]
    found = {re.sub(r"%[^:]+", "", each) for each in local if not each.startswith("127.")}
    return sorted(
        each for each in found if re.match(r"[\d.]+:\d+$", each) and not each.startswith("0.0.0.0:")
    )


def parse_listeners(lines: Sequence[str]) -> dict[int, str]:
    """Read lines of `ss -Hl[tu]np`; loopback is left out."""
    found: dict[int, str] = {}
    for line in lines:
        fields = line.split(None, 5)
        if len(fields) < 5:
            continue
        address, _, port = fields[3].rpartition(":")
        if address.startswith(("127.", "[::1]")) or "%lo" in address:
            continue
        program = fields[5] if len(fields) > 5 else ""
        found[int(port)] = program.partition('"')[2].partition('"')[0] or found.get(int(port), "")
    return found
