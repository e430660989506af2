"""Whether the rules that Prometheus loaded can do their work. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from verify.monitoring.promql import metrics_of


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as /api/v1/rules has it; `alert` for an alert, else it records."""

    name: str
    alert: bool
    expression: str
    health: str
    error: str


def parse(data: Mapping[str, Any]) -> list[Rule]:
    """Read /api/v1/rules."""
    return [
        Rule(
            rule["name"],
            rule["type"] == "alerting",
            rule["query"],
            rule["health"],
            rule.get("lastError", ""),
        )
        for group in data["groups"]
        for rule in group["rules"]
    ]


def as_file(data: Mapping[str, Any]) -> str:
    """Write what /api/v1/rules says as a file of rules, to be tested.

    Without those that record a constant: what is awaited (`expected_*`) is the test's to say.
    """
    groups = [
        # Files may have groups of one name, a file may not.
        {"name": f"{number} {group['name']}", "rules": kept}
        for number, group in enumerate(data["groups"])
        if (kept := list(_written(group["rules"])))
    ]
    return yaml.safe_dump({"groups": groups}, sort_keys=False)


def _written(rules: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for rule in rules:
        more: dict[str, Any] = {"labels": rule.get("labels") or {}}
        if rule["type"] == "alerting":
            more["for"] = f"{round(rule.get('duration', 0) * 1000)}ms"
            if rule.get("keepFiringFor"):
                more["keep_firing_for"] = f"{round(rule['keepFiringFor'] * 1000)}ms"
            yield {"alert": rule["name"], "expr": rule["query"], **more}
        elif metrics_of(rule["query"]):
            yield {"record": rule["name"], "expr": rule["query"], **more}


def problems(rules: Sequence[Rule], alerts: Collection[str]) -> list[str]:
    """Say what is wrong: one that failed or was never evaluated, an alert too few or too many."""
    found = [
        f"{rule.name} is {rule.health}: {rule.error or 'not evaluated yet'}"
        for rule in rules
        if rule.health != "ok"
    ]
    loaded = {rule.name for rule in rules if rule.alert}
    found += [f"the alert {name} is not loaded" for name in sorted(set(alerts) - loaded)]
    found += [
        f"the alert {name} is loaded, and in no table" for name in sorted(loaded - set(alerts))
    ]
    return found


def unknown_metrics(rules: Sequence[Rule], known: Collection[str]) -> list[str]:
    """Say which rules read a metric that Prometheus has no series of (`known`: those it has)."""
    return [
        f"{rule.name} reads {metric}, which does not exist"
        for rule in rules
        for metric in sorted(metrics_of(rule.expression) - set(known))
    ]
