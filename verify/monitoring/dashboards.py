"""Whether the dashboards show something: each of their queries is run as Grafana would. Pure.

The format is Grafana's dashboard model: panels, rows of panels, targets with `expr`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fixtures.errors import CutoverError
from verify.monitoring import datasources
from verify.monitoring.api import Sample
from verify.monitoring.datasources import Source

#: What Grafana puts in place of its own variables, for a panel of some minutes.
VARIABLES: Final = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__range": "5m",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


def queries(dashboard: Mapping[str, Any], sources: Sequence[Source]) -> list[tuple[str, str]]:
    """Return panel title and PromQL of a dashboard's queries of Prometheus, variables filled in.

    A variable of the dashboard matches everything. Raises `CutoverError` for an unknown one.
    """
    own = {each["name"] for each in (dashboard.get("templating") or {}).get("list") or ()}
    return [
        (f"{dashboard['title']} / {panel.get('title', '?')}", _filled(target["expr"], own))
        for panel, target, source in datasources.asked(dashboard, sources)
        if source is not None and source.kind == datasources.PROMETHEUS and "expr" in target
    ]


def _filled(expression: str, own: set[str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in VARIABLES:
            return VARIABLES[name]
        if name in own:
            return ".+"
        raise CutoverError(f"unknown variable {name}", where=f"dashboard query {expression}")

    return _VARIABLE.sub(value, expression)


def problems(found: list[tuple[str, str]], query: Callable[[str], list[Sample]]) -> list[str]:
    """Say which of the queries give no data, or only values that are no number."""
    said = []
    for title, expression in found:
        try:
            samples = query(expression)
        except CutoverError as error:
            said.append(f"{title}: {error.what}")
            continue
        if not samples:
            said.append(f"{title}: no data of {expression}")
        elif all(sample.value != sample.value for sample in samples):
            said.append(f"{title}: only NaN of {expression}")
    return said
