"""Steps done, undone and looked at on a live cluster."""

from __future__ import annotations

import socket
import time
from typing import Final

from chaos import scripts
from chaos.fault import A_MANAGER, NotInForce, Power, Step
from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.power import Instant
from fixtures.cluster.ssh import Completed
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import Pending

_DO_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 20.0
_SILENT_SECONDS: Final = 2.0
_YES, _NO = 0, 1


def do(cluster: Cluster, step: Step, fault_id: str, number: int, *, at_most: float) -> Instant:
    """Do a step; returns when. `at_most`: after how many seconds the node undoes it by itself."""
    if isinstance(step, Power):
        node = cluster.node(step.node)
        if step.frozen:
            return node.pause()
        instant = node.power_off()
        if step.then_on:
            node.power_on()
        return instant
    script = scripts.with_id(step.do, fault_id)
    if step.timer and step.node != A_MANAGER:
        script = scripts.armed(step.do, step.undo, fault_id, number, at_most)
    before = time.monotonic()
    if script.strip():
        _run(cluster, step.node, script, timeout=_DO_SECONDS)
    return Instant.between(before, time.monotonic())


def undo(cluster: Cluster, step: Step, fault_id: str, number: int) -> Instant:
    """Undo a step, done or not, however often. Raises `CutoverError`."""
    if isinstance(step, Power):
        node = cluster.node(step.node)
        return node.resume() if step.frozen else node.power_on()
    before = time.monotonic()
    if not step.undo:
        return Instant(before, 0.0)
    if step.node != A_MANAGER:
        _run(cluster, step.node, scripts.disarmed(step.undo, fault_id, number), timeout=_DO_SECONDS)
    else:
        _run(cluster, step.node, scripts.with_id(step.undo, fault_id), timeout=_DO_SECONDS)
    return Instant.between(before, time.monotonic())


def in_force(cluster: Cluster, step: Step, fault_id: str) -> str | Pending:
    """Return the proof that a step's effect is there, or what was seen instead."""
    if isinstance(step, Power):
        if step.then_on:
            return "power cut and given back"
        node = cluster.node(step.node)
        if node.has_power:
            return Pending(f"{step.node} has power and runs")
        # What a server's power command says of itself is no proof: ask the machine.
        if not cluster.is_twin and (answer := _still_there(node)):
            return Pending(f"{step.node} {answer}")
        return f"{step.node} is {'frozen' if step.frozen else 'without power'}"
    return _look(cluster, step.node, step.in_force, fault_id)


def _still_there(node: Node) -> str:
    """Say how a machine that should have no power answers; empty when it is silent."""
    try:
        socket.create_connection((node.entry.address, node.entry.ssh_port), _SILENT_SECONDS).close()
    except ConnectionRefusedError:
        return "refuses connections, so that its kernel runs"
    except OSError:
        return ""
    return "still answers at its ssh port"


def gone(cluster: Cluster, step: Step, fault_id: str) -> str | Pending:
    """Return the proof that nothing of a step is in force any more, or what is."""
    if isinstance(step, Power):
        node = cluster.node(step.node)
        if not node.has_power:
            return Pending(f"{step.node} does not run")
        try:
            node.run("true", timeout=5)
        except CutoverError as error:
            return Pending(str(error))
        return f"{step.node} answers"
    try:
        if step.gone:
            return _look(cluster, step.gone_at or step.node, step.gone, fault_id)
        seen = _look(cluster, step.node, step.in_force, fault_id)
    except Unreachable as error:
        return Pending(str(error))
    return seen.reason if isinstance(seen, Pending) else Pending(f"still in force: {seen}")


def _look(cluster: Cluster, where: str, check: str, fault_id: str) -> str | Pending:
    done = _run(cluster, where, scripts.with_id(check, fault_id), timeout=_LOOK_SECONDS, ok=(0, 1))
    seen = " ".join(done.stdout.split())
    return (seen or "seen") if done.rc == _YES else Pending(seen or "not seen")


def _run(
    cluster: Cluster, where: str, script: str, *, timeout: float, ok: tuple[int, ...] = (0,)
) -> Completed:
    if where != A_MANAGER:
        return _checked(cluster, where, script, timeout, ok)
    refusals = []
    for manager in cluster.managers:
        if not manager.has_power:
            continue
        try:
            return _checked(cluster, manager.name, script, timeout, ok)
        except CutoverError as error:  # a manager without quorum cannot; another may
            refusals.append(str(error))
    raise Unreachable("; ".join(refusals) or "no manager has power", where="managers")


def _checked(
    cluster: Cluster, node: str, script: str, timeout: float, ok: tuple[int, ...]
) -> Completed:
    done = cluster.node(node).run(script, timeout=timeout, check=False)
    if done.rc not in ok:
        words = " ".join((done.stderr or done.stdout).split())[-300:]
        raise NotInForce(f"exit status {done.rc}: {words or '(no output)'}", where=f"node {node}")
    return done
