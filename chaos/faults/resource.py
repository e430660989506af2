"""Faults of what a node has too little of: CPU, memory, disk, inodes, disk throughput."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import ClassVar, Final

from chaos import scripts
from chaos.fault import BadArgument, Fault, Plan, Shell, View
from chaos.faults.task import first_task
from fixtures.errors import CannotProve

# A filler beyond this is a mistake: the path lies on a large file system, perhaps one that others
# share (a twin's nodes share this machine's disk).
_MOST_FILLED_KB: Final = 2 * 1024 * 1024
_MOST_INODES: Final = 200_000


@dataclass(frozen=True)
class CpuBurn(Fault):
    """Processes that use all the CPU they get."""

    name: ClassVar[str] = "resource.cpu"
    summary: ClassVar[str] = "Busy processes take CPU time from everything on the node."
    blast_radius: ClassVar[str] = "all of the node (on a twin: all of this machine)"

    node: str
    workers: int = 1

    def plan(self, view: View) -> Plan:
        """In force when the workers have used CPU time while being looked at."""
        node = view.node(self.node)
        if not 1 <= self.workers <= 256:
            raise BadArgument("must be 1 to 256", where="workers")
        burn = scripts.start_process("while :; do :; done")
        ticks = (
            f"ticks=$(grep -lzs '^{scripts.PROCESS_MARK}={scripts.ID}$' /proc/[0-9]*/environ"
            " | sed 's/environ$/stat/' | xargs -r awk '{ n += $14 + $15 } END { print n + 0 }')\n"
            "ticks=${ticks:-0}\n"
        )
        step = Shell(
            node,
            do=burn * self.workers,
            undo=scripts.end_processes(),
            in_force=(
                f"{ticks}before=$ticks\nsleep 0.2\n{ticks}{scripts.count_processes()}"
                'echo "$processes busy processes, $((ticks - before)) ticks of CPU in 0.2 s"\n'
                f'[ "$processes" -ge {self.workers} ] && [ "$ticks" -gt "$before" ]\n'
            ),
        )
        return Plan((step,), frozenset({node}))


@dataclass(frozen=True)
class MemoryPressure(Fault):
    """A process that holds memory."""

    name: ClassVar[str] = "resource.memory"
    summary: ClassVar[str] = "A process holds that many megabytes of the node's memory."
    blast_radius: ClassVar[str] = "all of the node; what the kernel then kills is its own choice"

    node: str
    megabytes: int = 512

    def plan(self, view: View) -> Plan:
        """Refused when the node has less than that and a tenth available."""
        node = view.node(self.node)
        if self.megabytes < 1:
            raise BadArgument("must be at least 1", where="megabytes")
        free = int(view.read(node, "awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo"))
        if self.megabytes > 0.9 * free:
            raise BadArgument(
                f"{self.megabytes} MB of {free} MB available would take the harness's own way in",
                where="megabytes",
                remedy="Take less, or use task.out-of-memory within a service's limit.",
            )
        hold = f"import signal; held = b'x' * ({self.megabytes} << 20); signal.pause()"
        rss = (
            f"rss=$(grep -lzs '^{scripts.PROCESS_MARK}={scripts.ID}$' /proc/[0-9]*/environ"
            " | sed 's/environ$/status/' | xargs -r awk '/^VmRSS/ { n += $2 }"
            " END { print int(n / 1024) }')\nrss=${rss:-0}\n"
        )
        step = Shell(
            node,
            do=scripts.start_process(f"exec python3 -c {shlex.quote(hold)}"),
            undo=scripts.end_processes(),
            in_force=f'{rss}echo "$rss MB held"\n[ "$rss" -ge {self.megabytes} ]\n',
        )
        return Plan((step,), frozenset({node}))


def checked_path(path: str) -> str:
    """Return a path that is safe in a script. Raises `BadArgument`."""
    if not re.fullmatch(r"/[A-Za-z0-9._/-]+", path) or "/../" in f"{path}/":
        raise BadArgument(
            f"{path!r} is not an absolute path of letters, digits and ._/-",
            where="path",
        )
    return path.rstrip("/")


def _file_system(view: View, node: str, path: str, column: str) -> int:
    """Return what `df` says of `path` in a column: available KiB or inodes."""
    answer = view.read(node, f"df --output={column} -k {path} 2>/dev/null | tail -n 1")
    if not answer.isdigit():
        raise BadArgument(f"there is no folder {path} on {node}", where="path")
    return int(answer)


@dataclass(frozen=True)
class DiskFull(Fault):
    """A file that leaves no room on a file system."""

    name: ClassVar[str] = "resource.disk-full"
    summary: ClassVar[str] = "A filler file leaves no byte free on the file system of `path`."
    blast_radius: ClassVar[str] = "everything that writes to that file system"
    needs: ClassVar[str] = "a file system with at most 2 GiB free, so that no shared disk is filled"

    node: str
    path: str

    def plan(self, view: View) -> Plan:
        """In force when a write fails with ENOSPC."""
        node = view.node(self.node)
        path = checked_path(self.path)
        free = _file_system(view, node, path, "avail")
        if free > _MOST_FILLED_KB:
            raise CannotProve(
                f"{path} has {free // 1024} MB free, which is too much to fill",
                where=f"node {node}",
                remedy="Name a folder on a file system of its own with at most 2048 MB free.",
            )
        filler = f"{path}/.cutover-{scripts.ID}"
        step = Shell(
            node,
            do=(
                f"{scripts.register_file(filler)}"
                f"fallocate -l {free}K {filler} 2>/dev/null || true\n"
                f"dd if=/dev/zero of={filler} bs=4k oflag=append conv=notrunc 2>/dev/null || true\n"
            ),
            undo=f"rm -f {filler} {filler}.probe\n{scripts.forget_files()}",
            in_force=_cannot_write(f"{filler}.probe", "head -c 65536 /dev/zero"),
        )
        return Plan((step,), frozenset({node}))


@dataclass(frozen=True)
class InodesGone(Fault):
    """A file system on which no file can be made, with room left."""

    name: ClassVar[str] = "resource.inodes"
    summary: ClassVar[str] = "Empty files use up every inode of the file system of `path`."
    blast_radius: ClassVar[str] = "everything that makes files there, although `df` shows room"
    needs: ClassVar[str] = "a file system with at most 200,000 inodes free"

    node: str
    path: str

    def plan(self, view: View) -> Plan:
        """In force when a new file cannot be made."""
        node = view.node(self.node)
        path = checked_path(self.path)
        free = _file_system(view, node, path, "iavail")
        if not 0 < free <= _MOST_INODES:
            raise CannotProve(
                f"{path} has {free} inodes free, which cannot be used up in reasonable time",
                where=f"node {node}",
                remedy=f"Name a folder on a file system with 1 to {_MOST_INODES} free.",
            )
        folder = f"{path}/.cutover-{scripts.ID}"
        step = Shell(
            node,
            do=(
                f"{scripts.register_file(folder)}mkdir {folder}\ncd {folder}\n"
                f"seq {free + 8} | xargs -n 500 touch 2>/dev/null || true\n"
            ),
            undo=(f"rm -rf {folder} {folder}.probe\n{scripts.forget_files()}"),
            in_force=_cannot_write(f"{folder}.probe", "true"),
        )
        return Plan((step,), frozenset({node}))


def _cannot_write(probe: str, source: str) -> str:
    return (
        f"if why=$( {{ {source} >{probe}; }} 2>&1); then\n"
        f"rm -f {probe}; echo 'can be written'; exit 1; fi\n"
        f'rm -f {probe}\necho "${{why##*: }}"\n'
        'case "$why" in *"No space left"*) exit 0;; *"annot create"*) exit 0;; esac\nexit 2\n'
    )


@dataclass(frozen=True)
class IoThrottle(Fault):
    """A container that reads and writes its disk slowly."""

    name: ClassVar[str] = "resource.io-throttle"
    summary: ClassVar[str] = "A task's disk reads and writes are limited to a rate (cgroup)."
    blast_radius: ClassVar[str] = (
        "one task; with cgroup v1 only direct and synchronous writes are slowed, not cached ones"
    )
    needs: ClassVar[str] = "the blkio (v1) or io (v2) cgroup controller"

    service: str
    kilobytes: int = 256

    def plan(self, view: View) -> Plan:
        """A limit in the task's own cgroup, for the disk under the engine's data root."""
        if not 16 <= self.kilobytes <= 10_000_000:
            raise BadArgument("must be 16 to 10000000 kB/s", where="kilobytes")
        task = first_task(view, self.service)
        find = _throttle_place(task.pid)
        rate = self.kilobytes * 1024
        # Twice what the limit lets through in a second: written past the cache, it takes longer.
        blocks = max(1, 2 * self.kilobytes // 16)
        probe = f"/proc/{task.pid}/root/var/tmp/.cutover-{scripts.ID}"
        step = Shell(
            task.node,
            do=(
                f"{find}\n[ -n \"$place\" ] || {{ echo 'no io controller' >&2; exit 1; }}\n"
                f'if [ "$version" = 2 ]; then echo "$disk rbps={rate} wbps={rate}" >$place/io.max\n'
                f'else echo "$disk {rate}" >$place/blkio.throttle.write_bps_device\n'
                f'echo "$disk {rate}" >$place/blkio.throttle.read_bps_device; fi\n'
            ),
            undo=(
                f'[ -d /proc/{task.pid} ] || exit 0\n{find}\n[ -n "$place" ] || exit 0\n'
                'if [ "$version" = 2 ]; then echo "$disk rbps=max wbps=max" >$place/io.max\n'
                'else echo "$disk 0" >$place/blkio.throttle.write_bps_device\n'
                'echo "$disk 0" >$place/blkio.throttle.read_bps_device; fi\n'
                f"rm -f {probe}\n"
            ),
            in_force=(
                f"{find}\nbefore=$(date +%s%N)\n"
                f"sh -c 'echo $$ >'\"$join\"'; exec dd if=/dev/zero of={probe} bs=16k"
                f" count={blocks} oflag=direct 2>/dev/null' || exit 2\n"
                f"ms=$(( ($(date +%s%N) - before) / 1000000 ))\nrm -f {probe}\n"
                f'echo "{blocks * 16} kB written past the cache in $ms ms"\n[ "$ms" -ge 1000 ]\n'
            ),
        )
        return Plan((step,), frozenset({task.node}))


def _throttle_place(pid: int) -> str:
    """Return shell text that sets `place` (the task's cgroup), `version`, `join` and `disk`."""
    return rf"""
place=; version=1; join=/dev/null
v1=$(sed -n 's/^[0-9]*:blkio://p' /proc/{pid}/cgroup)
v2=$(sed -n 's/^0:://p' /proc/{pid}/cgroup)
if [ -n "$v1" ] && [ -e "/sys/fs/cgroup/blkio$v1/blkio.throttle.write_bps_device" ]; then
  place="/sys/fs/cgroup/blkio$v1"; join="$place/cgroup.procs"
elif [ -e "/sys/fs/cgroup$v2/io.max" ]; then
  version=2; place="/sys/fs/cgroup$v2"; join="$place/cgroup.procs"
fi
disk=$(stat -c %d /var/lib/docker)
disk="$((disk >> 8 & 0xfff)):$((disk & 0xff | disk >> 12 & 0xfff00))"
"""
