"""Which data source a panel's query goes to, and whether Grafana has it. Pure.

A panel over a source that is gone draws nothing, whatever Prometheus would answer. Sources are read
from `/api/frontend/settings`, which Grafana gives to whoever may see a dashboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PROMETHEUS: Final = "prometheus"
#: What Grafana itself makes of other queries of the panel; it is no data source of anybody's.
_CALCULATED: Final = "__expr__"


@dataclass(frozen=True, slots=True)
class Source:
    """A data source of Grafana's; `kind` is its plugin, `prometheus` for one."""

    name: str
    uid: str
    kind: str
    default: bool


def known(settings: Mapping[str, Any]) -> list[Source]:
    """Read Grafana's settings for its front end."""
    default = settings.get("defaultDatasource", "")
    return [
        Source(name, one.get("uid", ""), one.get("type", ""), name == default)
        for name, one in (settings.get("datasources") or {}).items()
    ]


def asked(
    dashboard: Mapping[str, Any], sources: Sequence[Source]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Source | None]]:
    """Yield panel, target and source of each query; None for a source that is gone."""
    kinds = {
        each["name"]: each.get("query", "")
        for each in (dashboard.get("templating") or {}).get("list") or ()
        if each.get("type") == "datasource"
    }
    for panel in panels(dashboard):
        for target in panel.get("targets") or ():
            of = target.get("datasource") or panel.get("datasource")
            if not isinstance(of, Mapping) or of.get("uid") != _CALCULATED:
                yield panel, target, _source(of, kinds, sources)


def panels(of: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the panels of a dashboard, those in its rows too."""
    for panel in of.get("panels") or ():
        yield panel
        yield from panels(panel)


def _source(of: Any, kinds: Mapping[str, str], sources: Sequence[Source]) -> Source | None:
    name = str(of.get("uid") or "") if isinstance(of, Mapping) else str(of or "")
    if name == "default":  # as dashboards of older versions have it
        name = ""
    variable = name.removeprefix("$").strip("{}")
    if name.startswith("$") and variable in kinds:
        # The variable's first choice; whoever looks at it may take another one.
        return next((s for s in sources if s.kind == kinds[variable]), None)
    if name:
        return next((s for s in sources if name in (s.uid, s.name)), None)
    # One of Grafana's own has that place when the default source is gone.
    return next((s for s in sources if s.default and not s.name.startswith("-- ")), None)


def problems(dashboard: Mapping[str, Any], sources: Sequence[Source]) -> list[str]:
    """Say which panels ask a source that Grafana does not have."""
    return [
        f"{dashboard['title']} / {panel.get('title', '?')}: Grafana has no such data source"
        for panel, _, source in asked(dashboard, sources)
        if source is None
    ]
