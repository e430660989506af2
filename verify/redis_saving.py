"""Whether Redis keeps what it was given: by its rules, by how its saves end, and where they go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from fixtures.cluster.cluster import Cluster
from fixtures.waiting import NeverTrue, Pending, eventually
from verify.redis_server import redis_connected

_ANONYMOUS: Final = re.compile(r"(?:^|/)[0-9a-f]{64}/_data$")
_SAVE_BEGINS_SECONDS: Final = 3.0


def problems(cluster: Cluster, service: str, seconds: float) -> list[str]:
    """Say why `service` (full name) may lose a write older than `seconds` when it is killed.

    Raises `CutoverError` when it cannot be asked.
    """
    with redis_connected(cluster, service) as client:
        found: dict[Any, Any] = client.config_get("save", "appendonly", "appendfsync", "dir")
        config = {_text(name): _text(value) for name, value in found.items()}
        late: list[str] = []

        def unsaved_for_long() -> list[str] | Pending:
            told = failing(config, client.info("persistence"), float(client.time()[0]), seconds)
            late[:] = told
            return Pending(told[0]) if told else told

        # The first write after a long calm starts a save, a tenth of a second later.
        with suppress(NeverTrue):
            eventually(unsaved_for_long, within=_SAVE_BEGINS_SECONDS, what=f"{service} saves")
    mounts = cluster.in_task(service, ["cat", "/proc/self/mountinfo"])
    return [
        *unsaved(config, seconds),
        *late,
        *kept_nowhere(config["dir"], mounts),
    ]


def _logged(config: Mapping[str, str]) -> bool:
    """Whether an append-only file has each write within a second."""
    return config.get("appendonly") == "yes" and config.get("appendfsync") in ("always", "everysec")


def unsaved(config: Mapping[str, str], seconds: float) -> list[str]:
    """Say why a single write may stay unsaved for longer than `seconds`; empty when it cannot.

    `config` is what CONFIG GET says of save, appendonly and appendfsync. Pure.
    """
    if _logged(config):
        return []
    numbers = [int(number) for number in config.get("save", "").split()]
    rules = list(zip(numbers[::2], numbers[1::2], strict=True))
    if any(after <= seconds and changes <= 1 for after, changes in rules):
        return []
    said = config.get("save") or "empty"
    return [f"no rule saves a single write within {seconds:g} s (save is {said}, no AOF)"]


def failing(
    config: Mapping[str, str], persistence: Mapping[str, Any], now: float, seconds: float
) -> list[str]:
    """Say which saves fail or are overdue: a rule saves nothing on a full disk. Pure.

    `persistence` is of INFO, `now` the server's own time in Unix seconds.
    """
    if _logged(config):
        status = persistence.get("aof_last_write_status", "unknown")
        return [] if status == "ok" else [f"its last write to the AOF ended with {status}"]
    status = persistence.get("rdb_last_bgsave_status", "unknown")
    if status != "ok":
        return [f"its last save ended with {status}"]
    # One that runs since a moment ago; never -1, which says that none does.
    if 0 <= float(persistence.get("rdb_current_bgsave_time_sec", -1)) <= seconds:
        return []
    age = now - float(persistence["rdb_last_save_time"])
    # A rule is looked at ten times a second, a save itself takes a while.
    if persistence["rdb_changes_since_last_save"] and age > seconds * 1.1 + 60:
        return [f"it has changes, and saved last {age / 60:.0f} min ago"]
    return []


def kept_nowhere(folder: str, mountinfo: str) -> list[str]:
    """Say whether `folder` lies in the container itself, or in what goes with it. Pure.

    `mountinfo` is /proc/self/mountinfo (proc(5)). An anonymous volume, which an image's VOLUME
    makes for each container anew, has 64 hexadecimal digits for a name.
    """
    covering: dict[str, str] = {}
    for line in filter(str.strip, mountinfo.splitlines()):
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        if point != "/" and f"{folder}/".startswith(f"{point.rstrip('/')}/"):
            fleeting = after.split()[0] in ("tmpfs", "ramfs") or _ANONYMOUS.search(root)
            covering[point] = "in memory or in a volume without a name" if fleeting else ""
    where = covering[max(covering, key=len)] if covering else "on no volume"
    return [f"{folder} is {where}: what it saves goes with its container"] if where else []


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
