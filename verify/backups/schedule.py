"""How often a job runs, as the configuration of its service says."""

from __future__ import annotations

import json
import re
import shlex
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError

_VARIABLE: Final = "SCHEDULE"
#: That of offen/docker-volume-backup and its like.
_OTHER_VARIABLE: Final = "BACKUP_CRON_EXPRESSION"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_MACROS: Final = {"@hourly": _HOUR, "@daily": _DAY, "@weekly": 7 * _DAY, "@monthly": 31 * _DAY}
_FIELD: Final = re.compile(r"\*|\*/[1-9]\d*|[A-Za-z0-9]+")


def period(schedule: str) -> float:
    """Return the seconds between two runs: the longest, where they differ.

    Knows `@every 20s`, `@daily` and its like, and a crontab line's five fields as far as each is
    `*`, `*/N` or a single value. Raises `CutoverError` for anything else.
    """
    if schedule in _MACROS:
        return _MACROS[schedule]
    every = re.fullmatch(r"@every (\d+)([smh])", schedule)
    if every:
        return int(every[1]) * _UNITS[every[2]]
    fields = schedule.split()
    if len(fields) == 5 and all(_FIELD.fullmatch(field) for field in fields):
        minute, hour, day, month, weekday = fields
        if month == "*" and not day.startswith("*/") and not weekday.startswith("*/"):
            return _of_fields(minute, hour, day, weekday)
    raise CutoverError(f"{schedule!r} is no schedule that is understood here", where=_VARIABLE)


def _of_fields(minute: str, hour: str, day: str, weekday: str) -> float:
    """Let the longest unit that is named decide."""
    named = ((weekday, 7 * _DAY), (day, 31 * _DAY), (hour, _DAY), (minute, _HOUR))
    for (field, seconds), unit in zip(named, (0, 0, _HOUR, 60), strict=True):
        if field.startswith("*/"):
            return int(field[2:]) * unit
        if field != "*":
            return seconds
    return 60


def environment_of(cluster: Cluster, service: str) -> dict[str, str]:
    """Return the environment that a service (full name) is given. Raises `CutoverError`."""
    form = "{{json .Spec.TaskTemplate.ContainerSpec.Env}}"
    printed = cluster.leader().run(
        shlex.join(["docker", "service", "inspect", "--format", form, service])
    )
    pairs = (line.partition("=") for line in json.loads(printed.stdout) or [])
    return {name: value for name, _, value in pairs}


def period_of(cluster: Cluster, service: str) -> float:
    """Return the seconds between two runs of a job, by its service's own configuration."""
    environment = environment_of(cluster, service)
    schedule = environment.get(_VARIABLE) or environment.get(_OTHER_VARIABLE)
    if schedule is None:
        raise CutoverError(
            f"says nothing of its {_VARIABLE}",
            where=f"service {service}",
            remedy="Give it that variable: a crontab line's five fields, or @daily and the like.",
        )
    return period(schedule)
