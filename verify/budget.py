"""A server's budget: its CPU load, memory and swap over a window, read on the node itself.

A server's /proc tells of it alone. A twin's node is a container, whose /proc shows the whole
machine: there the node's own cgroup is read, which is the root of what it sees, its cgroup
namespace being private. Exporters that run on the node are asked too: two that tell different
stories prove nothing.

CPU load is the share of the time of all cores that was not idle: 1 is every core busy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.deployment import MEMORY_DIVISOR
from fixtures.cluster.inventory import Kind
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CannotProve, CutoverError
from fixtures.waiting import Pending, eventually
from verify import exporters
from verify.exporters import Exporter, Story
from verify.node_usage import GROUP, READ, Group, Reading, parse

#: Between two looks. Each costs the node an ssh command of some 10 ms.
EVERY_SECONDS: Final = 2.0
#: Bytes. The plan's GB are taken as decimal ones: the smaller reading of its limit.
GB: Final = 1e9
#: A reading and an exporter's may differ by that share of ours, or by the floor, as the two are
#: not made at the same moment.
MOST_DIFFERENCE: Final = 0.15
LOAD_FLOOR: Final = 0.03
MEMORY_FLOOR_GB: Final = 0.1
#: Above this share of its machine's CPU in use, a node may have wanted more than it got.
MACHINE_FULL: Final = 0.95
#: Each of the eight CPU times in /proc/stat is cut to whole ticks.
_TICKS_LOST: Final = 8


class Source(StrEnum):
    """Where a node's values come from."""

    PROC = "the machine's /proc"
    GROUP_V1 = "the node's own cgroup (v1)"
    GROUP_V2 = "the node's own cgroup (v2)"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value ± error that stands on `n` looks."""

    value: float
    error: float
    n: int


@dataclass(frozen=True, slots=True)
class Told:
    """What an exporter on the node said at both ends of the window, or why it did not."""

    service: str
    kind: Exporter
    stories: tuple[Story, Story] | None
    failure: str = ""


@dataclass(frozen=True)
class Watched:
    """A node over a window: at least two readings, in order.

    `carried` are the tasks that ran there at both ends (their ids), without those of services that
    run on every node. `memory_scale`: a twin's memory times that stands for the server's.
    """

    node: str
    source: Source
    readings: Sequence[Reading]
    carried: tuple[frozenset[str], frozenset[str]]
    memory_scale: float = 1.0
    told: Sequence[Told] = ()

    @property
    def seconds(self) -> float:
        """How long the window is."""
        return self.readings[-1].at - self.readings[0].at

    def load(self) -> Figure:
        """Return the average CPU load of the window, per core."""
        value, error = load_between(self.source, self.readings[0], self.readings[-1])
        return Figure(value, error, len(self.readings))

    def highest_load(self) -> Figure:
        """Return the highest load between two looks that follow each other."""
        loads = [load_between(self.source, *pair) for pair in pairwise(self.readings)]
        return Figure(*max(loads), len(loads))

    def memory_gb(self) -> Figure:
        """Return the most memory in use at a look, in GB, scaled.

        Its error is half the largest step from one look to the next: what may hide in between.
        """
        used = [memory_of(self.source, r) * self.memory_scale / GB for r in self.readings]
        steps = [abs(after - before) for before, after in pairwise(used)]
        return Figure(max(used), max(steps, default=0.0) / 2, len(used))

    def swapping(self) -> list[str]:
        """Say what is in swap, and what went in or out of it meanwhile.

        Raises `CannotProve` for a twin whose machine has no swap: nothing there could go wrong.
        """
        if self.source is not Source.PROC and self.readings[-1].swap_size == 0:
            raise CannotProve(
                "this machine has no swap, so a node of a twin on it cannot swap",
                where=f"node {self.node}",
                remedy="Run it on a machine with swap, or on the servers.",
            )
        looks = [swap_of(self.source, reading) for reading in self.readings]
        most, moved = max(swap for swap, _ in looks), looks[-1][1] - looks[0][1]
        problems = [f"{most / 1e6:.1f} MB are in swap"] if most > 0 else []
        if moved:
            problems.append(f"{moved} pages were swapped within {self.seconds:.0f} s")
        return problems

    def doubts_of_load(self, limit: float) -> list[str]:
        """Return what makes the load unfit to be held against `limit`.

        One above it is no less above it because the node may have got too little.
        """
        if unfit := self._unfit():
            return unfit
        found = [doubt for told in self.told if (doubt := self._load_differs(told))]
        machine, _ = load_between(Source.PROC, self.readings[0], self.readings[-1])
        if self.load().value < limit and machine > MACHINE_FULL:
            found.append(
                f"its machine was {100 * machine:.0f} % busy: the node may have wanted more"
            )
        return found

    def doubts_of_memory(self) -> list[str]:
        """Return what makes the memory unfit to be judged."""
        return self._unfit() or [
            doubt for told in self.told if (doubt := self._memory_differs(told))
        ]

    def _unfit(self) -> list[str]:
        """Return why nothing can be said of the node at all."""
        if any(
            after.at <= before.at
            or after.ticks <= before.ticks
            or (after.group and before.group and after.group.cpu < before.group.cpu)
            for before, after in pairwise(self.readings)
        ):
            return [f"{self.node} was started anew while it was watched"]
        before, after = self.carried
        if not before:
            return [f"{self.node} runs none of the plan's services: it would keep any budget"]
        if before != after:
            return [f"tasks came to {self.node} or left it while it was watched"]
        return []

    def _load_differs(self, told: Told) -> str:
        if told.stories is None:
            return f"{told.service} runs on {self.node} and gives no metrics: {told.failure}"
        source = self._source_of(told)
        own, _ = load_between(source, self.readings[0], self.readings[-1])
        theirs = told_load(told.stories, self.readings[-1].cores)
        if theirs is None:
            return f"{told.service} stood still while {self.node} was watched"
        return difference(f"CPU load per core by {source}", own, told.service, theirs, LOAD_FLOOR)

    def _memory_differs(self, told: Told) -> str:
        if told.stories is None:
            return f"{told.service} runs on {self.node} and gives no metrics: {told.failure}"
        source = self._source_of(told)
        if told.kind.of_group and source is Source.PROC:
            return ""  # a server's root cgroup counts no memory: there is nothing to compare
        own = memory_of(source, self.readings[-1]) / GB
        theirs = told.stories[1].memory_used / GB
        return difference(f"GB in use by {source}", own, told.service, theirs, MEMORY_FLOOR_GB)

    def _source_of(self, told: Told) -> Source:
        """Return where a reading of the same thing comes from."""
        group = self.readings[-1].group
        if not told.kind.of_group or group is None:
            return Source.PROC
        return _source_of_group(group)

    def notes(self) -> list[str]:
        """Say, for the report, what the values are and what they are not."""
        found = [
            f"{self.node}: CPU and memory are read from {self.source}, {len(self.readings)} times "
            f"in {self.seconds:.0f} s. It runs {len(self.carried[0])} tasks of the plan's services."
        ]
        last = self.readings[-1]
        if self.source is Source.PROC:
            found.append(
                f"{self.node}: CPU load is the share of CPU time in use. The load average of the "
                f"last minute, which counts who waits for a disk too, was "
                f"{last.load_average / last.cores:.2f} per core."
            )
        else:
            used = self.memory_gb().value / self.memory_scale
            found += [
                f"{self.node}: its CPU load is per core of this machine ({last.cores}), which all "
                "nodes and clients share.",
                f"{self.node}: the twin's services have 1/{self.memory_scale:g} of the plan's "
                f"memory, so the {used:.2f} GB in use count {self.memory_scale:g} times. Engine "
                "and system are as large as a server's: that errs on the high side.",
            ]
        if not self.told:
            found.append(f"{self.node}: no exporter runs there: its values are not cross-checked.")
        found += [
            f"{self.node}: cross-checked with {told.service}, which tells of "
            + ("its cgroup." if told.kind.of_group else "the machine whose /proc it sees.")
            for told in self.told
        ]
        return found

    def table(self) -> str:
        """Return the readings as text, a line a look."""
        lines = ["second  CPU per core  its machine  GB in use  MB in swap"]
        first = self.readings[0]
        for before, after in pairwise(self.readings):
            own, machine = (load_between(s, before, after)[0] for s in (self.source, Source.PROC))
            memory, (swap, _) = memory_of(self.source, after), swap_of(self.source, after)
            lines.append(
                f"{after.at - first.at:6.1f}  {own:12.3f}  {machine:11.3f}  {memory / GB:9.3f}"
                f"  {swap / 1e6:10.1f}"
            )
        return "\n".join(lines)


def source_for(kind: Kind, reading: Reading) -> Source:
    """Return where the values of a node are to be taken from.

    Raises `CannotProve` for a twin's node that has no cgroup of its own to show.
    """
    if kind is Kind.SERVERS:
        return Source.PROC
    if reading.group is None:
        raise CannotProve(
            "a twin's node shows no CPU time and memory of its own",
            where=GROUP,
            remedy="The engine under the twin must have the cgroup controllers cpu and memory.",
        )
    return _source_of_group(reading.group)


def _source_of_group(group: Group) -> Source:
    return Source.GROUP_V2 if group.version == 2 else Source.GROUP_V1


def load_between(source: Source, first: Reading, last: Reading) -> tuple[float, float]:
    """Return the CPU load per core between two readings, and its error; NaN if no time passed.

    A cgroup's CPU time is exact, and the time between the looks is known to when the clock was read
    before and after it. /proc/stat needs no clock: its ticks say themselves how many there were.
    """
    ticks, seconds = last.ticks - first.ticks, last.at - first.at
    if ticks <= 0 or seconds <= 0:
        return math.nan, 0.0
    if source is Source.PROC:
        return (last.busy - first.busy) / ticks, _TICKS_LOST / ticks
    used = _group_of(last).cpu - _group_of(first).cpu
    load = used / (seconds * last.cores)
    return load, load * (first.at_error + last.at_error) / seconds


def memory_of(source: Source, reading: Reading) -> float:
    """Return the bytes in use that cannot go at once."""
    return reading.memory if source is Source.PROC else _group_of(reading).memory


def swap_of(source: Source, reading: Reading) -> tuple[float, int]:
    """Return the bytes in swap, and the pages swapped in and out so far.

    What a cgroup's kernel does not count is taken from the machine: that is no less.
    """
    if source is Source.PROC:
        return reading.swap, reading.swapped
    group = _group_of(reading)
    return (
        reading.swap if group.swap is None else group.swap,
        reading.swapped if group.swapped is None else group.swapped,
    )


def _group_of(reading: Reading) -> Group:
    if reading.group is None:
        raise CutoverError("vanished while the node was watched", where=GROUP)
    return reading.group


def told_load(stories: tuple[Story, Story], cores: int) -> float | None:
    """Return the CPU load per core between what an exporter said twice; None if it stood still."""
    first, last = stories
    if first.cpu_all is not None and last.cpu_all is not None:
        passed = last.cpu_all - first.cpu_all
    else:
        passed = (last.at - first.at) * cores
    return (last.cpu_busy - first.cpu_busy) / passed if passed > 0 else None


def difference(what: str, own: float, service: str, theirs: float, floor: float) -> str:
    """Say that two readings of one thing differ by too much; empty when they do not."""
    if abs(theirs - own) <= max(floor, MOST_DIFFERENCE * own):
        return ""
    return f"{what} is {own:.3f}, but {theirs:.3f} by {service}"


def carried_by(snapshot: Snapshot, hostname: str) -> frozenset[str]:
    """Return the ids of the tasks that run on a node, without services that run on every node."""
    everywhere = {service.name for service in snapshot.services if service.is_global}
    return frozenset(t.id for t in snapshot.running_on(hostname) if t.service not in everywhere)


def read(node: Node) -> Reading:
    """Look at a node through testinfra. Raises `CutoverError`."""
    return parse(node.host.check_output(READ))


def watch(cluster: Cluster, node: Node, seconds: float) -> Watched:
    """Look at `node` again and again for at least `seconds`; ask its exporters at both ends.

    Raises `CutoverError`, and `CannotProve` when a twin's node cannot be told from its machine.
    """
    source = source_for(cluster.inventory.kind, read(node))
    snapshot = cluster.snapshot()
    asked = exporters.on_node(snapshot, node.name)
    before = [_story(cluster, service, kind, node.name) for service, kind in asked]
    readings: list[Reading] = []
    end = time.monotonic() + seconds

    def look() -> bool | Pending:
        readings.append(read(node))
        left = end - time.monotonic()
        return left <= 0 or Pending(f"{left:.0f} s left")

    eventually(look, within=seconds + 30, every=EVERY_SECONDS, what=f"{node.name} watched")
    after = [_story(cluster, service, kind, node.name) for service, kind in asked]
    told = [
        _told(service, kind, one, other)
        for (service, kind), one, other in zip(asked, before, after, strict=True)
    ]
    scale = MEMORY_DIVISOR if cluster.is_twin else 1.0
    carried = (carried_by(snapshot, node.name), carried_by(cluster.snapshot(), node.name))
    return Watched(node.name, source, readings, carried, scale, told)


def _told(service: str, kind: Exporter, first: Story | str, last: Story | str) -> Told:
    if isinstance(first, Story) and isinstance(last, Story):
        return Told(service, kind, (first, last))
    return Told(service, kind, None, next(s for s in (first, last) if isinstance(s, str)))


def _story(cluster: Cluster, service: str, kind: Exporter, node: str) -> Story | str:
    """Return what an exporter says, or why it says nothing."""
    try:
        return exporters.scrape(cluster, service, kind, node)
    except CutoverError as error:
        return str(error)
