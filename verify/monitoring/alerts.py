"""Whether an alert reaches whoever waits for it, and where it is stuck when it does not."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, Waited, eventually
from verify.monitoring.api import Monitoring

Json = Mapping[str, Any]
WATCHDOG = "Watchdog"
#: Labels that say what an alert is about; the others say how it was found.
ABOUT = ("service", "nodename", "backup")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An alert that is awaited, and the service, node or job that it has to be about."""

    alert: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.alert} {self.about}".strip()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an alert with these labels is the awaited one."""
        return labels.get("alertname") == self.alert and (
            not self.about or self.about in (labels.get(key) for key in ABOUT)
        )


def name_of(labels: Mapping[str, str]) -> str:
    """Return how an alert is called in a report: its name and what it is about."""
    about = next((labels[key] for key in ABOUT if labels.get(key)), "")
    return f"{labels.get('alertname', '?')} {about}".strip()


def last_word(received: Iterable[Json], wanted: Wanted) -> str:
    """Return the status, firing or resolved, that the receiver was told last; empty for none.

    Of several alerts that `wanted` may mean, each has a last word: it fires while one of them does.
    """
    told = {
        frozenset(one["labels"].items()): str(one["status"])
        for one in received
        if wanted.matches(one["labels"])
    }
    return "firing" if "firing" in told.values() else next(iter(told.values()), "")


def firing(alerts: Iterable[Json]) -> list[str]:
    """Return the names of what fires of Prometheus' alerts, the watchdog left out."""
    return sorted(
        name_of(one["labels"])
        for one in alerts
        if one["state"] == "firing" and one["labels"]["alertname"] != WATCHDOG
    )


def where_stuck(
    wanted: Wanted, in_prometheus: Sequence[Json], in_alertmanager: Sequence[Json]
) -> str:
    """Say how far an alert got that the receiver was not told of.

    `in_prometheus`: of /api/v1/alerts; `in_alertmanager`: of /api/v2/alerts.
    """
    states = {one["state"] for one in in_prometheus if wanted.matches(one["labels"])}
    if "firing" not in states:
        return f"{wanted} is {'pending' if states else 'inactive'} in Prometheus"
    if not any(wanted.matches(one["labels"]) for one in in_alertmanager):
        return f"{wanted} fires in Prometheus, and Alertmanager knows nothing of it"
    return f"{wanted} fires, Alertmanager has it, and the receiver was not told"


def stuck(monitoring: Monitoring, wanted: Wanted) -> str:
    """Ask Prometheus and Alertmanager how far an alert got."""
    prometheus = monitoring.prometheus.get("/api/v1/alerts")["data"]["alerts"]
    return where_stuck(wanted, prometheus, monitoring.alertmanager.get("/api/v2/alerts"))


def told(
    monitoring: Monitoring,
    awaited: Collection[Wanted],
    status: str,
    *,
    after: int,
    since: float,
    within: float,
) -> dict[Wanted, Waited]:
    """Wait until the receiver's last word of each alert is `status`; return how long each took.

    Only what it received later than its first `after` counts. `since` (monotonic seconds) is when
    the last of the conditions was true: one that was told of before that took 0 s. `within` seconds
    from then; in vain, the reason says where the alert is stuck.
    """
    looked, when = since, dict[Wanted, Waited]()

    def look() -> bool | Pending:
        nonlocal looked
        started = time.monotonic()
        received = monitoring.received(after)
        seen = max(since, time.monotonic())
        for each in awaited:
            if last_word(received, each) != status:
                when.pop(each, None)
            elif each not in when:
                half = (seen - looked) / 2
                when[each] = Waited(max(0.0, looked + half - since), half)
        looked = max(since, started)
        missing = [str(each) for each in awaited if each not in when]
        return Pending(f"the receiver is not told of {', '.join(missing)}") if missing else True

    try:
        eventually(
            look,
            within=max(0.0, since + within - time.monotonic()),
            every=0.3,
            what=f"{len(awaited)} alerts {status} at the receiver",
            retry_on=(CutoverError,),
        )
    except NeverTrue:
        waited = max(time.monotonic() - since, within * (1 + 1e-9))
        for each in awaited:
            if each not in when:
                why = stuck(monitoring, each) if status == "firing" else f"{each} is not resolved"
                when[each] = Waited(waited, 0.0, why)
    return when


def quiet(monitoring: Monitoring) -> bool | Pending:
    """Return True when nothing but the watchdog is pending or fires, and that was delivered."""
    alerts = monitoring.prometheus.get("/api/v1/alerts")["data"]["alerts"]
    others = sorted(
        f"{name_of(one['labels'])} ({one['state']})"
        for one in alerts
        if one["labels"]["alertname"] != WATCHDOG
    )
    if others:
        return Pending(f"{', '.join(others)}")
    if last_word(monitoring.received(), Wanted(WATCHDOG)) != "firing":
        return Pending(stuck(monitoring, Wanted(WATCHDOG)))
    return True
