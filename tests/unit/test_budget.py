"""A node's readings: from text of /proc and cgroups to values, and what must not be believed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from fixtures.cluster.inventory import Kind
from fixtures.errors import CannotProve, CutoverError
from verify import budget
from verify.budget import Source, Told, Watched
from verify.exporters import EXPORTERS, Story
from verify.node_usage import Group, Reading, parse

NODE_EXPORTER, CADVISOR = EXPORTERS

PROC = """== began
100.00 150.00
== /proc/stat
cpu  100 20 300 5000 400 5 60 7 50 10
cpu0 50 10 150 2500 200 3 30 4 25 5
cpu1 50 10 150 2500 200 2 30 3 25 5
{cpu}== ended
100.04 150.08
== /proc/meminfo
MemTotal:       1000000 kB
MemFree:         100000 kB
MemAvailable:    600000 kB
HugePages_Total:       0
SwapTotal:        50000 kB
SwapFree:         49000 kB
== /proc/vmstat
nr_free_pages 25000
pswpin 3
pswpout 4
== /proc/loadavg
1.50 0.70 0.30 2/300 4242
{memory}"""

V1 = PROC.format(
    cpu="== /sys/fs/cgroup/cpuacct/cpuacct.usage\n12500000000\n",
    memory="""== /sys/fs/cgroup/memory/memory.usage_in_bytes
609210368
== /sys/fs/cgroup/memory/memory.stat
inactive_file 5
swap 6
total_swap 4096
total_pgpgin 437146
total_workingset_refault_anon 2
total_inactive_file 270815232
""",
)
V2 = PROC.format(
    cpu="== /sys/fs/cgroup/cpu.stat\nusage_usec 12500000\nuser_usec 9000000\n",
    memory="""== /sys/fs/cgroup/memory.current
