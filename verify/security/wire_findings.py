"""What captures prove of encryption, and what they do not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from fixtures.cluster.swarm import Task
from verify.security.wire import Sent, Tap


@dataclass(frozen=True, slots=True)
class Judged:
    """`problems` and `doubts`; `unproven` says what the kernel cannot show; of `checked` ways."""

    problems: list[str]
    doubts: list[str]
    unproven: list[str]
    checked: int


def judge(
    arrived: Mapping[Sent, bool],
    taps: Mapping[str, Tap],
    numbers: Mapping[Sent, int],
    flagged: Mapping[str, bool],
    addresses: Mapping[str, str],
    *,
    networks: Sequence[str],
    esp: bool,
    others: Mapping[str, Sequence[str]] | None = None,
) -> Judged:
    """Say what the captures show; `esp`: the kernels can encrypt; `addresses` of the nodes.

    Encrypted is a way whose marker arrived, was nowhere in clear where it left, and between whose
    nodes ESP went; that a network has the option proves nothing. One of `networks` through which
    nothing was sent between two of the nodes is in doubt. `others` are networks that nobody tried,
    with who uses them: the option proves nothing, its absence does.
    """
    problems, unproven = [], []
    doubts = [
        f"the capture on {name} did not see what was sent in clear"
        for name, tap in taps.items()
        if 0 not in tap.clear
    ]
    doubts += [f"the capture on {n} missed {t.lost} frames" for n, t in taps.items() if t.lost]
    doubts += [
        f"{network} from {source} to {target}: nothing was sent, no task is there on both"
        for network in networks
        for source, target in permutations(addresses, 2)
        if Sent(network, source, target) not in arrived
    ]
    for way, came in arrived.items():
        what = f"{way.network} from {way.source} to {way.target}"
        tap = taps[way.source]
        if numbers[way] in tap.clear:
            if flagged.get(way.network):
                problems.append(f"{what}: in clear, though the network is said to be encrypted")
            elif esp:
                problems.append(f"{what}: in clear, the network is not encrypted")
            else:
                unproven.append(f"{what}: in clear")
        elif not came:
            told = unproven if flagged.get(way.network) and not esp else doubts
            told.append(f"{what}: nothing arrived")
        elif addresses[way.target] not in tap.esp:
            doubts.append(f"{what}: it arrived, and was seen neither in clear nor as ESP")
    for network, services in (others or {}).items():
        what = f"{network}, that {', '.join(services)} use"
        if flagged.get(network):
            doubts.append(f"{what}, was not tried: add it to the table, and netcheck to it")
        else:
            (problems if esp else unproven).append(f"{what}, is not encrypted by its options")
    return Judged(problems, doubts, unproven, len(arrived))


def others_in_use(tasks: Iterable[Task], listed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return networks not in `listed` that join `tasks` on different nodes, and whose tasks."""
    users: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        for network in task.addresses:
            if network not in listed:
                users[network].append(task)
    return {
        network: tuple(sorted({task.service for task in its}))
        for network, its in sorted(users.items())
        if len({task.node_id for task in its}) > 1
    }


def sealed_problems(taps: Mapping[str, Tap], port: int) -> tuple[list[str], list[str], int]:
    """Judge taps whose one pattern must not leave: problems, doubts, and segments from `port`."""
    problems = [f"{name} sent it in clear" for name, tap in taps.items() if tap.clear - {0}]
    doubts = [
        f"the capture on {name} did not see what was sent in clear, or missed frames"
        for name, tap in taps.items()
        if 0 not in tap.clear or tap.lost
    ]
    segments = sum(tap.tcp.get(port, 0) for tap in taps.values())
    return problems, doubts, segments


def summary(unproven: Sequence[str], checked: int) -> str:
    """Say why this cluster cannot show it, and that the capture would have."""
    seen = sum(line.endswith(": in clear") for line in unproven)
    return (
        "the nodes' kernel has no ESP, so that overlays cannot be encrypted here. The capture "
        f"works: of {checked} markers between tasks on different nodes it read {seen} in clear"
    )
