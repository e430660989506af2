"""What is judged of captures, ports, engines and packet filters; and the agents that look."""

from __future__ import annotations

import importlib.util
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fixtures.cluster.ssh import CommandFailed, Completed
from fixtures.cluster.twin import blueprint
from fixtures.cluster.twin.firewall import rules
from fixtures.errors import CannotProve, CutoverError
from tests.unit.builders import FakeCluster, snapshot, task
from verify.security import engine_api, firewall, ports, wire, wire_findings
from verify.security.firewall import Door
from verify.security.wire import Sent, Tap

AGENTS = Path(wire.__file__).with_name("agents")
ADDRESSES = {"m1": "192.0.2.1", "w1": "192.0.2.2"}
THERE, BACK = Sent("backend", "m1", "w1"), Sent("backend", "w1", "m1")
NUMBERS = {THERE: 1, BACK: 1}


def agent(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, AGENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_addresses_that_the_scan_does_not_knock_at() -> None:
    text = (
        "2: eth0    inet6 2001:db8::7/64 scope global dynamic \\       valid_lft 86400sec\n"
        "4: vpn0    inet6 fd7a::1/128 scope global \\       valid_lft forever\n"
    )
    assert ports.global_addresses(text) == ["2001:db8::7", "fd7a::1"]
    assert ports.global_addresses("") == []


# -- on the wire -------------------------------------------------------------------------------


def judged(
    *, clear: set[int], esp: set[str], flagged: bool, kernel: bool, came: bool = True, lost: int = 0
) -> wire_findings.Judged:
    taps = {"m1": Tap(clear=clear, esp=esp, lost=lost), "w1": Tap({0}, {"192.0.2.1"})}
    arrived = {THERE: came, BACK: True}
    return wire_findings.judge(
        arrived,
        taps,
        NUMBERS,
        {"backend": flagged},
        ADDRESSES,
        networks=["backend"],
        esp=kernel,
    )


def test_a_network_or_a_node_that_nothing_was_sent_through_is_a_doubt() -> None:
    def doubts(networks: list[str], addresses: dict[str, str]) -> list[str]:
        taps = {"m1": Tap({0}, {"192.0.2.2"}), "w1": Tap({0}, {"192.0.2.1"})}
        came = {THERE: True, BACK: True}
        flagged = {"backend": True}
        return wire_findings.judge(
            came, taps, NUMBERS, flagged, addresses, networks=networks, esp=True
        ).doubts

    assert doubts(["backend"], ADDRESSES) == []
    assert doubts(["backend", "public"], ADDRESSES) == [
        "public from m1 to w1: nothing was sent, no task is there on both",
        "public from w1 to m1: nothing was sent, no task is there on both",
    ]
    told = doubts(["backend"], {**ADDRESSES, "w2": "192.0.2.3"})
    assert len(told) == 4
    assert all("w2" in one for one in told)


def test_networks_that_nobody_listed_count_where_they_leave_a_node() -> None:
    def used(*networks: str) -> dict[str, str]:
        return dict.fromkeys(networks, "10.9.0.9")

    tasks = [
        task("shop_api", on="m1", addresses=used("backend", "side")),
        task("shop_db", on="w1", addresses=used("backend", "side")),
        task("shop_a", on="w1", addresses=used("alone")),
        task("shop_b", on="w1", addresses=used("alone")),
    ]
    others = wire_findings.others_in_use(tasks, ["backend"])
    assert others == {"side": ("shop_api", "shop_db")}

    def found(flagged: bool, kernel: bool) -> wire_findings.Judged:
        taps = {"m1": Tap({0}, {"192.0.2.2"}), "w1": Tap({0}, {"192.0.2.1"})}
        return wire_findings.judge(
            {THERE: True, BACK: True},
            taps,
            NUMBERS,
            {"backend": True, "side": flagged},
            ADDRESSES,
            networks=["backend"],
            esp=kernel,
            others=others,
        )

    in_clear = ["side, that shop_api, shop_db use, is not encrypted by its options"]
    assert found(False, True).problems == in_clear
    assert found(False, False).unproven == in_clear
    untried = found(True, True)
    assert (untried.problems, untried.unproven) == ([], [])
    assert untried.doubts == [
        "side, that shop_api, shop_db use, was not tried: add it to the table, and netcheck to it"
    ]


def test_what_arrived_unseen_beside_esp_is_encrypted() -> None:
    found = judged(clear={0}, esp={"192.0.2.2"}, flagged=True, kernel=True)
    assert (found.problems, found.doubts, found.unproven, found.checked) == ([], [], [], 2)


@pytest.mark.parametrize("kernel", [True, False])
def test_in_clear_under_a_flag_is_missed_whatever_the_kernel_can(kernel: bool) -> None:
    found = judged(clear={0, 1}, esp=set(), flagged=True, kernel=kernel)
    assert found.problems == [
        "backend from m1 to w1: in clear, though the network is said to be encrypted"
    ]


def test_without_a_flag_it_is_missed_where_the_kernel_could() -> None:
    found = judged(clear={0, 1}, esp=set(), flagged=False, kernel=True)
    assert found.problems == ["backend from m1 to w1: in clear, the network is not encrypted"]


def test_without_esp_in_the_kernel_it_is_unproven_and_the_capture_is_proven() -> None:
    found = judged(clear={0, 1}, esp=set(), flagged=False, kernel=False)
    assert (found.problems, len(found.unproven)) == ([], 1)
    assert "it read 1 in clear" in wire_findings.summary(found.unproven, found.checked)
    dropped = judged(clear={0}, esp=set(), flagged=True, kernel=False, came=False)
    assert dropped.unproven == ["backend from m1 to w1: nothing arrived"]
    assert "it read 0 in clear" in wire_findings.summary(dropped.unproven, dropped.checked)


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"clear": set()}, "did not see what was sent in clear"),
        ({"lost": 3}, "missed 3 frames"),
        ({"came": False}, "nothing arrived"),
        ({"esp": set()}, "neither in clear nor as ESP"),
        ({"esp": {"192.0.2.9"}}, "neither in clear nor as ESP"),
    ],
)
def test_what_proves_nothing_is_a_doubt(changed: dict[str, Any], doubt: str) -> None:
    good: dict[str, Any] = {"clear": {0}, "esp": {"192.0.2.2"}, "flagged": True, "kernel": True}
    found = judged(**{**good, **changed})
    assert found.problems == []
    assert len(found.doubts) == 1
    assert doubt in found.doubts[0]


