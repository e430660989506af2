from __future__ import annotations

from signoff.measurement import Measurement, Verdict
from signoff.side_by_side import comparisons
from signoff.summary import Signoff, as_json, as_markdown

THING = "PostgreSQL whose primary's node loses its power"


def measured(way: str | None, value: float, verdict: Verdict = Verdict.MET) -> Measurement:
    return Measurement(
        "writes are acknowledged again",
        "promotion.feature",
        "s",
        verdict,
        value,
        60.0,
        error=0.5,
        compared_as=(THING, way) if way else None,
    )


def noted(way: str, value: float) -> dict[str, object]:
    return {
        "name": "lost writes",
        "feature": "",
        "scenario": "",
        "value": value,
        "unit": "",
        "error": 0.0,
        "n": 1,
        "compared_as": (THING, way),
    }


def test_two_ways_stand_side_by_side() -> None:
    (table,) = comparisons(
        [measured("by hand", 20.0), measured("Patroni", 35.0), measured(None, 1.0)],
        [noted("Patroni", 3)],
    )
    assert table.ways == ["by hand", "Patroni"]
    assert table.cell("writes are acknowledged again", "by hand") == "20.00 ± 0.50 s"
    assert table.cell("writes are acknowledged again", "Patroni") == "35.00 ± 0.50 s"
    assert table.cell("lost writes", "by hand") == "-", "it was measured of the other only"


def test_one_way_alone_is_no_comparison() -> None:
    assert comparisons([measured("by hand", 20.0)], []) == []


def test_what_was_not_met_says_so() -> None:
    (table,) = comparisons([measured("a", 1.0), measured("b", 70.0, Verdict.MISSED)], [])
    assert table.cell("writes are acknowledged again", "b") == "missed (70.00 ± 0.50 s)"


def test_the_sign_off_shows_it() -> None:
    signoff = Signoff(
        "twin", "now", 1, "pytest", [measured("by hand", 20.0), measured("Patroni", 35.0)]
    )
    text = as_markdown(signoff)
    assert f"## Side by side: {THING}" in text
    assert "| writes are acknowledged again | 20.00 ± 0.50 s | 35.00 ± 0.50 s |" in text
    assert as_json(signoff)["side_by_side"][0]["ways"] == ["by hand", "Patroni"]
