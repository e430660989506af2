"""What Allure wants beside the results: environment, categories, and the sign-off itself."""

from __future__ import annotations

import json
import time
from html import escape
from pathlib import Path
from typing import Final

from signoff.measurement import Verdict
from signoff.side_by_side import comparisons
from signoff.summary import Signoff, limit, measured

# Matched in this order by status and message; the message begins with what `outcome` raises.
CATEGORIES: Final = [
    {"name": "Missed: the system does not meet its criterion", "matchedStatuses": ["failed"]},
    {
        "name": "Inconclusive: neither met nor missed is known",
        "matchedStatuses": ["broken"],
        "messageRegex": r"(?s).*(: inconclusive:|proved nothing).*",
    },
    {"name": "Unproven: this cluster cannot show it", "matchedStatuses": ["skipped"]},
    {"name": "Harness error: the test itself failed", "matchedStatuses": ["broken"]},
]

_COLOURS: Final = {
    Verdict.MET: "#2b8a3e",
    Verdict.MISSED: "#c92a2a",
    Verdict.INCONCLUSIVE: "#e67700",
    Verdict.UNPROVEN: "#1864ab",
}


def write(signoff: Signoff, results: Path) -> None:
    """Write environment.properties, categories.json and the sign-off as a global attachment."""
    results.mkdir(parents=True, exist_ok=True)
    environment = {
        "cluster": signoff.cluster,
        "seed": str(signoff.seed),
        "again": signoff.command,
        **signoff.environment,
    }
    lines = [f"{name.replace(' ', '.')}={value}\n" for name, value in environment.items()]
    (results / "environment.properties").write_text("".join(lines), encoding="utf-8")
    (results / "categories.json").write_text(json.dumps(CATEGORIES), encoding="utf-8")
    source = "signoff-attachment.html"
    (results / source).write_text(as_html(signoff), encoding="utf-8")
    attachment = {
        "name": "Sign-off",
        "source": source,
        "type": "text/html",
        "timestamp": int(time.time() * 1000),
    }
    content = {"attachments": [attachment], "errors": []}
    (results / "signoff-globals.json").write_text(json.dumps(content), encoding="utf-8")


def as_html(signoff: Signoff) -> str:
    """Return the sign-off as a page that loads nothing."""
    rows = "".join(
        f"<tr><td style='color:{_COLOURS[m.verdict]};font-weight:bold'>{m.verdict}</td>"
        f"<td>{escape(m.criterion)}</td><td>{escape(measured(m))}</td>"
        f"<td>{escape(limit(m))}</td><td>{m.n}</td><td>{escape(m.scenario)}</td>"
        f"<td>{escape(m.reason)}</td></tr>"
        for m in signoff.measurements
    )
    observed = "".join(
        f"<tr><td>{escape(o['name'])}</td><td>{o['value']:.2f} ± {o['error']:.2f} "
        f"{escape(o['unit'])}</td><td>{escape(o['scenario'])}</td></tr>"
        for o in signoff.observations
    )
    compared = "".join(
        f"<h3>Side by side: {escape(table.thing)}</h3><table><tr><th>"
        + "".join(f"<th>{escape(way)}" for way in table.ways)
        + "</tr>"
        + "".join(
            f"<tr><td>{escape(what)}</td>"
            + "".join(f"<td>{escape(table.cell(what, way))}</td>" for way in table.ways)
            + "</tr>"
            for what in table.cells
        )
        + "</table>"
        for table in comparisons(signoff.measurements, signoff.observations)
    )
    remarks = [
        *(f"Stand-in: {name}: {text}" for name, text in signoff.standins.items()),
        *signoff.notes,
        *(f"Not run: {scenario}" for scenario in signoff.not_run),
    ]
    colour = _COLOURS[Verdict.MET if signoff.ready else Verdict.MISSED]
    return (
        "<!doctype html><meta charset='utf-8'><title>Sign-off</title><style>"
        "body{font:14px sans-serif;margin:16px;background:#fff;color:#212529}"
        "table{border-collapse:collapse;margin:12px 0}"
        "td,th{border:1px solid #dee2e6;padding:4px 8px;text-align:left;vertical-align:top}"
        "</style>"
        f"<h2 style='color:{colour}'>{escape(signoff.cluster)}: {escape(signoff.headline)}</h2>"
        f"<p>Started {signoff.started}, seed {signoff.seed}. "
        f"Again: <code>{escape(signoff.command)}</code></p>"
        "<table><tr><th>verdict<th>criterion<th>measured<th>limit<th>n<th>scenario<th>reason</tr>"
        f"{rows}</table>{compared}"
        "<h3>Also measured</h3>"
        f"<table><tr><th>what<th>value<th>scenario</tr>{observed}</table>"
        "<ul>" + "".join(f"<li>{escape(remark)}</li>" for remark in remarks) + "</ul>"
    )
