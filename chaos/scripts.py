"""Shell text that faults share. `@ID@` stands for the fault's id until it is injected. Pure.

Everything that a fault leaves on a node carries that id: iptables chains and comments, files by
their names, processes by an environment variable; qdiscs have a handle of ours. An undo looks for
its own id and for nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

ID: Final = "@ID@"
FOLDER: Final = "/run/cutover"
#: Outlives a restart, as files do: a fault that makes a file on a disk names it here first.
REGISTER: Final = "/var/lib/cutover"
#: Names the fault in the environment of every process that belongs to it.
PROCESS_MARK: Final = "CUTOVER_FAULT"
#: The same for the timer that undoes it: the undo ends the former, never the latter.
TIMER_MARK: Final = "CUTOVER_TIMER"
CHAIN: Final = "CUTOVER-"
#: "c0fe:", which neither the kernel (0:, 8001: and up) nor a person is likely to choose.
QDISC_HANDLE: Final = "c0fe:"

_HOOKS: Final = {"in": "PREROUTING", "out": "POSTROUTING", "local": "OUTPUT"}


def with_id(script: str, fault_id: str) -> str:
    """Put the fault's id into a script."""
    return script.replace(ID, fault_id)


@dataclass(frozen=True, slots=True)
class Rule:
    """One packet filter rule: which way, what it matches, what becomes of the packet.

    `hook` is "in" or "out" of the network namespace, or "local": made in it, before any NAT.
    """

    hook: Literal["in", "out", "local"]
    match: str
    target: str = "DROP"


def _chain(hook: str) -> str:
    return f"{CHAIN}{ID}-{hook}"


def _iptables(pid: int | None) -> str:
    enter = f"nsenter -t {pid} -n " if pid else ""
    return f'ipt() {{ {enter}iptables -w 5 -t mangle "$@"; }}\n'


def add_rules(rules: Sequence[Rule], *, pid: int | None = None) -> str:
    """Return the script that puts `rules` in force, in chains of the fault's own.

    The mangle table sees a packet before and after every NAT, forwarded ones included, so that
    published ports and overlays are covered, which INPUT would miss. The way into a chain is made
    last. `pid` names a process in whose network namespace that is done.
    """
    lines = [_iptables(pid)]
    hooks = sorted({rule.hook for rule in rules})
    lines += [f"ipt -N {_chain(hook)}" for hook in hooks]
    comment = f'-m comment --comment "cutover {ID}"'
    lines += [
        f"ipt -A {_chain(rule.hook)} {rule.match} {comment} -j {rule.target}" for rule in rules
    ]
    lines += [f"ipt -I {_HOOKS[hook]} 1 {comment} -j {_chain(hook)}" for hook in hooks]
    return "\n".join(lines) + "\n"


def remove_rules(*, pid: int | None = None) -> str:
    """Return the script that removes the fault's rules; repeatable, touches no other.

    A filter that says yes to everything must not keep it busy for ever.
    """
    comment = f'-m comment --comment "cutover {ID}"'
    gone = f"[ -d /proc/{pid} ] || exit 0\n" if pid else ""
    removals = "\n".join(
        f"for _ in 1 2 3 4; do ipt -D {point} {comment} -j {_chain(hook)} 2>/dev/null || break\n"
        "done\n"
        f"ipt -F {_chain(hook)} 2>/dev/null; ipt -X {_chain(hook)} 2>/dev/null"
        for hook, point in _HOOKS.items()
    )
    return f"{gone}{_iptables(pid)}{removals}\nif ipt -S | grep -q -- '{ID}'; then exit 1; fi\n"


def packets(hook: str, target: str = "DROP", *, pid: int | None = None) -> str:
    """Return shell text that prints how many packets met the chain's `target` rules."""
    return (
        f"{_iptables(pid)}packets=$(ipt -nvxL {_chain(hook)} 2>/dev/null"
        f" | awk '$3 == \"{target}\" {{ n += $1 }} END {{ print n + 0 }}')\n"
    )


def connects(address: str, port: int) -> str:
    """Return a shell condition: a TCP connection to `address` opens within half a second."""
    return f"timeout 0.5 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null"


def device_to(address: str) -> str:
    """Return shell text that sets `dev` to the interface towards `address`."""
    return f"dev=$(ip -o route get {address} | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')\n"