def test_what_the_tap_prints_is_read_to_its_end() -> None:
    text = "clear 0 other 192.0.2.2 5\nesp 192.0.2.2 7\nvxlan 192.0.2.3 1\ntcp 2377 4\nlost 0\n"
    assert wire.parse_tap(text) == Tap({0}, {"192.0.2.2"}, {2377: 4}, 0)
    with pytest.raises(CutoverError, match="before its time"):
        wire.parse_tap("clear 0 other 192.0.2.2 5\n")


def test_every_ordered_pair_on_every_common_network_is_tried() -> None:
    tasks = {
        "m1": task("netcheck", addresses={"a": "198.51.100.1", "b": "198.51.100.9"}),
        "m2": task("netcheck", addresses={"a": "198.51.100.2"}),
        "w1": task("netcheck", addresses={"a": "198.51.100.3", "b": "198.51.100.8"}),
    }
    ways = wire.ways_between(tasks, ["a", "b"])
    assert len(ways) == 6 + 2
    assert Sent("b", "w1", "m1") in ways


def test_a_value_that_was_sent_in_clear_is_found() -> None:
    good = Tap({0}, tcp={2377: 3})
    assert wire_findings.sealed_problems({"m1": good}, 2377) == ([], [], 3)
    problems, _, _ = wire_findings.sealed_problems({"m1": Tap({0, 1}), "m2": good}, 2377)
    assert problems == ["m1 sent it in clear"]
    _, doubts, segments = wire_findings.sealed_problems({"m1": Tap()}, 2377)
    assert (len(doubts), segments) == (1, 0)


def ipv4(protocol: int, payload: bytes, target: str = "192.0.2.2") -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    addresses = socket.inet_aton("192.0.2.1") + socket.inet_aton(target)
    return b"\0" * 12 + b"\x08\x00" + header + addresses + payload


def tcp(data: bytes) -> bytes:
    return struct.pack("!HHIIBBHHH", 51000, 2377, 0, 0, 5 << 4, 0, 0, 0, 0) + data


