"""One look at a node: CPU times, memory and swap, of its machine and of its own cgroup. Pure.

`READ` is a shell script that prints them, `parse` reads what it printed. Fields as in proc(5), the
kernel's cgroup-v1/memory and cgroup-v2 documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fixtures.errors import CutoverError

GROUP: Final = "/sys/fs/cgroup"
_V1_CPU, _V1_MEMORY = f"{GROUP}/cpuacct/cpuacct.usage", f"{GROUP}/memory/memory.usage_in_bytes"
_V1_STAT: Final = f"{GROUP}/memory/memory.stat"
_V2_CPU, _V2_MEMORY = f"{GROUP}/cpu.stat", f"{GROUP}/memory.current"
_V2_STAT, _V2_SWAP = f"{GROUP}/memory.stat", f"{GROUP}/memory.swap.current"
_HEAD: Final = "== "
_BEGAN, _ENDED = "began", "ended"

#: CPU times between two looks at the clock, then all the rest: `parse` reads what it prints.
READ: Final = f"""
show() {{ [ -r "$1" ] && {{ echo "{_HEAD}$1"; cat "$1"; }}; }}
echo "{_HEAD}{_BEGAN}"; cat /proc/uptime
echo "{_HEAD}/proc/stat"; grep '^cpu' /proc/stat
for file in {_V1_CPU} {_V2_CPU}; do show "$file"; done
echo "{_HEAD}{_ENDED}"; cat /proc/uptime
for file in /proc/meminfo /proc/vmstat /proc/loadavg \\
  {_V1_MEMORY} {_V1_STAT} {_V2_MEMORY} {_V2_STAT} {_V2_SWAP}; do show "$file"; done
true
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The cgroup at the root of what a node sees, and all below it.

    `cpu` seconds used so far; `memory` bytes without the file cache that can go at once. `swap`
    bytes, and the pages `swapped` in or out so far; None where the kernel does not count them.
    """

    version: int
    cpu: float
    memory: float
    swap: float | None
    swapped: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a node.

    `at` ± `at_error` are seconds of its uptime. `busy` of `ticks` so far is the CPU time of the
    machine's `cores`; `memory`, `swap_size` and `swap` are bytes, `swapped` pages in and out so
    far, of the machine. `load_average` is its last minute's.
    """

    at: float
    at_error: float
    busy: int
    ticks: int
    cores: int
    memory: float
    swap_size: float
    swap: float
    swapped: int
    load_average: float
    group: Group | None


def parse(text: str) -> Reading:
    """Read what `READ` printed. Raises `CutoverError` naming the file that is not as expected."""
    files: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(_HEAD):
            files[line.removeprefix(_HEAD)] = lines = []
        elif files:
            lines.append(line)
    began, ended = (_number(files, name) for name in (_BEGAN, _ENDED))
    busy, ticks, cores = _cpu_times(files)
    memory = _table(files, "/proc/meminfo")
    pages = _table(files, "/proc/vmstat")
    size, free = (_kilobytes(memory, name) for name in ("SwapTotal", "SwapFree"))
    return Reading(
        at=(began + ended) / 2,
        at_error=(ended - began) / 2 + 0.01,  # its own resolution
        busy=busy,
        ticks=ticks,
        cores=cores,
        memory=_kilobytes(memory, "MemTotal") - _kilobytes(memory, "MemAvailable"),
        swap_size=size,
        swap=size - free,
        swapped=int(_value(pages, "pswpin", "/proc/vmstat"))
        + int(_value(pages, "pswpout", "/proc/vmstat")),
        load_average=_number(files, "/proc/loadavg"),
        group=_group(files),
    )


def _cpu_times(files: Mapping[str, Sequence[str]]) -> tuple[int, int, int]:
    """Return busy and all ticks of the machine, and its number of cores.

    The ninth and tenth column, guests, are in the first two already.
    """
    lines = [line.split() for line in _lines(files, "/proc/stat")]
    cores = sum(line[0][3:].isdigit() for line in lines if line)
    try:
        (times,) = ([int(n) for n in line[1:9]] for line in lines if line and line[0] == "cpu")
        idle = times[3] + times[4]
    except (ValueError, IndexError):
        raise _odd("/proc/stat", "has no line of CPU times") from None
    if cores < 1:
        raise _odd("/proc/stat", "names no core")
    return sum(times) - idle, sum(times), cores


def _group(files: Mapping[str, Sequence[str]]) -> Group | None:
    """Return the node's cgroup; None where CPU time or memory of it cannot be read."""
    if _V2_CPU in files and _V2_MEMORY in files:
        stat = _table(files, _V2_STAT)
        cpu = _value(_table(files, _V2_CPU), "usage_usec", _V2_CPU) / 1e6
        swap = _number(files, _V2_SWAP) if _V2_SWAP in files else None
        used = _number(files, _V2_MEMORY) - _value(stat, "inactive_file", _V2_STAT)
        return Group(2, cpu, used, swap, _swapped(stat))
    if _V1_CPU in files and _V1_MEMORY in files:
        stat = {
            name.removeprefix("total_"): value
            for name, value in _table(files, _V1_STAT).items()
            if name.startswith("total_")
        }
        used = _number(files, _V1_MEMORY) - _value(stat, "inactive_file", _V1_STAT)
        # Not memsw.usage less usage: the two are counted in batches and differ without any swap.
        return Group(1, _number(files, _V1_CPU) / 1e9, used, stat.get("swap"), _swapped(stat))
    return None


def _swapped(stat: Mapping[str, float]) -> int | None:
    """Return the pages swapped in and out; older kernels count the returns only."""
    if "pswpin" in stat and "pswpout" in stat:
        return int(stat["pswpin"] + stat["pswpout"])
    returned = stat.get("workingset_refault_anon")
    return None if returned is None else int(returned)


def _lines(files: Mapping[str, Sequence[str]], name: str) -> Sequence[str]:
    if not files.get(name):
        raise _odd(name, "is missing or empty")
    return files[name]


def _number(files: Mapping[str, Sequence[str]], name: str) -> float:
    try:
        return float(_lines(files, name)[0].split()[0])
    except (ValueError, IndexError):
        raise _odd(name, f"begins with no number: {files[name][0][:40]!r}") from None


def _table(files: Mapping[str, Sequence[str]], name: str) -> dict[str, float]:
    """Read lines of a name and a number (and perhaps a unit); others are left out."""
    found = {}
    for line in _lines(files, name):
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdigit():
            found[words[0]] = float(words[1])
    return found


def _value(table: Mapping[str, float], name: str, where: str) -> float:
    if name not in table:
        raise _odd(where, f"has no {name}")
    return table[name]


def _kilobytes(memory: Mapping[str, float], name: str) -> float:
    return 1024 * _value(memory, name, "/proc/meminfo")


def _odd(name: str, what: str) -> CutoverError:
    return CutoverError(
        what, where=f"{name} of the node", remedy="Its kernel is not one that is known here."
    )
