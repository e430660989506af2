"""Whether overlay traffic is encrypted where it leaves a node: markers are sent and looked for."""

from __future__ import annotations

import json
import secrets as random_source
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Task, alive_tasks
from fixtures.errors import CutoverError

_AGENTS: Final = Path(__file__).with_name("agents")
_TAP: Final = _AGENTS / "wire_tap.py"
_EXCHANGE: Final = _AGENTS / "marker_exchange.py"
_PORT: Final = 40999
_SEND_SECONDS: Final = 1.5
_AGENT_SECONDS: Final = 20.0
#: After which a tap that nobody ended ends.
_LONGEST_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Sent:
    """A marker's way through an overlay, from the task on one node to that on another."""

    network: str
    source: str
    target: str


@dataclass(slots=True)
class Tap:
    """What left a node while it was listened to.

    `clear` are the numbers of the patterns that were seen, 0 being the control; `esp` the
    addresses that ESP went to; `tcp` port → segments with content; `lost` frames were missed.
    """

    clear: set[int] = field(default_factory=set)
    esp: set[str] = field(default_factory=set)
    tcp: dict[int, int] = field(default_factory=dict)
    lost: int = 0


def parse_tap(text: str) -> Tap:
    """Read what the agent `wire_tap.py` prints. Raises `CutoverError` when it is cut short."""
    tap, ended = Tap(), False
    for line in text.splitlines():
        kind, *rest = line.split()
        match kind:
            case "clear":
                tap.clear.add(int(rest[0]))
            case "esp":
                tap.esp.add(rest[0])
            case "tcp":
                tap.tcp[int(rest[0])] = int(rest[1])
            case "lost":
                tap.lost, ended = int(rest[0]), True
    if not ended:
        raise CutoverError("the capture ended before its time", where="wire_tap.py")
    return tap


@contextmanager
def tapped(
    node: Node, peers: Sequence[str], patterns: Sequence[bytes], result: Tap
) -> Iterator[None]:
    """Listen to what `node` sends while entered; `result` is filled in when it is left.

    The patterns go through standard input. Raises `CutoverError` when it cannot be listened to.
    """
    command = shlex.join(
        [
            "timeout",
            str(_LONGEST_SECONDS),
            "python3",
            "-c",
            _TAP.read_text(encoding="utf-8"),
            *peers,
        ]
    )
    tap = node.connection.popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert tap.stdin is not None
        assert tap.stdout is not None
        tap.stdin.write("\n".join([*(p.hex() for p in patterns), "", ""]).encode())
        tap.stdin.flush()
        if tap.stdout.readline().strip() != b"ready":
            _, said = tap.communicate(timeout=_AGENT_SECONDS)
            raise CutoverError(
                f"nothing can be captured: {said.decode(errors='replace')[-300:]}",
                where=f"node {node.name}",
            )
        yield
        out, _ = tap.communicate(timeout=_AGENT_SECONDS)
        seen = parse_tap(out.decode(errors="replace"))
        result.clear, result.esp, result.tcp, result.lost = (
            seen.clear,
            seen.esp,
            seen.tcp,
            seen.lost,
        )
    finally:
        tap.kill()
        tap.wait(timeout=5)
        for pipe in (tap.stdin, tap.stdout, tap.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


@contextmanager
def all_tapped(
    cluster: Cluster, patterns: Mapping[str, Sequence[bytes]]
) -> Iterator[dict[str, Tap]]:
    """Listen on every node that `patterns` names; yields the taps, filled in when it is left.

    A node's patterns are numbered from 1; 0 is a control, sent in clear to all other nodes.
    """
    addresses = {node.hostname: node.address for node in cluster.snapshot().nodes}
    taps = {name: Tap() for name in patterns}
    with ExitStack() as stack:
        for name, own in patterns.items():
            control = f"cutover-control-{random_source.token_hex(8)}".encode()
            peers = [address for other, address in addresses.items() if other != name]
            stack.enter_context(tapped(cluster.node(name), peers, [control, *own], taps[name]))
        yield taps


def exchange(
    cluster: Cluster, service: str, networks: Sequence[str]
) -> tuple[dict[Sent, bool], dict[str, Tap], dict[Sent, int]]:
    """Send a marker through each network from each node's task of `service` to each other's.

    `service` is global, its image has Python. Returns whether each arrived, what left each node,
    and each marker's number among the patterns of its source's tap. Raises `CutoverError`.
    """
    snapshot = cluster.snapshot()
    tasks = {
        snapshot.hostname_of(task.node_id): task
        for task in alive_tasks(snapshot.tasks_of(service), snapshot.nodes)
    }
    ways = ways_between(tasks, networks)
    run = random_source.token_hex(8)
    markers = {way: f"cutover-{run}-{number:06}" for number, way in enumerate(ways)}
    own = {name: [way for way in ways if way.source == name] for name in tasks}
    numbers = {way: n for ways in own.values() for n, way in enumerate(ways, start=1)}
    patterns = {name: [markers[way].encode() for way in own[name]] for name in tasks}
    with all_tapped(cluster, patterns) as taps:
        came = _talk(cluster, tasks, markers)
    return {way: markers[way] in came[way.target] for way in ways}, taps, numbers


def ways_between(tasks: Mapping[str, Task], networks: Sequence[str]) -> list[Sent]:
    """Return every ordered pair of nodes on every network that both tasks are on."""
    return [
        Sent(network, source, target)
        for network in networks
        for source in tasks
        for target in tasks
        if source != target
        and network in tasks[source].addresses
        and network in tasks[target].addresses
    ]


def _talk(
    cluster: Cluster, tasks: Mapping[str, Task], markers: Mapping[Sent, str]
) -> dict[str, set[str]]:
    """Have every task send its markers and say which it got."""

    def ask(name: str) -> set[str]:
        send = [
            [tasks[way.target].addresses[way.network], marker]
            for way, marker in markers.items()
            if way.source == name
        ]
        question = json.dumps({"port": _PORT, "seconds": _SEND_SECONDS, "send": send})
        command = ["docker", "exec", "-i", tasks[name].container_id, "python3", "-", question]
        answer = cluster.node(name).run(
            shlex.join(command), stdin=_EXCHANGE.read_bytes(), timeout=_AGENT_SECONDS
        )
        return set(json.loads(answer.stdout))

    with ThreadPoolExecutor(max_workers=len(tasks) or 1) as pool:
        return dict(zip(tasks, pool.map(ask, tasks), strict=True))


def flags(cluster: Cluster, networks: Sequence[str]) -> dict[str, bool]:
    """Return for each network whether it is to be encrypted, by its options."""
    found = cluster.leader().ask(lambda api: api.api.networks(names=list(networks)))
    return {n["Name"]: "encrypted" in (n.get("Options") or {}) for n in found}