def test_the_tap_tells_frames_apart() -> None:
    classify = agent("wire_tap").classify
    assert classify(ipv4(50, b"\0" * 20)) == ("esp", "192.0.2.2", 0)
    assert classify(ipv4(17, struct.pack("!HHHH", 5, 4789, 20, 0))) == ("vxlan", "192.0.2.2", 0)
    assert classify(ipv4(17, struct.pack("!HHHH", 4789, 9, 20, 0))) == ("other", "192.0.2.2", 0)
    assert classify(ipv4(6, tcp(b"data"))) == ("tcp", "192.0.2.2", 2377)
    # A pure acknowledgement is no content, though a short frame is padded.
    assert classify(ipv4(6, tcp(b"")) + b"\0" * 6) == ("tcp", "192.0.2.2", 0)
    assert classify(b"\0" * 12 + b"\x08\x06" + b"\0" * 40) is None
    assert classify(b"short") is None


# -- ports -------------------------------------------------------------------------------------

EDGE = {"edge": {"m1": frozenset({80})}}


def test_the_list_is_read_by_node() -> None:
    assert ports.expected("22, 80 of edge", "m1", EDGE) == {22, 80}
    assert ports.expected("22, 80 of edge", "w1", EDGE) == {22}
    assert ports.expected("22, 81 of edge", "m1", EDGE) == {22}
    with pytest.raises(CutoverError, match="is no port"):
        ports.expected("ssh", "m1", EDGE)


def test_open_ports_are_held_against_the_list_both_ways() -> None:
    assert ports.exposure_problems("m1", {22, 2375}, {22, 80}) == [
        "m1: 2375 is open and not in the list",
        "m1: 80 is in the list and not open",
    ]
    assert ports.exposure_problems("m1", {22}, {22}) == []


def test_what_a_service_publishes_is_held_against_it_behind_any_firewall() -> None:
    seen = {**EDGE, "leaky": {"w1": frozenset({8099})}}
    rows = {"m1": "22, 80 of edge", "w1": "22, 80 of edge"}
    assert ports.unlisted(seen, rows) == ["leaky publishes 8099 on w1, which is not in the list"]
    assert ports.unlisted(EDGE, rows) == []
    assert ports.unlisted(EDGE, {}) == ["edge publishes 80 on m1, which is not in the list"]


def test_a_node_that_the_scan_does_not_name_is_an_error() -> None:
    assert ports.parse_scan("192.0.2.1 22,80\n192.0.2.2 \n", ADDRESSES) == {
        "m1": {22, 80},
        "w1": frozenset(),
    }
    with pytest.raises(CutoverError, match="nothing of w1"):
        ports.parse_scan("192.0.2.1 22\n", ADDRESSES)


def test_listeners_that_others_reach_are_read() -> None:
    lines = [
        "LISTEN 0 4096 127.0.0.11:39993 0.0.0.0:*",
        'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=39,fd=6))',
        'LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=39,fd=7))',
        'LISTEN 0 4096 *:2377 *:* users:(("dockerd",pid=38,fd=31))',
        "UNCONN 0 0 0.0.0.0:4789 0.0.0.0:*",
        "LISTEN 0 128 [::1]:631 [::]:*",
    ]
    assert ports.parse_listeners(lines) == {22: "sshd", 2377: "dockerd", 4789: ""}


class Outside:
    name = "backup-host"

    def run(self, command: str, **_: Any) -> Completed:
        raise CommandFailed("exit status 1: PermissionError: [Errno 1]", where="backup-host")


def test_without_raw_sockets_or_a_machine_outside_it_is_unproven() -> None:
    with pytest.raises(CannotProve):
        ports.open_from(Outside(), ADDRESSES)  # type: ignore[arg-type]
    cluster: Any = FakeCluster()
    cluster.backup_host = None
    with pytest.raises(CannotProve):
        ports.outsider(cluster)


