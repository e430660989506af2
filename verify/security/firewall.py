"""Whether Swarm's ports admit the nodes and nobody else: by trying, not by reading rules."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.machine import Machine
from fixtures.errors import CutoverError

_REACH: Final = Path(__file__).with_name("agents") / "reach.py"
_SECONDS: Final = 20.0
#: What `reach.py` sends to each UDP port.
DATAGRAMS: Final = 5
#: One may have the ports of a VXLAN flow that is known already, which no rule for new ones sees.
_MOST: Final = DATAGRAMS // 2 + 1
_COMMENT: Final = "cutover counts"


@dataclass(frozen=True, slots=True)
class Door:
    """A port of a node that its other nodes need."""

    node: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol} of {self.node}"


def doors(
    rows: Sequence[Mapping[str, str]], managers: Sequence[str], nodes: Sequence[str]
) -> list[Door]:
    """Return the doors of the feature's table (port, protocol, of). Raises `CutoverError`."""
    groups = {"every manager": managers, "every node": nodes}
    found = []
    for row in rows:
        if row["of"] not in groups:
            raise CutoverError(f"{row['of']!r} is no group of nodes", where="feature")
        found += [Door(node, row["protocol"], int(row["port"])) for node in groups[row["of"]]]
    return found


def knock(
    cluster: Cluster, outside: Machine, every: Sequence[Door], addresses: Mapping[str, str]
) -> dict[tuple[str, Door], bool]:
    """Try every door from every other node and from `outside`: (who knocked, door) → let in.

    A datagram has no answer: rules that only count, behind every packet filter of the node (the
    INPUT hook of the nat table comes after all of the filter table's), tell what got in. They are
    taken away again.
    """
    machines: list[Machine] = [*cluster.nodes.values(), outside]
    strangers = {machine.name: _own_address(machine, addresses) for machine in machines}
    with _counting(cluster, every, strangers):
        let_in: dict[tuple[str, Door], bool] = {}
        for machine in machines:
            asked = [door for door in every if door.node != machine.name]
            opened = _reach(machine, asked, addresses)
            let_in |= {(machine.name, door): opened[door] for door in asked if door in opened}
        for node, counts in cluster.on_all(_counts).items():
            for door in (d for d in every if d.node == node and d.protocol == "udp"):
                for name, address in strangers.items():
                    if name != node:
                        seen = counts.get((address, door.port), 0)
                        let_in[name, door] = seen >= _MOST if name in addresses else seen > 0
    return let_in


def _own_address(machine: Machine, addresses: Mapping[str, str]) -> str:
    """The address by which the nodes see `machine`."""
    if machine.name in addresses:
        return addresses[machine.name]
    peer = next(iter(addresses.values()))
    words = machine.run(f"ip -o route get {shlex.quote(peer)}", timeout=_SECONDS).stdout.split()
    return words[words.index("src") + 1]


def _reach(
    machine: Machine, asked: Sequence[Door], addresses: Mapping[str, str]
) -> dict[Door, bool]:
    """Knock from `machine`; returns what is known at once, which is of TCP only."""
    words = [f"{door.protocol}:{addresses[door.node]}:{door.port}" for door in asked]
    done = machine.run(
        f"python3 - {shlex.join(words)}", stdin=_REACH.read_bytes(), timeout=_SECONDS
    )
    opened = {tuple(line.split()[1:]) for line in done.stdout.splitlines()}
    return {
        door: (addresses[door.node], str(door.port)) in opened
        for door in asked
        if door.protocol == "tcp"
    }


def _script(every: Sequence[Door], node: str, strangers: Mapping[str, str], action: str) -> str:
    return "\n".join(
        f"iptables -w 5 -t nat -{action} INPUT -s {address}/32 -p udp --dport {door.port}"
        f' -m comment --comment "{_COMMENT}"'
        for door in every
        if door.node == node and door.protocol == "udp"
        for name, address in strangers.items()
        if name != node
    )


@contextmanager
def _counting(
    cluster: Cluster, every: Sequence[Door], strangers: Mapping[str, str]
) -> Iterator[None]:
    """Count what gets in while entered."""

    def begin(node: Node) -> None:
        end(node)  # what a killed run left
        node.run("set -e\n" + _script(every, node.name, strangers, "I"), timeout=_SECONDS)

    def end(node: Node) -> None:
        script = _script(every, node.name, strangers, "D")
        node.run(script + "\ntrue", timeout=_SECONDS, check=False)

    try:
        cluster.on_all(begin)
        yield
    finally:
        cluster.on_all(end)


def _counts(node: Node) -> dict[tuple[str, int], int]:
    done = node.run("iptables -w 5 -t nat -nvxL INPUT", timeout=_SECONDS)
    return parse_counts(done.stdout)


def parse_counts(text: str) -> dict[tuple[str, int], int]:
    """Read (source, port) → packets from `iptables -nvxL`, of the rules that count."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if _COMMENT not in line or "dpt:" not in line:
            continue
        port = next(word.removeprefix("dpt:") for word in words if word.startswith("dpt:"))
        # A rule without a target has one column less.
        source = words[6]
        found[source.removesuffix("/32"), int(port)] = int(words[0])
    return found


def problems(let_in: Mapping[tuple[str, Door], bool], outside: str) -> list[str]:
    """Say who is shut out that must come in, and that `outside` comes in."""
    return [
        f"{door} lets {who} in" if who == outside else f"{door} shuts {who} out"
        for (who, door), came in sorted(let_in.items(), key=str)
        if came == (who == outside)
    ]
