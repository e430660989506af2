"""Faults of the network: between nodes, at one node, between services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from chaos import scripts
from chaos.fault import BadArgument, Fault, Plan, Shell, Step, View
from chaos.scripts import Rule

GOSSIP_PORT: Final = 7946
_PORTS: Final = {
    2377: ("tcp",),
    7946: ("tcp", "udp"),
    4789: ("udp",),
}
_ENDS: Final[tuple[tuple[Literal["in", "out"], str], ...]] = (("in", "-s"), ("out", "-d"))
_SLOW_PATH: Final = Path(__file__).parents[1] / "agents" / "slow_path.py"
_AGENT: Final = f"{scripts.FOLDER}/slow-path.{scripts.ID}"
_MOST_PERCENT: Final = 100.0
_LOSS_PROBES: Final = 400


def _another(nodes: Sequence[str], node: str) -> str:
    """Return a node that is not `node`: the way to it is broken, and shows that it is."""
    found = next((name for name in nodes if name != node), None)
    if found is None:
        raise BadArgument(
            f"{node} is the only node of the inventory",
            where="node",
            remedy="A network fault needs a second node: add it to the inventory.",
        )
    return found


def _shut(pattern: str, hook: str, sends: str) -> str:
    """Return the check of a drop: nothing comes through, and the rule has met packets."""
    return (
        f"if {sends}; then echo 'answered: {pattern}'; exit 1; fi\n"
        f'{scripts.packets(hook)}echo "{pattern}: no answer, $packets packets dropped"\n'
        '[ "$packets" -gt 0 ]\n'
    )


def _cut_step(view: View, node: str, peers: Sequence[str], *, ways: Sequence[str]) -> Shell:
    """Drop at `node` what comes from and goes to `peers`."""
    addresses = [view.address(peer) for peer in peers]
    rules = [
        Rule(hook, f"{end} {address}")
        for address in addresses
        for hook, end in _ENDS
        if hook in ways
    ]
    return Shell(
        node,
        do=scripts.add_rules(rules),
        undo=scripts.remove_rules(),
        in_force=_shut(
            f"{node} to {peers[0]}", ways[0], scripts.connects(addresses[0], GOSSIP_PORT)
        ),
    )


@dataclass(frozen=True)
class Cut(Fault):
    """Two nodes that do not hear each other; both hear all others."""

    name: ClassVar[str] = "network.cut"
    summary: ClassVar[str] = "Two nodes lose each other; everybody else hears both."
    blast_radius: ClassVar[str] = (
        "overlay traffic, gossip and, between managers, Raft of that pair; a non-leader cut from "
        "the leader is called down"
    )

    node: str
    peer: str

    def plan(self, view: View) -> Plan:
        """Rules at `node`, both ways."""
        node, peer = view.node(self.node), view.node(self.peer)
        _two(node, peer)
        return Plan((_cut_step(view, node, [peer], ways=("out", "in")),), frozenset({node}))


@dataclass(frozen=True)
class OneWay(Fault):
    """Packets from one node do not reach another; answers would."""

    name: ClassVar[str] = "network.one-way"
    summary: ClassVar[str] = "Nothing from `source` reaches `node`; the other way is open."
    blast_radius: ClassVar[str] = "every connection of that pair, as TCP needs both ways"

    node: str
    source: str

    def plan(self, view: View) -> Plan:
        """Rules at the receiving `node`."""
        node, source = view.node(self.node), view.node(self.source)
        _two(node, source)
        return Plan((_cut_step(view, node, [source], ways=("in",)),), frozenset({node}))


@dataclass(frozen=True)
class Isolate(Fault):
    """A node that hears nobody but the harness's own ssh."""

    name: ClassVar[str] = "network.isolate"
    summary: ClassVar[str] = "A node is cut off from everything but the harness's ssh; it runs on."
    blast_radius: ClassVar[str] = (
        "the node is called down, its tasks are started elsewhere while its own go on running; "
        "clients do not reach it"
    )

    node: str

    def plan(self, view: View) -> Plan:
        """Rules on the interface towards the other nodes, forwarded packets included."""
        node = view.node(self.node)
        peer = _another(view.nodes, node)
        address = view.address(peer)
        rules = [
            Rule("in", scripts.not_our_ssh("in"), "RETURN"),
            Rule("out", scripts.not_our_ssh("out"), "RETURN"),
            Rule("in", '-i "$dev"'),
            Rule("out", '-o "$dev"'),
        ]
        step = Shell(
            node,
            do=scripts.device_to(address) + scripts.add_rules(rules),
            undo=scripts.remove_rules(),
            in_force=_shut(f"{node} to {peer}", "out", scripts.connects(address, GOSSIP_PORT)),
        )
        return Plan((step,), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class Partition(Fault):
    """A group of nodes that hears itself and nobody else."""

    name: ClassVar[str] = "network.partition"
    summary: ClassVar[str] = (
        "A group of nodes (`a minority of the managers`, `a majority of the managers`, or names "
        "with commas) is split from all others."
    )
    blast_radius: ClassVar[str] = (
        "the smaller side cannot change anything; its tasks run on and are started again on the "
        "larger side"
    )

    side: str

    def plan(self, view: View) -> Plan:
        """Rules at each node of the smaller side, against each node of the larger one."""
        side = view.group(self.side)
        others = tuple(name for name in view.nodes if name not in side)
        if not others:
            raise BadArgument(
                f"{self.side!r} is every node: nothing is left to split it from", where="target"
            )
        inner, outer = sorted((side, others), key=len)
        steps = tuple(_cut_step(view, node, outer, ways=("out", "in")) for node in inner)
        return Plan(steps, frozenset(inner), _without_majority(view, side, others))


def _without_majority(view: View, side: Sequence[str], others: Sequence[str]) -> frozenset[str]:
    """Return the nodes that Swarm loses: those on the side with fewer managers."""
    managers = set(view.managers)
    return frozenset(min((side, others), key=lambda group: len(managers & set(group))))


@dataclass(frozen=True)
class Port(Fault):
    """One of Swarm's ports shut at one node: 2377, 7946 and 4789 fail in different ways."""

    name: ClassVar[str] = "network.port"
    summary: ClassVar[str] = "One of Swarm's ports (2377, 7946, 4789) is shut at one node."
    blast_radius: ClassVar[str] = (
        "2377: a manager loses its peers, a worker its managers (if the managers' port is shut); "
        "7946: names and overlay routes go stale while the node stays Ready; 4789: overlay "
        "traffic alone stops"
    )

    node: str
    port: int

    def plan(self, view: View) -> Plan:
        """Rules for packets to that port, at the node and from it, in every protocol it has."""
        node = view.node(self.node)
        if self.port not in _PORTS:
            raise BadArgument(
                f"{self.port} is none of Swarm's ports",
                where="port",
                remedy=f"Choose of {', '.join(map(str, _PORTS))}.",
            )
        peer = _another((*view.managers, *view.nodes), node)
        address = view.address(peer)
        rules = [
            Rule(hook, f"-p {protocol} --{end} {self.port}")
            for protocol in _PORTS[self.port]
            for hook in ("in", "out")
            for end in ("dport", "sport")
        ]
        if "tcp" in _PORTS[self.port]:
            sends = scripts.connects(address, self.port)
        else:  # no answer to wait for: that the packet is dropped is what can be seen
            sends = (
                f"timeout 0.5 bash -c 'echo cutover >/dev/udp/{address}/{self.port}' 2>/dev/null"
                " && false"
            )
        step = Shell(
            node,
            do=scripts.add_rules(rules),
            undo=scripts.remove_rules(),
            in_force=_shut(f"{node} to {peer} port {self.port}", "out", sends),
        )
        # 2377 at a manager costs the Swarm that manager; elsewhere it is the managers' view.
        gone = {node} if self.port == 2377 else set()
        return Plan((step,), frozenset({node}), frozenset(gone))


@dataclass(frozen=True)
class Loss(Fault):
    """Some packets between a node and the others get lost, at random."""

    name: ClassVar[str] = "network.loss"
    summary: ClassVar[str] = "A share of a node's packets to and from the other nodes is lost."
    blast_radius: ClassVar[str] = (
        "every connection of the node is slower; above some 30 % gossip fails"
    )

    node: str
    percent: float = 10.0

    def plan(self, view: View) -> Plan:
        """Rules with xt_statistic, `percent` each way."""
        node = view.node(self.node)
        if not 0 < self.percent <= _MOST_PERCENT:
            raise BadArgument("must be above 0 and at most 100", where="percent")
        view.require("statistic")
        peers = [view.address(name) for name in view.nodes if name != node]
        random = f"-m statistic --mode random --probability {self.percent / 100:.6f}"
        rules = [Rule(hook, f"{end} {peer} {random}") for peer in peers for hook, end in _ENDS]
        # Of `_LOSS_PROBES` packets sent, all but about one in 10^5 samples lie within 4.4 sigma.
        share = self.percent / 100
        sigma = (_LOSS_PROBES * share * (1 - share)) ** 0.5
        low, high = _LOSS_PROBES * share - 4.4 * sigma, _LOSS_PROBES * share + 4.4 * sigma
        send = f"for _ in $(seq {_LOSS_PROBES}); do echo cutover >/dev/udp/{peers[0]}/9; done"
        step = Shell(
            node,
            do=scripts.add_rules(rules),
            undo=scripts.remove_rules(),
            in_force=(
                f"{scripts.packets('out')}before=$packets\nbash -c '{send}' 2>/dev/null\n"
                f"{scripts.packets('out')}lost=$((packets - before))\n"
                f'echo "$lost of {_LOSS_PROBES} packets lost on the way out"\n'
                f'[ "$lost" -ge {max(1, int(low))} ] && [ "$lost" -le {int(high) + 50} ]\n'
            ),
        )
        return Plan((step,), frozenset({node}))


@dataclass(frozen=True)
class Bandwidth(Fault):
    """A node that sends no faster than a limit."""

    name: ClassVar[str] = "network.bandwidth"
    summary: ClassVar[str] = "What a node sends is limited to a rate (token bucket)."
    blast_radius: ClassVar[str] = "everything that the node sends, the harness's ssh included"

    node: str
    kilobits: int = 1000

    def plan(self, view: View) -> Plan:
        """A tbf qdisc with a handle of ours; an existing qdisc of somebody else's is refused."""
        node = view.node(self.node)
        if not 8 <= self.kilobits <= 10_000_000:
            raise BadArgument("must be between 8 and 10000000 kbit/s", where="kilobits")
        peer = _another(view.nodes, node)
        address = view.address(peer)
        tbf = f"tbf rate {self.kilobits}kbit burst 16kb latency 200ms"
        # 300 packets of 1200 bytes are 360 kB, beyond a bucket of 16 kB below some 100 Mbit/s.
        flood = (
            "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
            f" [s.sendto(b'x'*1200, ('{address}', 9)) for _ in range(300)]"
        )
        seen = (
            f"tc -s qdisc show dev \"$dev\" | sed -n '/tbf {scripts.QDISC_HANDLE} /,/^qdisc/p'"
            " | sed -n 's/.*overlimits \\([0-9]*\\).*/\\1/p' | head -n 1"
        )
        step = Shell(
            node,
            do=_add_qdisc(address, tbf),
            undo=_remove_qdisc(address),
            in_force=(
                f"{scripts.device_to(address)}before=$({seen})\n"
                '[ -n "$before" ] || { echo "no limit on $dev"; exit 1; }\n'
                f'python3 -c "{flood}" 2>/dev/null\nafter=$({seen})\n'
                'echo "$((after - before)) times over the limit on $dev"\n'
                '[ "$after" -gt "$before" ]\n'
            ),
        )
        return Plan((step,), frozenset({node}))


def _add_qdisc(address: str, qdisc: str, *, enter: str = "") -> str:
    """Return the script that adds a root qdisc; never replaces one that somebody else made."""
    return (
        f"{scripts.device_to(address)}"
        f'{enter}tc qdisc add dev "$dev" root handle {scripts.QDISC_HANDLE} {qdisc}\n'
    )


def _remove_qdisc(address: str) -> str:
    return (
        f"{scripts.device_to(address)}"
        f"tc qdisc show dev \"$dev\" root | grep -qF ' {scripts.QDISC_HANDLE} ' || exit 0\n"
        f'tc qdisc del dev "$dev" root handle {scripts.QDISC_HANDLE}\n'
    )


@dataclass(frozen=True)
class ServiceCut(Fault):
    """One service that does not reach another, wherever their tasks run."""

    name: ClassVar[str] = "network.service-cut"
    summary: ClassVar[str] = "The tasks of one service do not reach those of another."
    blast_radius: ClassVar[str] = (
        "requests of `service` to `peer`; tasks started meanwhile are not cut off"
    )

    service: str
    peer: str

    def plan(self, view: View) -> Plan:
        """Rules in the network namespace of each task of `service`."""
        peers = view.tasks(self.peer)
        targets = sorted(
            {address for peer in peers for address in peer.addresses.values()}
            | set(view.virtual_addresses(self.peer))
        )
        if view.service(self.service) == view.service(self.peer):
            raise BadArgument("a service cannot be cut from itself", where="peer")
        steps: list[Step] = []
        for task in view.tasks(self.service):
            shared = {
                peer.addresses[network]
                for peer in peers
                for network in peer.addresses.keys() & task.addresses.keys()
            }
            if not shared:
                raise BadArgument(
                    f"{self.service} and {self.peer} share no network", where="target"
                )
            rules = [Rule("out", f"-d {address}") for address in targets]
            address = sorted(shared)[0]
            send = f"nsenter -t {task.pid} -n bash -c 'echo cutover >/dev/udp/{address}/9'"
            steps.append(
                Shell(
                    task.node,
                    do=scripts.add_rules(rules, pid=task.pid),
                    undo=scripts.remove_rules(pid=task.pid),
                    in_force=(
                        f"timeout 1 {send} 2>/dev/null\n"
                        f"{scripts.packets('out', pid=task.pid)}"
                        f'echo "{self.service} to {address}: $packets packets dropped"\n'
                        '[ "$packets" -gt 0 ]\n'
                    ),
                )
            )
        return Plan(tuple(steps), frozenset(step.node for step in steps))


@dataclass(frozen=True)
class DnsFailure(Fault):
    """A service whose tasks cannot look up a name any more."""

    name: ClassVar[str] = "network.dns-failure"
    summary: ClassVar[str] = "Name look-ups of a service's tasks get no answer (they time out)."
    blast_radius: ClassVar[str] = (
        "every new connection that the service makes by name; tasks started meanwhile are spared"
    )

    service: str

    def plan(self, view: View) -> Plan:
        """Rules before the NAT by which the engine's resolver is reached at 127.0.0.11:53."""
        service = view.service(self.service)
        rules = [
            Rule("local", f"-d 127.0.0.11 -p {protocol} --dport 53") for protocol in ("udp", "tcp")
        ]
        steps = tuple(
            Shell(
                task.node,
                do=scripts.add_rules(rules, pid=task.pid),
                undo=scripts.remove_rules(pid=task.pid),
                in_force=(
                    f"answer=$(nsenter -t {task.pid} -n bash -c '{dns_question(service)}'"
                    " 2>/dev/null | od -An -tx1 | head -n 1)\n"
                    'if [ -n "$answer" ]; then echo "its resolver answers"; exit 1; fi\n'
                    f"{scripts.packets('local', pid=task.pid)}"
                    'echo "no answer from its resolver, $packets questions dropped"\n'
                    '[ "$packets" -gt 0 ]\n'
                ),
            )
            for task in view.tasks(self.service)
        )
        return Plan(steps, frozenset(step.node for step in steps))


def dns_question(name: str) -> str:
    """Return bash that asks 127.0.0.11 for the A record of `name` and prints the answer's header.

    RFC 1035, section 4.1.
    """
    labels = "".join(
        f"\\x{len(label):02x}{label}" for label in name.encode("idna").decode().split(".")
    )
    header = "\\xc0\\xfe\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
    return (
        "exec 3<>/dev/udp/127.0.0.11/53; "
        f'printf "{header}{labels}\\x00\\x00\\x01\\x00\\x01" >&3; timeout 1 head -c 12 <&3'
    )


@dataclass(frozen=True)
class Latency(Fault):
    """Packets from a node to the others arrive late."""

    name: ClassVar[str] = "network.latency"
    summary: ClassVar[str] = "What a node sends to the other nodes is delayed, with jitter."
    blast_radius: ClassVar[str] = "every round trip between the node and the others"
    needs: ClassVar[str] = "netem or nfqueue"

    node: str
    milliseconds: float = 100.0
    jitter: float = 0.0

    def plan(self, view: View) -> Plan:
        """Netem where the kernel has it; else a process of ours that holds queued packets back."""
        node = view.node(self.node)
        if not 1 <= self.milliseconds <= 10_000 or not 0 <= self.jitter <= self.milliseconds:
            raise BadArgument(
                "milliseconds must be 1 to 10000, jitter 0 to milliseconds", where="network.latency"
            )
        peers = [name for name in view.nodes if name != node]
        first = view.address(peers[0])
        measure = _round_trip(first)
        least = (self.milliseconds - self.jitter) * 0.9
        in_force = f'{measure}\necho "round trip $ms ms"\n[ "$ms" -ge {int(least)} ]\n'
        if view.has("netem"):
            netem = f"netem delay {self.milliseconds:g}ms {self.jitter:g}ms limit 20000"
            step = Shell(
                node,
                do=_add_qdisc(first, netem),
                undo=_remove_qdisc(first),
                in_force=in_force,
            )
            return Plan((step,), frozenset({node}))
        view.require("nfqueue")
        rules = [
            Rule("out", f"-d {view.address(peer)}", 'NFQUEUE --queue-num "$queue" --queue-bypass')
            for peer in peers
        ]
        step = Shell(
            node,
            do=_start_slow_path(self.milliseconds / 1000, self.jitter / 1000)
            + scripts.add_rules(rules),
            undo=f"{scripts.remove_rules()}{scripts.end_processes()}rm -f {_AGENT} {_AGENT}.out\n",
            in_force=in_force,
        )
        return Plan((step,), frozenset({node}))


def _start_slow_path(delay: float, jitter: float) -> str:
    """Return the script that starts what holds queued packets back, and waits until it does.

    Its queue's number follows from the fault's id. Its rules let packets pass when it is gone.
    """
    return (
        f"queue=$((0x{scripts.ID} % 65000 + 100))\ncat >{_AGENT} <<'CUTOVER_AGENT'\n"
        f"{_SLOW_PATH.read_text(encoding='utf-8')}\nCUTOVER_AGENT\n"
        f'{scripts.PROCESS_MARK}={scripts.ID} setsid python3 {_AGENT} --queue "$queue"'
        f" --delay {delay:g} --jitter {jitter:g} --seed 1 </dev/null >{_AGENT}.out 2>&1 &\n"
        f"for _ in $(seq 50); do grep -q ready {_AGENT}.out && break; sleep 0.1; done\n"
        f"grep -q ready {_AGENT}.out || {{ cat {_AGENT}.out >&2; exit 1; }}\n"
    )


def _round_trip(address: str) -> str:
    """Return shell text that sets `ms` to the time that a TCP connection to `address` takes.

    The shortest of several: a delay is in each, a busy machine's in some.
    """
    code = (
        "import socket, time\n"
        "took = []\n"
        "while len(took) < 5 and sum(took) < 1:\n"
        "    t = time.monotonic()\n"
        f"    socket.create_connection(('{address}', {GOSSIP_PORT}), timeout=15).close()\n"
        "    took.append(time.monotonic() - t)\n"
        "print(int(min(took) * 1000))\n"
    )
    return f'ms=$(python3 -c "{code}" 2>/dev/null)\n[ -n "$ms" ] || ms=0'


def _two(first: str, second: str) -> None:
    if first == second:
        raise BadArgument(f"both ends are {first}", where="target", remedy="Name two nodes.")