@pytest.mark.skipif(not hasattr(socket, "AF_PACKET"), reason="Linux only")
def test_the_scanner_finds_what_listens_here() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = subprocess.run(
            [sys.executable, AGENTS / "syn_scan.py", "2", "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "PermissionError" in done.stderr:
            pytest.skip("no raw sockets without root")
        found = ports.parse_scan(done.stdout, {"here": "127.0.0.1"})["here"]
        assert listener.getsockname()[1] in found


# -- the engine's API --------------------------------------------------------------------------


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link:
                    link.recv(4096)
                    link.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def asked(*doors: str) -> str:
    command = [sys.executable, str(AGENTS / "engine_probe.py"), *doors]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


def test_an_engine_is_known_by_its_answer() -> None:
    with (
        server(b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\n\r\nOK") as engine,
        server(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\nOK") as other,
    ):
        assert asked(engine, other, "127.0.0.1:1") == f"answers {engine.replace(':', ' ')} plain\n"


def test_an_engine_s_own_word_of_its_tcp_addresses_is_taken_wherever_they_are() -> None:
    """As moby words it: one on a bridge is knocked at in vain from other nodes."""
    more = "\n         Access to the remote API is equivalent to root access on the host."
    said = {
        "m1": [
            f"WARNING: API is accessible on http://172.17.0.1:2375 without encryption.{more}",
            "WARNING: No swap limit support",
        ],
        "m2": [
            f"[DEPRECATION NOTICE]: API is accessible on https://[fd00::1]:2376 without TLS"
            f" client verification.{more}",
        ],
        "w1": [
            f"WARNING: API is accessible on http://{host}:2375 without encryption.{more}"
            for host in ("127.0.0.1", "localhost", "[::1]")
        ],
        "w2": [],
    }
    reachable, loopback = engine_api.admitted(said)
    assert reachable == [
        "m1 says that it answers at http://172.17.0.1:2375",
        "m2 says that it answers at https://[fd00::1]:2376",
    ]
    assert len(loopback) == 3
    assert all(each.startswith("w1 says that it answers at http://") for each in loopback)


def test_doors_at_addresses_of_a_node_s_own_are_known() -> None:
    lines = [
        'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))',
        "LISTEN 0 128 172.17.0.1:2375 0.0.0.0:*",
        "LISTEN 0 128 172.17.0.1%docker0:99 0.0.0.0:*",
        "LISTEN 0 128 127.0.0.1:2376 0.0.0.0:*",
        "LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:*",
        "LISTEN 0 128 *:2377 *:*",
        "LISTEN 0 128 [fe80::1]%eth0:80 [::]:*",
        "",
    ]
    assert ports.bound(lines) == ["172.17.0.1:2375", "172.17.0.1:99"]


def test_sockets_belong_to_root_and_its_group() -> None:
    found = {"m1": ["660 root /run/docker.sock", "666 root /x.sock"], "w1": ["660 web /y.sock"]}
    problems, blind, checked = engine_api.judge_sockets(found)
    assert (blind, checked) == (["w1"], 3)
    assert [problem.split()[0] for problem in problems] == ["/x.sock", "/y.sock"]


def test_a_node_whose_engine_s_socket_is_elsewhere_was_not_looked_at() -> None:
    good = {"m1": ["660 root /run/docker.sock"], "m2": [], "w1": ["660 root /x/containerd.sock"]}
    assert engine_api.judge_sockets(good) == ([], ["m2", "w1"], 2)


# -- the packet filter -------------------------------------------------------------------------


def test_doors_are_those_of_the_table() -> None:
    rows = [
        {"port": "2377", "protocol": "tcp", "of": "every manager"},
        {"port": "4789", "protocol": "udp", "of": "every node"},
    ]
    found = firewall.doors(rows, ["m1"], ["m1", "w1"])
    assert [str(door) for door in found] == ["2377/tcp of m1", "4789/udp of m1", "4789/udp of w1"]
    with pytest.raises(CutoverError, match="no group"):
        firewall.doors([{**rows[0], "of": "nobody"}], [], [])


def test_who_is_shut_out_and_who_is_let_in_is_said() -> None:
    door = Door("m1", "tcp", 2377)
    good = {("w1", door): True, ("backup-host", door): False}
    assert firewall.problems(good, "backup-host") == []
    bad = {("w1", door): False, ("backup-host", door): True}
    assert firewall.problems(bad, "backup-host") == [
        "2377/tcp of m1 lets backup-host in",
        "2377/tcp of m1 shuts w1 out",
    ]


COUNTS = """Chain INPUT (policy ACCEPT 1 packets, 110 bytes)
    pkts      bytes target     prot opt in     out     source               destination
       5      220            udp  --  *      *       192.0.2.2            0.0.0.0/0            udp dpt:7946 /* cutover counts */
       0        0            17   --  *      *       192.0.2.9            0.0.0.0/0            udp dpt:4789 /* cutover counts */
       7      440            udp  --  *      *       192.0.2.3            0.0.0.0/0            udp dpt:4789
"""  # noqa: E501


def test_counts_are_those_of_our_rules() -> None:
    assert firewall.parse_counts(COUNTS) == {("192.0.2.2", 7946): 5, ("192.0.2.9", 4789): 0}


class Node:
    def __init__(self, name: str, let_in: bool, counted: int = firewall.DATAGRAMS) -> None:
        self.name, self.let_in, self.counted = name, let_in, counted
        self.rules: list[str] = []

    def run(self, command: str, *, stdin: bytes = b"", check: bool = True, **_: Any) -> Completed:
        for line in command.splitlines():
            if " -I INPUT " in line:
                self.rules.append(line.replace(" -I ", " -D "))
            elif line in self.rules:
                self.rules.remove(line)
        out = ""
        if command.startswith("python3 -"):
            doors = [word.split(":")[1:] for word in command.split()[2:] if word.startswith("tcp")]
            if self.let_in:
                out = "".join(f"open {address} {port}\n" for address, port in doors)
        if "-nvxL" in command:
            words = [line.split() for line in self.rules]
            out = "".join(
                f"{self.counted if w[w.index('-s') + 1] != '192.0.2.44/32' else 0} 1 udp -- * * "
                f"{w[w.index('-s') + 1].removesuffix('/32')} 0.0.0.0/0 udp "
                f"dpt:{w[w.index('--dport') + 1]} /* cutover counts */\n"
                for w in words
            )
        if "route get" in command:
            out = "192.0.2.1 dev eth0 src 192.0.2.44 uid 0"
        return Completed(command, 0, out, "")


def test_every_door_is_tried_from_everybody_and_nothing_is_left() -> None:
    cluster: Any = FakeCluster(snapshot())
    cluster.nodes = {name: Node(name, True) for name in ADDRESSES}
    cluster.on_all = lambda action: {n.name: action(n) for n in cluster.nodes.values()}
    every = [Door("m1", "tcp", 2377), Door("m1", "udp", 7946), Door("w1", "udp", 7946)]
    outside: Any = Node("backup-host", False)
    let_in = firewall.knock(cluster, outside, every, ADDRESSES)
    assert len(let_in) == 6
    assert firewall.problems(let_in, "backup-host") == []
    assert all(not node.rules for node in cluster.nodes.values())


@pytest.mark.parametrize(("counted", "open_"), [(3, True), (2, False), (0, False)])
def test_a_datagram_of_a_known_flow_is_not_counted_and_most_are(counted: int, open_: bool) -> None:
    cluster: Any = FakeCluster(snapshot())
    cluster.nodes = {name: Node(name, True, counted) for name in ADDRESSES}
    cluster.on_all = lambda action: {n.name: action(n) for n in cluster.nodes.values()}
    outside: Any = Node("backup-host", False)
    let_in = firewall.knock(cluster, outside, [Door("m1", "udp", 7946)], ADDRESSES)
    assert (firewall.problems(let_in, "backup-host") == []) is open_


def test_a_twins_rules_admit_its_nodes_and_what_is_published() -> None:
    text = rules(["192.0.2.1", "192.0.2.2"], [80])
    lines = text.splitlines()
    assert lines[0] == "*filter"
    assert lines[-1] == "COMMIT"
    nodes = [line for line in lines if line.startswith("-A SWARM-NODES")]
    assert nodes[-1] == "-A SWARM-NODES -j DROP"
    assert "-A SWARM-NODES -s 192.0.2.2 -j RETURN" in nodes
    published = [line for line in lines if line.startswith("-A DOCKER-USER")]
    assert "--ctorigdstport 80 -j RETURN" in published[0]
    assert published[-1].endswith("--ctstate NEW -j DROP")
    assert blueprint.EDGE_PORT in blueprint.PUBLISHED


# -- the exchange ------------------------------------------------------------------------------


def test_markers_are_sent_and_what_came_is_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    question = {"port": port, "seconds": 0.5, "send": [["127.0.0.1", "marker-7"]]}
    command = [sys.executable, str(AGENTS / "marker_exchange.py"), json.dumps(question)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(done.stdout) == ["marker-7"]


def test_knocking_says_what_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [
            sys.executable,
            str(AGENTS / "reach.py"),
            f"tcp:127.0.0.1:{port}",
            "tcp:127.0.0.1:1",
            "udp:127.0.0.1:9",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"open 127.0.0.1 {port}\n"
