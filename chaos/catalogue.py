"""Every fault by its name, from one list: for the command line, drills, Gherkin and the docs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final, get_type_hints

from chaos.fault import BadArgument, Fault
from chaos.faults import data, network, node, resource, task

FAULTS: Final[tuple[type[Fault], ...]] = (
    node.PowerOff,
    node.Reboot,
    node.Freeze,
    node.EngineStop,
    node.EngineFreeze,
    node.Drain,
    node.ClockStep,
    task.Kill,
    task.Stop,
    task.Pause,
    task.RestartLoop,
    task.OutOfMemory,
    task.MemoryNearLimit,
    network.Isolate,
    network.Cut,
    network.OneWay,
    network.Partition,
    network.Port,
    network.Loss,
    network.Bandwidth,
    network.Latency,
    network.ServiceCut,
    network.DnsFailure,
    resource.CpuBurn,
    resource.MemoryPressure,
    resource.DiskFull,
    resource.InodesGone,
    resource.IoThrottle,
    data.PostmasterKill,
    data.SlotDropped,
    data.WalReceiverStopped,
    data.ReplicaPromoted,
    data.RedisKilledSaving,
    data.FileDamaged,
)
_BY_NAME: Final = {fault.name: fault for fault in FAULTS}


def arguments_of(fault: type[Fault]) -> dict[str, bool]:
    """Return the names of a fault's arguments, and whether each must be given."""
    return {item.name: item.default is MISSING for item in fields(fault)}


def known() -> dict[str, dict[str, bool]]:
    """Return every fault's name with its arguments and whether each must be given."""
    return {name: arguments_of(fault) for name, fault in _BY_NAME.items()}


def make(name: str, arguments: Mapping[str, Any]) -> Fault:
    """Return the fault of that name with `arguments`, which may be text.

    Raises `BadArgument` for an unknown fault or argument, a missing one, or one of a wrong type.
    """
    fault = _BY_NAME.get(name)
    if fault is None:
        near = difflib.get_close_matches(name, _BY_NAME, 1)
        raise BadArgument(
            f"there is no fault {name!r}",
            where="fault",
            remedy=f"Did you mean {near[0]}?" if near else "All of them: python -m chaos list",
        )
    wanted = arguments_of(fault)
    if unknown := sorted(arguments.keys() - wanted.keys()):
        raise BadArgument(
            f"takes no {', '.join(unknown)}", where=name, remedy=f"It takes: {', '.join(wanted)}."
        )
    if missing := [key for key, needed in wanted.items() if needed and key not in arguments]:
        raise BadArgument(f"needs {', '.join(missing)}", where=name, remedy=f"Add {missing[0]}=…")
    types = get_type_hints(fault)
    return fault(**{key: _typed(name, key, value, types[key]) for key, value in arguments.items()})


def _typed(fault: str, key: str, value: Any, wanted: type) -> Any:
    try:
        if isinstance(value, bool) or (wanted is int and float(value) != int(float(value))):
            raise ValueError
        typed = wanted(float(value)) if wanted is int else wanted(value)
        if isinstance(typed, float) and not math.isfinite(typed):
            raise ValueError
        if isinstance(typed, str) and not typed.strip():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        kind = {int: "a whole number", float: "a number", str: "text that is not empty"}[wanted]
        raise BadArgument(f"{value!r} is not {kind}", where=f"{fault} {key}") from None
    return typed


def as_markdown() -> str:
    """Return the table of all faults, as docs/faults.md holds it."""
    lines = [
        "| fault | arguments | what | blast radius | needs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for fault in FAULTS:
        arguments = ", ".join(
            f"`{item.name}`" if item.default is MISSING else f"`{item.name}={item.default}`"
            for item in fields(fault)
        )
        lines.append(
            f"| `{fault.name}` | {arguments} | {fault.summary} | {fault.blast_radius} "
            f"| {fault.needs or '-'} |"
        )
    return "\n".join(lines) + "\n"
