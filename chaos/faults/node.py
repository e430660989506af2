"""Faults of whole nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from chaos.fault import A_MANAGER, BadArgument, Fault, Plan, Power, Shell, View
from fixtures.errors import CannotProve

# A node's engine, started again, has its containers to look after first.
_ENGINE_SECONDS: Final = 60.0
_BOOT_SECONDS: Final = 300.0
# What tells one boot from the next: the kernel's id on a server, on a twin its first process.
_BOOT: Final = "cat /proc/sys/kernel/random/boot_id; cut -d' ' -f22 /proc/1/stat"
_ENGINE_STOP: Final = """
if [ -d /run/systemd/system ]; then systemctl stop docker.socket docker
else sv -w 30 force-stop /etc/service/docker; fi
"""
_ENGINE_START: Final = """
if [ -d /run/systemd/system ]; then systemctl start docker.socket docker
else sv start /etc/service/docker; fi
"""
_ENGINE_ANSWERS: Final = "docker version --format '{{.Server.Version}}' 2>/dev/null"
_ENGINE_PID: Final = "pid=$(cat /run/docker.pid 2>/dev/null)\n"


@dataclass(frozen=True)
class PowerOff(Fault):
    """The plug is pulled: no shutdown, no closed connections."""

    name: ClassVar[str] = "node.power-off"
    summary: ClassVar[str] = "The node's plug is pulled; it is put back in the end."
    blast_radius: ClassVar[str] = "the node with all its tasks; a manager also costs a vote"
    needs: ClassVar[str] = "power control"

    node: str

    def plan(self, view: View) -> Plan:
        """Off, and on again."""
        node = view.node(self.node)
        view.require("power control")
        return Plan((Power(node, gone_within=_BOOT_SECONDS),), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class Reboot(Fault):
    """The plug is pulled and put back at once."""

    name: ClassVar[str] = "node.reboot"
    summary: ClassVar[str] = "The node loses its power for a moment and boots."
    blast_radius: ClassVar[str] = "the node with all its tasks, until it has booted"
    needs: ClassVar[str] = "power control"

    node: str

    def plan(self, view: View) -> Plan:
        """Off and on in one; in force once another boot answers."""
        node = view.node(self.node)
        view.require("power control")
        before = view.read(node, _BOOT)
        return Plan(
            (
                Power(node, then_on=True, gone_within=_BOOT_SECONDS),
                Shell(
                    node,
                    do="",
                    undo="",
                    in_force=(
                        f'now=$({_BOOT})\necho "another boot: $now" | head -n 1\n'
                        f"[ \"$now\" != '{before}' ]\n"
                    ),
                    gone=f"{_ENGINE_ANSWERS}\n",
                    within=_BOOT_SECONDS,
                    gone_within=_BOOT_SECONDS,
                    timer=False,
                    lasting=False,
                ),
            ),
            frozenset({node}),
            frozenset({node}),
        )


@dataclass(frozen=True)
class Freeze(Fault):
    """Every process of the node stands still; its connections stay open."""

    name: ClassVar[str] = "node.freeze"
    summary: ClassVar[str] = "Every process of the node is frozen; connections to it hang."
    blast_radius: ClassVar[str] = "the node with all its tasks; what talks to it waits"
    needs: ClassVar[str] = "a twin: a server cannot be frozen from outside"

    node: str

    def plan(self, view: View) -> Plan:
        """Pause the node's container."""
        node = view.node(self.node)
        if not view.is_twin:
            raise CannotProve(
                "a server cannot be frozen from outside",
                where="node.freeze",
                remedy="Use node.engine-freeze or node.power-off.",
            )
        return Plan((Power(node, frozen=True),), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class EngineStop(Fault):
    """The engine is shut down in an orderly way; the node stays up."""

    name: ClassVar[str] = "node.engine-stop"
    summary: ClassVar[str] = "The node's Docker engine is stopped; the node stays up."
    blast_radius: ClassVar[str] = "all tasks of the node; a manager also costs a vote"

    node: str

    def plan(self, view: View) -> Plan:
        """By systemd where it runs, else by the supervisor of a twin's node."""
        node = view.node(self.node)
        step = Shell(
            node,
            do=_ENGINE_STOP,
            undo=_ENGINE_START,
            in_force=(
                f"if {_ENGINE_ANSWERS}; then exit 1; fi\necho 'its engine does not answer'\n"
            ),
            within=_ENGINE_SECONDS,
            gone_within=_ENGINE_SECONDS,
        )
        return Plan((step,), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class EngineFreeze(Fault):
    """The engine hangs: it runs, holds its connections and answers nothing."""

    name: ClassVar[str] = "node.engine-freeze"
    summary: ClassVar[str] = "The node's Docker engine hangs (SIGSTOP); its containers run on."
    blast_radius: ClassVar[str] = (
        "the node is called down and its tasks are started elsewhere while its own run on"
    )

    node: str

    def plan(self, view: View) -> Plan:
        """SIGSTOP to dockerd, SIGCONT in the end."""
        node = view.node(self.node)
        step = Shell(
            node,
            do=f'{_ENGINE_PID}kill -STOP "$pid"\n',
            undo=f'{_ENGINE_PID}[ -z "$pid" ] || kill -CONT "$pid" 2>/dev/null || true\n',
            in_force=(
                f"{_ENGINE_PID}state=$(sed -n 's/^State:[[:space:]]*//p' /proc/$pid/status)\n"
                'echo "dockerd is $state"\n[ "${state%% *}" = T ]\n'
            ),
        )
        return Plan((step,), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class Drain(Fault):
    """The node is emptied by its managers, as before a repair."""

    name: ClassVar[str] = "node.drain"
    summary: ClassVar[str] = "Swarm moves every task away from the node (no failure: a contrast)."
    blast_radius: ClassVar[str] = "the node's tasks move in an orderly way"

    node: str

    def plan(self, view: View) -> Plan:
        """Availability drain, and back to active."""
        node = view.node(self.node)
        tasks = f"$(docker node ps {node} -q --filter desired-state=running | wc -l)"
        available = f"docker node inspect {node} --format '{{{{.Spec.Availability}}}}'"
        step = Shell(
            A_MANAGER,
            do=f"docker node update --availability drain {node}",
            undo=f"docker node update --availability active {node}",
            in_force=(
                f'is=$({available}) || exit 2\nn="{tasks}"\necho "$is, $n tasks meant to run"\n'
                '[ "$is" = drain ] && [ "$n" -eq 0 ]\n'
            ),
            gone=f'is=$({available}) || exit 2\necho "$is"\n[ "$is" = active ]\n',
        )
        return Plan((step,), frozenset({node}), frozenset({node}))


@dataclass(frozen=True)
class ClockStep(Fault):
    """The node's clock jumps."""

    name: ClassVar[str] = "node.clock-step"
    summary: ClassVar[str] = (
        "The node's wall clock jumps by some seconds (certificates, Raft, logs)."
    )
    blast_radius: ClassVar[str] = "everything on the node that reads the time"
    needs: ClassVar[str] = "a clock of the node's own"

    node: str
    seconds: int = 3600

    def plan(self, view: View) -> Plan:
        """Set the clock; the undo takes it back by the same step, however long it was in force."""
        node = view.node(self.node)
        if self.seconds == 0:
            raise BadArgument("must not be 0", where="seconds")
        if view.is_twin:
            raise CannotProve(
                "the nodes of a twin share this machine's clock",
                where="node.clock-step",
                remedy="Run it on servers.",
            )
        mark = "/run/cutover-clock.@ID@"
        # The offset between wall clock and time since boot, before the step, is what is restored.
        offset = "$(awk -v now=$(date +%s) '{ printf \"%d\", now - $1 }' /proc/uptime)"
        step = Shell(
            node,
            do=(
                f"echo {offset} >{mark}\ntimedatectl set-ntp false 2>/dev/null || true\n"
                f"date -s @$(( $(date +%s) + {self.seconds} ))\n"
            ),
            undo=(
                f"[ -e {mark} ] || exit 0\nup=$(cut -d. -f1 /proc/uptime)\n"
                f"date -s @$(( $(cat {mark}) + up ))\n"
                f"timedatectl set-ntp true 2>/dev/null || true\nrm -f {mark}\n"
            ),
            in_force=(
                f"[ -e {mark} ] || exit 1\nstepped=$(( {offset} - $(cat {mark}) ))\n"
                f'echo "$stepped s off"\n[ "${{stepped#-}}" -ge {abs(self.seconds) - 2} ]\n'
            ),
        )
        return Plan((step,), frozenset({node}))
