"""Faults of single tasks and their containers. Swarm replaces what dies; that is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from chaos import scripts
from chaos.fault import A_MANAGER, BadArgument, Fault, Placed, Plan, Shell, View

_REPLACED_SECONDS: Final = 120.0


def first_task(view: View, service: str) -> Placed:
    """Return the first of the service's running tasks."""
    return view.tasks(service)[0]


def all_tasks_run(service: str) -> str:
    """Return the check, at a manager, that as many tasks of `service` run as are wanted."""
    return (
        f"n=$(docker service ls --filter name={service} --format '{{{{.Name}}}} {{{{.Replicas}}}}'"
        f" | awk '$1 == \"{service}\" {{ print $2 }}') || exit 2\n"
        'echo "$n tasks run"\n[ -n "$n" ] && [ "${n%%/*}" = "${n##*/}" ]\n'
    )


def _ended(container: str) -> str:
    """Return the check that a container does not run any more."""
    state = "'{{.State.Status}} (exit {{.State.ExitCode}}, OOM {{.State.OOMKilled}})'"
    return (
        f"state=$(docker inspect -f {state} {container} 2>/dev/null) || state=removed\n"
        'echo "container: $state"\n[ "${state%% *}" != running ] && [ "${state%% *}" != paused ]\n'
    )


def replaced_step(
    view: View, service: str, task: Placed, do: str, *, undo: str = "", in_force: str = ""
) -> Shell:
    """Return the step that ends a task and is over when Swarm has put another in its place."""
    return Shell(
        task.node,
        do=do,
        undo=undo,
        in_force=in_force or _ended(task.container),
        gone=all_tasks_run(view.service(service)),
        gone_at=A_MANAGER,
        gone_within=_REPLACED_SECONDS,
        timer=bool(undo),
        lasting=False,
    )