609210368
== /sys/fs/cgroup/memory.stat
anon 300000000
inactive_file 270815232
workingset_refault_anon 2
pswpin 7
pswpout 9
== /sys/fs/cgroup/memory.swap.current
4096
""",
)
BARE = PROC.format(cpu="", memory="")


# --- parsing


def test_proc_counts_every_time_but_idle_and_iowait_and_guests_once() -> None:
    found = parse(BARE)
    assert (found.busy, found.ticks, found.cores) == (492, 5892, 2)
    assert found.memory == 400000 * 1024
    assert (found.swap_size, found.swap, found.swapped) == (50000 * 1024, 1000 * 1024, 7)
    assert found.load_average == 1.5
    assert found.group is None


def test_a_look_is_known_to_when_the_clock_was_read_around_it() -> None:
    found = parse(BARE)
    assert found.at == pytest.approx(100.02)
    assert found.at_error == pytest.approx(0.03)


def test_cgroup_v1_counts_what_is_below_it_without_cache_that_can_go() -> None:
    group = parse(V1).group
    assert group == Group(1, 12.5, 609210368 - 270815232, 4096, 2)


def test_cgroup_v2() -> None:
    group = parse(V2).group
    assert group == Group(2, 12.5, 609210368 - 270815232, 4096, 16)


def test_what_a_kernel_does_not_count_is_none() -> None:
    text = V2.replace("pswpin 7\n", "").replace("== /sys/fs/cgroup/memory.swap.current\n4096\n", "")
    group = parse(text).group
    assert group is not None
    assert (group.swap, group.swapped) == (None, 2)
    group = parse(V1.replace("total_swap 4096\n", "").replace("total_workingset_r", "r")).group
    assert group is not None
    assert (group.swap, group.swapped) == (None, None)


def test_a_memory_controller_alone_is_no_cgroup_to_measure() -> None:
    assert parse(V1.replace("cpuacct.usage", "cpuacct.other")).group is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("MemAvailable", "MemOther"), "/proc/meminfo.*MemAvailable"),
        (("cpu  100", "cpux 100"), "/proc/stat.*CPU times"),
        (("cpu  100 20 300 5000 400", "cpu  100 20 x 5000 400"), "/proc/stat"),
        (("cpu  100 20 300 5000 400 5 60 7 50 10", "cpu  1 2 3"), "/proc/stat"),
        (("cpu0", "core0"), ""),
        (("pswpout", "other"), "/proc/vmstat.*pswpout"),
        (("100.04 150.08", "soon"), "ended.*no number"),
        (("== /proc/loadavg\n1.50 0.70 0.30 2/300 4242\n", ""), "/proc/loadavg.*missing"),
        (("12500000000", ""), "cpuacct.usage.*no number"),
        (("total_inactive_file", "total_other"), "memory.stat.*inactive_file"),
    ],
)
def test_odd_text_names_the_file(change: tuple[str, str], named: str) -> None:
    text = V1.replace(*change)
    if not named:
        assert parse(text).cores == 1
        return
    with pytest.raises(CutoverError, match=named):
        parse(text)


def test_no_text_at_all() -> None:
    with pytest.raises(CutoverError, match="missing or empty"):
        parse("")


# --- where the values come from


def test_a_server_is_read_from_proc_and_a_twin_from_its_cgroup() -> None:
    assert budget.source_for(Kind.SERVERS, parse(V2)) is Source.PROC
    assert budget.source_for(Kind.SERVERS, parse(BARE)) is Source.PROC
    assert budget.source_for(Kind.TWIN, parse(V1)) is Source.GROUP_V1
    assert budget.source_for(Kind.TWIN, parse(V2)) is Source.GROUP_V2
    with pytest.raises(CannotProve, match="no CPU time and memory of its own"):
        budget.source_for(Kind.TWIN, parse(BARE))


# --- judging

TASKS = frozenset({"t1", "t2"})


def readings(
    *, busy: float = 0.5, own: float = 0.2, memory: float = 3e8, step: float = 0.0, n: int = 11
) -> list[Reading]:
    """Return `n` looks 2 s apart on 2 cores: shares of all cores busy, bytes of the group."""
    found = []
    for number in range(n):
        at = 2.0 * number
        group = Group(1, own * 2 * at, memory + number * step, 0, 0)
        ticks = int(200 * at)
        found.append(Reading(at, 0.01, int(busy * ticks), ticks, 2, 8e9, 1e9, 0, 5, 0.5, group))
    return found


def watched(source: Source = Source.GROUP_V1, **fields: Any) -> Watched:
    found = {"readings": readings(), "carried": (TASKS, TASKS)} | fields
    return Watched("gmktec", source, **found)


def test_the_load_is_the_share_of_all_cores_over_the_window() -> None:
    load = watched().load()
    assert load.value == pytest.approx(0.2)
    assert load.error == pytest.approx(0.2 * 0.02 / 20)
    assert load.n == 11
    load = watched(Source.PROC).load()
    assert load.value == pytest.approx(0.5)
    assert load.error == pytest.approx(8 / 4000)


def test_the_highest_load_is_that_between_two_looks() -> None:
    looks = readings()
    assert looks[-1].group is not None
    looks[-1] = replace(looks[-1], group=replace(looks[-1].group, cpu=looks[-1].group.cpu + 2))
    found = watched(readings=looks)
    assert found.highest_load().value == pytest.approx(0.2 + 2 / 4)
    assert found.load().value == pytest.approx(0.2 + 2 / 40)


def test_memory_is_the_most_seen_scaled_and_may_hide_half_a_step() -> None:
    found = watched(readings=readings(memory=1e9, step=1e7), memory_scale=8.0).memory_gb()
    assert found.value == pytest.approx(8 * 1.1)
    assert found.error == pytest.approx(8 * 0.01 / 2)
    assert watched(Source.PROC).memory_gb().value == pytest.approx(8.0)


def test_nothing_swapped() -> None:
    assert watched().swapping() == []


def test_used_swap_and_swapping_are_two_violations() -> None:
    looks = readings()
    assert looks[-1].group is not None
    looks[-1] = replace(looks[-1], group=replace(looks[-1].group, swap=5e6, swapped=12))
    assert watched(readings=looks).swapping() == [
        "5.0 MB are in swap",
        "12 pages were swapped within 20 s",
    ]


def test_a_server_swaps_by_its_proc() -> None:
    looks = readings()
    looks[3] = replace(looks[3], swap=1e6)
    looks[-1] = replace(looks[-1], swapped=6)
    assert len(watched(Source.PROC, readings=looks).swapping()) == 2
    assert watched(readings=looks).swapping() == []


def test_what_a_cgroup_does_not_count_is_the_machines() -> None:
    looks = [
        replace(look, swap=1e6, group=Group(1, number, 1e9, None, None))
        for number, look in enumerate(readings())
    ]
    assert watched(readings=looks).swapping() == ["1.0 MB are in swap"]


def test_a_twin_without_swap_cannot_show_that_it_does_not() -> None:
    looks = [replace(look, swap_size=0) for look in readings()]
    with pytest.raises(CannotProve, match="no swap"):
        watched(readings=looks).swapping()
    assert watched(Source.PROC, readings=looks).swapping() == []


def test_a_node_on_a_full_machine_may_have_wanted_more() -> None:
    full = watched(readings=readings(busy=0.99, own=0.2))
    assert "99 % busy" in full.doubts_of_load(0.3)[0]
    assert full.doubts_of_load(0.1) == [], "above the limit it is above it in any case"
    assert watched().doubts_of_load(0.3) == []


def test_a_node_that_carries_nothing_would_keep_any_budget() -> None:
    idle = watched(carried=(frozenset(), frozenset()))
    assert "none of the plan's services" in idle.doubts_of_load(0.3)[0]
    assert "none of the plan's services" in idle.doubts_of_memory()[0]


def test_tasks_that_move_meanwhile_spoil_it() -> None:
    moved = watched(carried=(TASKS, frozenset({"t1"})))
    assert "left it" in moved.doubts_of_load(0.3)[0]


@pytest.mark.parametrize("what", ["at", "ticks", "group"])
def test_a_node_that_was_started_anew_is_not_judged(what: str) -> None:
    looks = readings()
    anew: dict[str, Any] = {"at": 0.5, "ticks": 1, "group": Group(1, 0.1, 1e8, 0, 0)}
    looks[6] = replace(looks[6], **{what: anew[what]})
    assert "started anew" in watched(readings=looks).doubts_of_load(0.3)[0]
    assert "started anew" in watched(readings=looks).doubts_of_memory()[0]


def test_no_time_between_two_looks_is_no_load() -> None:
    first = readings()[0]
    assert math.isnan(budget.load_between(Source.GROUP_V1, first, first)[0])


def test_a_cgroup_that_vanishes_is_an_error() -> None:
    looks = readings()
    looks[-1] = replace(looks[-1], group=None)
    with pytest.raises(CutoverError, match="vanished"):
        watched(readings=looks).load()


# --- cross-check


def node_told(load: float, memory: float = 8e9) -> Told:
    stories = (Story(0, 0, 0, memory), Story(21, 42 * load, 42, memory))
    return Told("monitoring_node-exporter", NODE_EXPORTER, stories)


def cadvisor_told(load: float, memory: float = 3e8, seconds: float = 20) -> Told:
    stories = (Story(5, 100, None, memory), Story(5 + seconds, 100 + 40 * load, None, memory))
    return Told("monitoring_cadvisor", CADVISOR, stories)


def test_exporters_that_agree_raise_no_doubt() -> None:
    found = watched(told=[node_told(0.52), cadvisor_told(0.22)])
    assert found.doubts_of_load(0.3) == []
    assert found.doubts_of_memory() == []
    assert "cross-checked with monitoring_cadvisor, which tells of its cgroup" in str(found.notes())


def test_an_exporter_with_another_story_is_named_with_both_numbers() -> None:
    found = watched(told=[node_told(0.9, 4e9), cadvisor_told(0.6, 9e8)])
    assert found.doubts_of_load(0.3) == [
        "CPU load per core by the machine's /proc is 0.500, but 0.900 by monitoring_node-exporter",
        "CPU load per core by the node's own cgroup (v1) is 0.200, but 0.600 by "
        "monitoring_cadvisor",
    ]
    assert found.doubts_of_memory() == [
        "GB in use by the machine's /proc is 8.000, but 4.000 by monitoring_node-exporter",
        "GB in use by the node's own cgroup (v1) is 0.300, but 0.900 by monitoring_cadvisor",
    ]


@pytest.mark.parametrize(
    ("own", "theirs", "differs"),
    [
        (0.50, 0.57, False),
        (0.50, 0.58, True),
        (0.50, 0.42, True),
        (0.01, 0.035, False),
        (0.01, 0.05, True),
    ],
)
def test_a_difference_needs_a_share_and_a_floor(own: float, theirs: float, differs: bool) -> None:
    assert bool(budget.difference("x", own, "them", theirs, budget.LOAD_FLOOR)) is differs


def test_an_exporter_that_stands_still_or_is_silent_is_no_confirmation() -> None:
    still = Told("ne", NODE_EXPORTER, (Story(0, 9, 10, 8e9), Story(20, 9, 10, 8e9)))
    assert "stood still" in watched(told=[still]).doubts_of_load(0.3)[0]
    assert "stood still" in watched(told=[cadvisor_told(0.2, seconds=0)]).doubts_of_load(0.3)[0]
    silent = Told("ne", NODE_EXPORTER, None, "connection refused")
    assert "connection refused" in watched(told=[silent]).doubts_of_load(0.3)[0]
    assert "connection refused" in watched(told=[silent]).doubts_of_memory()[0]


def test_a_server_without_a_root_cgroup_counter_compares_what_it_can() -> None:
    looks = [replace(look, group=None) for look in readings()]
    found = watched(Source.PROC, readings=looks, told=[cadvisor_told(0.9, 1e12)])
    assert "0.500, but 0.900" in found.doubts_of_load(0.8)[0]
    assert found.doubts_of_memory() == []


def test_the_report_says_where_values_come_from_and_what_they_stand_for() -> None:
    notes = " ".join(watched(memory_scale=8.0).notes())
    for part in ("own cgroup (v1)", "per core of this machine (2)", "1/8 of the plan's memory"):
        assert part in notes
    assert "not cross-checked" in notes
    server = " ".join(watched(Source.PROC).notes())
    assert "the machine's /proc" in server
    assert "last minute, which counts who waits for a disk too, was 0.25 per core" in server
    assert "plan's memory" not in server


def test_the_table_has_a_line_a_look() -> None:
    lines = watched().table().splitlines()
    assert len(lines) == 11
    assert lines[1].split() == ["2.0", "0.200", "0.500", "0.300", "0.0"]