def not_our_ssh(direction: Literal["in", "out"]) -> str:
    """Return the match of the harness's own ssh connections, from inside such a connection."""
    side, port = ("-s", "--dport") if direction == "in" else ("-d", "--sport")
    return f'-p tcp {side} "${{SSH_CONNECTION%% *}}" {port} "${{SSH_CONNECTION##* }}"'


def start_process(command: str, *, prefix: str = "") -> str:
    """Return the script that starts `command` in the background, marked with the fault's id."""
    return (
        f"{PROCESS_MARK}={ID} setsid {prefix} sh -c {shlex.quote(command)}"
        f" </dev/null >/dev/null 2>&1 &\n"
    )


def end_processes() -> str:
    """Return the script that kills the fault's own processes (SIGKILL); repeatable."""
    return (
        f"grep -lzs '^{PROCESS_MARK}={ID}$' /proc/[0-9]*/environ | cut -d/ -f3"
        " | xargs -r kill -9 2>/dev/null || true\n"
    )


def count_processes() -> str:
    """Return shell text that sets `processes` to the number of the fault's processes."""
    return f"processes=$(grep -lzs '^{PROCESS_MARK}={ID}$' /proc/[0-9]*/environ | wc -l)\n"


def register_file(path: str) -> str:
    """Return the script that writes down that the fault is about to make the file `path`."""
    return (
        f"mkdir -p {REGISTER}; echo {shlex.quote(path)} >>{REGISTER}/{ID}; sync {REGISTER}/{ID}\n"
    )


def forget_files() -> str:
    """Return the script that says that the fault's files are gone; repeatable."""
    return f"rm -f {REGISTER}/{ID}; rmdir {REGISTER} 2>/dev/null || true\n"


def armed(do: str, undo: str, fault_id: str, step: int, seconds: float) -> str:
    """Return `do` behind a dead man's switch on the node itself.

    The undo lies on the node, with a process that runs it after `seconds`, before `do` begins: a
    fault that cuts the harness off is undone all the same. `/run` is a tmpfs: both vanish, with
    whatever else a restart takes away.
    """
    place = f"{FOLDER}/{fault_id}.{step}"
    wait_and_undo = f"sleep {seconds:g}; sh {place}/undo; rm -rf {place}; rmdir {FOLDER}"
    return (
        f"set -e\nmkdir -p {place}\ncat >{place}/undo <<'CUTOVER_UNDO'\n"
        f"{with_id(undo, fault_id)}\nCUTOVER_UNDO\n"
        f"{TIMER_MARK}={fault_id} setsid sh -c {shlex.quote(wait_and_undo)}"
        f" </dev/null >/dev/null 2>&1 &\n{with_id(do, fault_id)}"
    )


def disarmed(undo: str, fault_id: str, step: int) -> str:
    """Return `undo`, and after it the end of the node's own switch."""
    place = f"{FOLDER}/{fault_id}.{step}"
    return (
        f"( {with_id(undo, fault_id)}\n) || exit 1\n"
        f"grep -lzs '^{TIMER_MARK}={fault_id}$' /proc/[0-9]*/environ | cut -d/ -f3"
        f" | xargs -r kill -9 2>/dev/null\nrm -rf {place}\nrmdir {FOLDER} 2>/dev/null\ntrue\n"
    )


def residue() -> str:
    """Return the script that prints, a line each, whatever any fault of ours left on a node."""
    chains = rf"sed -n 's/^-N \({CHAIN}.*\)/iptables chain \1/p'"
    marked = f"'^({PROCESS_MARK}|{TIMER_MARK})='"
    return f"""
ls -d {FOLDER}/* 2>/dev/null | sed 's/^/undo file /'
iptables -w 5 -t mangle -S | {chains}
for pid in $(docker ps -q | xargs -r docker inspect -f '{{{{.State.Pid}}}}'); do
  nsenter -t "$pid" -n iptables -w 5 -t mangle -S 2>/dev/null | {chains} | sed 's/$/ in a task/'
done
tc qdisc show | grep -F ' {QDISC_HANDLE} '
grep -lzsE {marked} /proc/[0-9]*/environ | cut -d/ -f3 | sed 's/^/process /'
cat {REGISTER}/* 2>/dev/null | sed 's/^/file /'
docker ps --filter status=paused --format 'paused container {{{{.Names}}}}'
ps -eo stat=,pid=,comm= | awk '$1 ~ /^T/ {{ print "stopped process", $2, $3 }}'
true
"""