@dataclass(frozen=True)
class Kill(Fault):
    """A container is killed."""

    name: ClassVar[str] = "task.kill"
    summary: ClassVar[str] = "A task's container is killed (SIGKILL); Swarm starts another."
    blast_radius: ClassVar[str] = "one task of the service"

    service: str

    def plan(self, view: View) -> Plan:
        """The first running task."""
        task = first_task(view, self.service)
        step = replaced_step(view, self.service, task, f"docker kill {task.container}\n")
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class Stop(Fault):
    """A container is asked to end."""

    name: ClassVar[str] = "task.stop"
    summary: ClassVar[str] = "A task's container is stopped (SIGTERM first); Swarm starts another."
    blast_radius: ClassVar[str] = "one task of the service, after its grace period"

    service: str

    def plan(self, view: View) -> Plan:
        """The first running task."""
        task = first_task(view, self.service)
        step = replaced_step(view, self.service, task, f"docker stop --time 10 {task.container}\n")
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class Pause(Fault):
    """A container stands still."""

    name: ClassVar[str] = "task.pause"
    summary: ClassVar[str] = "A task's processes are frozen; its health check finds out in time."
    blast_radius: ClassVar[str] = "one task of the service; its connections hang"

    service: str

    def plan(self, view: View) -> Plan:
        """The first running task; when Swarm replaces it meanwhile, there is nothing to undo."""
        task = first_task(view, self.service)
        paused = f"docker inspect -f '{{{{.State.Paused}}}}' {task.container} 2>/dev/null"
        step = Shell(
            task.node,
            do=f"docker pause {task.container}\n",
            undo=f'[ "$({paused})" != true ] || docker unpause {task.container}\n',
            in_force=f'paused=$({paused})\necho "paused: $paused"\n[ "$paused" = true ]\n',
            lasting=False,
        )
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class RestartLoop(Fault):
    """The service's tasks on one node die again and again."""

    name: ClassVar[str] = "task.restart-loop"
    summary: ClassVar[str] = "A service's containers on one node are killed as soon as they run."
    blast_radius: ClassVar[str] = "the service's tasks on that node; Swarm may give them to others"

    service: str
    every: float = 2.0

    def plan(self, view: View) -> Plan:
        """A process on the node of the first task kills what it finds, every so many seconds."""
        if not 0.5 <= self.every <= 60:
            raise BadArgument("must be between 0.5 and 60 s", where="every")
        task = first_task(view, self.service)
        name = view.service(self.service)
        count = "/run/cutover-loop.@ID@"
        found = f"docker ps -q --filter label=com.docker.swarm.service.name={name}"
        loop = (
            f"while :; do for c in $({found}); do docker kill $c && echo $c >>{count}; done;"
            f" sleep {self.every:g}; done"
        )
        step = Shell(
            task.node,
            do=scripts.start_process(loop),
            undo=f"{scripts.end_processes()}rm -f {count}\n",
            in_force=(
                f"{scripts.count_processes()}kills=$(wc -l 2>/dev/null <{count} || echo 0)\n"
                'echo "$kills containers killed so far"\n'
                '[ "$processes" -gt 0 ] && [ "$kills" -gt 0 ]\n'
            ),
            gone=all_tasks_run(name),
            gone_at=A_MANAGER,
            gone_within=_REPLACED_SECONDS,
        )
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class OutOfMemory(Fault):
    """A container runs into its own memory limit and the kernel kills it."""

    name: ClassVar[str] = "task.out-of-memory"
    summary: ClassVar[str] = (
        "A task fills its own memory limit; the kernel kills its first process."
    )
    blast_radius: ClassVar[str] = "one task of the service, within its limit"
    needs: ClassVar[str] = "a memory limit on the service"

    service: str

    def plan(self, view: View) -> Plan:
        """Memory is really taken within the container; its first process is made the victim."""
        task = first_task(view, self.service)
        limit = view.read(
            task.node, f"docker inspect -f '{{{{.HostConfig.Memory}}}}' {task.container}"
        )
        if limit in ("", "0"):
            raise BadArgument(
                "has no memory limit: the pressure would be the whole node's",
                where=f"service {self.service}",
                remedy="Set deploy.resources.limits.memory, or use resource.memory.",
            )
        # The kernel picks the process with the highest score, which is otherwise the biggest one:
        # the one that takes the memory, not the service itself.
        do = (
            f"echo 1000 >/proc/{task.pid}/oom_score_adj\n"
            f"timeout 60 docker exec {task.container} sh -c"
            " 'head -c 64G /dev/zero | tail -n 1' >/dev/null 2>&1 || true\n"
        )
        seen = (
            f"oom=$(docker inspect -f '{{{{.State.OOMKilled}}}}' {task.container} 2>/dev/null)"
            " || oom=true\n"
            f"{_ended(task.container)}ended=$?\n"
            '[ "$ended" = 0 ] && [ "$oom" = true ]\n'
        )
        step = replaced_step(view, self.service, task, do, in_force=seen)
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class MemoryNearLimit(Fault):
    """A container uses most of the memory that it may, and lives."""

    name: ClassVar[str] = "task.memory"
    summary: ClassVar[str] = "A task's memory is filled up to a share of its own limit."
    blast_radius: ClassVar[str] = "one task of the service, which may be killed when it needs more"
    needs: ClassVar[str] = "a memory limit on the service"

    service: str
    percent: int = 93

    def plan(self, view: View) -> Plan:
        """A file in the container's /dev/shm: memory that is charged to it and not reclaimed."""
        if not 50 <= self.percent <= 97:
            raise BadArgument("must be 50 to 97", where="percent")
        task = first_task(view, self.service)
        limit = view.read(
            task.node, f"docker inspect -f '{{{{.HostConfig.Memory}}}}' {task.container}"
        )
        if limit in ("", "0"):
            raise BadArgument("has no memory limit", where=f"service {self.service}")
        filler = f"/dev/shm/.cutover-{scripts.ID}"  # noqa: S108 - in the container
        inside = f"docker exec {task.container} sh -c"
        wanted = int(limit) * self.percent // 100
        used = _working_set(task.pid)
        step = Shell(
            task.node,
            do=(
                f'{used}more=$(( {wanted} - used ))\n[ "$more" -gt 0 ] || exit 0\n'
                f'{inside} "head -c $more /dev/zero >{filler}"\n'
            ),
            undo=(
                f"docker inspect {task.container} >/dev/null 2>&1 || exit 0\n"
                f"{inside} 'rm -f {filler}' || [ ! -d /proc/{task.pid} ]\n"
            ),
            # What the kernel counts in batches may be some pages off.
            in_force=(
                f"[ -d /proc/{task.pid} ] || {{ echo ended; exit 1; }}\n"
                f'{used}echo "$used of {limit} bytes"\n'
                f'[ "$used" -ge {int(wanted * 0.98)} ]\n'
            ),
        )
        return Plan((step,), frozenset({task.node}))


def _working_set(pid: int) -> str:
    """Return shell text that sets `used`: what a process's cgroup cannot give back, in bytes."""
    return rf"""
v1=$(sed -n 's/^[0-9]*:memory://p' /proc/{pid}/cgroup 2>/dev/null)
v2=$(sed -n 's/^0:://p' /proc/{pid}/cgroup 2>/dev/null)
if [ -n "$v1" ] && [ -e "/sys/fs/cgroup/memory$v1/memory.usage_in_bytes" ]; then
  place="/sys/fs/cgroup/memory$v1"; used=$(cat "$place/memory.usage_in_bytes")
  cache=$(awk '$1 == "total_inactive_file" {{ print $2 }}' "$place/memory.stat")
else
  place="/sys/fs/cgroup$v2"; used=$(cat "$place/memory.current")
  cache=$(awk '$1 == "inactive_file" {{ print $2 }}' "$place/memory.stat")
fi
used=$(( used - ${{cache:-0}} ))
"""
