"""Verdicts, the report's page and the plot, without a run."""

from __future__ import annotations

import xml.dom.minidom
from pathlib import Path

import pytest

from fixtures.errors import CutoverError
from signoff import plots, report
from signoff.measurement import Relation, Verdict, judge
from signoff.plots import Event, Point, Window


@pytest.mark.parametrize(
    ("value", "limit", "relation", "error", "n", "verdict"),
    [
        (1.0, 2.0, Relation.AT_MOST, 0.5, 1, Verdict.MET),
        (2.0, 2.0, Relation.AT_MOST, 0.0, 1, Verdict.MET),
        (2.0, 2.0, Relation.BELOW, 0.0, 1, Verdict.MISSED),
        (1.9, 2.0, Relation.AT_MOST, 0.2, 1, Verdict.INCONCLUSIVE),
        (2.1, 2.0, Relation.AT_MOST, 0.2, 1, Verdict.INCONCLUSIVE),
        (2.3, 2.0, Relation.AT_MOST, 0.2, 1, Verdict.MISSED),
        (99.5, 99.0, Relation.AT_LEAST, 0.1, 9, Verdict.MET),
        (98.0, 99.0, Relation.AT_LEAST, 0.1, 9, Verdict.MISSED),
        (99.0, 99.0, Relation.ABOVE, 0.0, 9, Verdict.MISSED),
        (1.0, 1.0, Relation.EQUAL, 0.0, 3, Verdict.MET),
        (2.0, 1.0, Relation.EQUAL, 0.0, 3, Verdict.MISSED),
        (1.5, 1.0, Relation.EQUAL, 0.6, 3, Verdict.INCONCLUSIVE),
        (3.0, 1.0, Relation.EQUAL, 0.6, 3, Verdict.MISSED),
        (0.0, 1.0, Relation.AT_MOST, 0.0, 0, Verdict.INCONCLUSIVE),
        (None, 1.0, Relation.AT_MOST, 0.0, 5, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(
    value: float | None,
    limit: float,
    relation: Relation,
    error: float,
    n: int,
    verdict: Verdict,
) -> None:
    assert judge(value, limit, relation, error, n)[0] is verdict


ANALYTICS = (
    '<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>'
    "<script>window.dataLayer = window.dataLayer || []; gtag('js', new Date());</script>"
)


def test_analytics_are_taken_out_and_the_rest_stays() -> None:
    page = f"<head>{ANALYTICS}<script>window.allure = 1;</script></head>"
    assert report.without_analytics(page) == "<head><script>window.allure = 1;</script></head>"


@pytest.mark.parametrize(
    "loads",
    [
        '<script src="https://example.org/x.js"></script>',
        '<img src="//example.org/x.png">',
        "<link rel=stylesheet href=http://example.org/x.css>",
    ],
)
def test_a_page_that_loads_from_outside_is_refused(loads: str) -> None:
    with pytest.raises(CutoverError, match="outside"):
        report.without_analytics(f"<head>{loads}</head>")


def test_a_folder_without_a_run_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path)])
    assert report.main() == 2
    assert "has no sign-off" in capsys.readouterr().err


def test_a_timeline_names_its_fault_and_events() -> None:
    points = {"edge": [Point(i / 10, 0.02, not 20 < i < 60) for i in range(100)]}
    figure = plots.timeline(
        "losing a node", points, [Window("fault", 2, 6)], [Event("node Down", 4)], origin=2
    )
    svg = plots.as_svg(figure)
    assert xml.dom.minidom.parseString(svg).documentElement is not None
    assert plots.as_png(figure).startswith(b"\x89PNG")
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["fault", "node Down"]


def test_a_timeline_of_nothing_can_be_drawn() -> None:
    assert plots.as_png(plots.timeline("none", {}, [], [], origin=0))
