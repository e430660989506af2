"""What is recorded and how it is shown: files, pages, the terminal."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from load.samples import Sample
from signoff import allure_files, evidence, folder, report, terminal
from signoff.measurement import Measurement, Relation, Verdict, judge
from signoff.outcome import Inconclusive, Missed
from signoff.plan_lines import Judged, PlanLine
from signoff.recorder import Measure, Recorder
from signoff.summary import Signoff, as_json, as_markdown
from tests.unit.signoff_builders import MET, MISSED, feature, make_project, run

# --- the judge


@pytest.mark.parametrize("relation", Relation)
def test_what_is_judged_holds_for_every_value_within_the_error(relation: Relation) -> None:
    holds = {
        Relation.AT_MOST: lambda value: value <= 5,
        Relation.BELOW: lambda value: value < 5,
        Relation.AT_LEAST: lambda value: value >= 5,
        Relation.ABOVE: lambda value: value > 5,
        Relation.EQUAL: lambda value: value == 5,
    }[relation]
    chance = random.Random(7)
    seen = set()
    for _ in range(2000):
        # Whole numbers, so that an edge often is the limit itself.
        value, error = chance.randrange(11), chance.randrange(4)
        verdict, reason = judge(value, 5, relation, error, 1)
        seen.add(verdict)
        possible = {holds(truth) for truth in range(value - error, value + error + 1)}
        if len(possible) == 2:
            assert verdict is Verdict.INCONCLUSIVE
        else:
            assert verdict is (Verdict.MET if possible == {True} else Verdict.MISSED)
        assert bool(reason) is (verdict is not Verdict.MET)
    assert seen == {Verdict.MET, Verdict.MISSED, Verdict.INCONCLUSIVE}


def test_no_number_and_no_known_error_prove_nothing() -> None:
    nan, inf = float("nan"), float("inf")
    assert judge(nan, 1, Relation.AT_LEAST, 0, 5)[0] is Verdict.INCONCLUSIVE
    assert judge(0, 1, Relation.AT_MOST, inf, 5)[0] is Verdict.INCONCLUSIVE
    assert judge(0, 1, Relation.AT_MOST, nan, 5)[0] is Verdict.INCONCLUSIVE
    assert judge(inf, 1, Relation.AT_MOST, 0, 5)[0] is Verdict.MISSED


# --- the recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "measurements.jsonl")


@pytest.fixture
def measure(recorder: Recorder) -> Measure:
    return Measure(recorder, feature="shop", scenario="losing a node")


def test_several_are_all_measured_before_the_worst_ends_the_scenario(
    recorder: Recorder, measure: Measure
) -> None:
    with pytest.raises(Missed, match="slow: missed"):
        measure.each(
            [
                lambda: measure("quick", 1, limit=2, unit="ms"),
                lambda: measure("unclear", 2, limit=2, unit="ms", error=1),
                lambda: measure("slow", 9, limit=2, unit="ms"),
                lambda: measure("slower", 10, limit=2, unit="ms"),
            ]
        )
    with pytest.raises(Inconclusive, match="unclear"):
        measure.each([lambda: measure("unclear", 2, limit=2, unit="ms", error=1)])
    measure.each([lambda: measure("quick", 1, limit=2, unit="ms")])
    assert [m.verdict for m in recorder.measurements] == [
        *("met", "inconclusive", "missed", "missed", "inconclusive", "met")
    ]


def test_too_few_observations_to_bound_a_value_are_inconclusive(measure: Measure) -> None:
    with pytest.raises(Inconclusive, match="20 observations are too few to bound 3 ms"):
        measure("p99", 3, limit=100, unit="ms", error=float("inf"), n=20)


def test_each_measurement_is_on_disk_before_its_verdict_is_raised(
    recorder: Recorder, measure: Measure, tmp_path: Path
) -> None:
    measure.evidence.append("evidence/x.png")
    met = measure("quick", 1, limit=2, unit="s", n=3)
    assert (met.verdict, met.evidence, met.scenario) == (
        Verdict.MET,
        ("evidence/x.png",),
        "losing a node",
    )
    with pytest.raises(Missed, match="2 of them: missed: a; b; not 2"):
        measure.violations("2 of them", ["a", "b"], checked=5)
    with pytest.raises(Inconclusive, match="clients: inconclusive: lagged"):
        measure.inconclusive("clients", "lagged")
    with pytest.raises(pytest.skip.Exception, match="ipsec: unproven: no ESP"):
        measure.unproven("ipsec", "no ESP")
    assert measure.is_unproven
    measure.note("noticed", 1.5, unit="s", error=0.1)
    never = SimpleNamespace(seconds=61.0, error=0.0, reason="never")
    with pytest.raises(Missed, match="never; not"):
        measure.duration("served", never, limit=60)
    lines = [json.loads(line) for line in (tmp_path / "measurements.jsonl").open()]
    assert [line.get("verdict") for line in lines] == [
        "met",
        "missed",
        "inconclusive",
        "unproven",
        None,
        "missed",
    ]
    assert [line["kind"] for line in lines].count("observation") == 1
    assert not measure.is_unproven


# --- the sign-off in its forms


def criterion(verdict: Verdict, **fields: Any) -> Measurement:
    content = {
        "criterion": f"{verdict} | <b>thing</b>",
        "feature": "shop",
        "unit": "s",
        "value": None if verdict is Verdict.UNPROVEN else 1.234,
        "limit": 2.0,
        "error": 0.1,
        "n": 7,
        "reason": "" if verdict is Verdict.MET else f"because {verdict}",
        "scenario": f"scenario {verdict}",
    }
    return Measurement(**{**content, "verdict": verdict, **fields})


def signoff(*verdicts: Verdict, **fields: Any) -> Signoff:
    content: dict[str, Any] = {
        "cluster": "twin",
        "started": "2026-01-01T00:00:00Z",
        "seed": 7,
        "command": "pytest features",
        "measurements": [criterion(verdict) for verdict in verdicts],
        "complete": True,
        "plan": [Judged(PlanLine("part", "a line", (), (), ()), "met", 1, "")],
    }
    return Signoff(**{**content, **fields})


ALL = signoff(
    *Verdict,
    observations=[
        {"name": "seen", "value": 3.0, "error": 0.5, "unit": "s", "scenario": "scenario met"}
    ],
    notes=["a note"],
    standins={"registry": "is made of cardboard"},
    environment={"kernel": "6.1"},
    not_run=["features/x.feature::test_x"],
)


@pytest.mark.parametrize(
    ("made", "headline"),
    [
        (signoff(Verdict.MET, Verdict.MET), "READY: all 2 criteria are met"),
        (signoff(), "NOT READY: nothing was measured (of 0 criteria)"),
        (signoff(Verdict.MET, Verdict.MISSED), "NOT READY: 1 missed (of 2 criteria)"),
        (signoff(Verdict.UNPROVEN), "NOT READY: 1 unproven (of 1 criteria)"),
        (signoff(Verdict.INCONCLUSIVE), "NOT READY: 1 inconclusive (of 1 criteria)"),
        (signoff(Verdict.MET, failed=["x"]), "NOT READY: 1 scenarios failed (of 1 criteria)"),
        (
            signoff(Verdict.MET, complete=False),
            "NOT READY: only a part of the features was run (of 1 criteria)",
        ),
        (
            signoff(Verdict.MET, plan=[]),
            "NOT READY: no line of the plan in features/plan.yml (of 1 criteria)",
        ),
        (
            signoff(Verdict.MET, not_run=["x"]),
            "NOT READY: 1 scenarios did not run (of 1 criteria)",
        ),
    ],
)
def test_only_a_whole_run_of_met_criteria_is_ready(made: Signoff, headline: str) -> None:
    assert made.headline == headline
    assert made.ready is headline.startswith("READY")
    assert as_json(made)["ready"] is made.ready


def test_the_markdown_has_a_row_for_each_criterion_and_a_reason_for_what_is_not_met() -> None:
    text = as_markdown(ALL)
    rows = [line for line in text.splitlines() if re.match(r"\| (met|mis|inc|unp)", line)]
    assert len(rows) == 4
    for verdict, row in zip(Verdict, rows, strict=True):
        assert row.startswith(f"| {verdict} | {verdict} \\| <b>thing</b> |")
        assert "≤ 2 s | 7 |" in row
        assert len(re.findall(r"(?<!\\)\|", row)) == 8
        assert (f"because {verdict}" in text) is (verdict is not Verdict.MET)
    for said in ("1.23 ± 0.10 s", "cardboard", "a note", "not run: features/x", "kernel: 6.1"):
        assert said in text


def test_a_reason_of_several_lines_stays_one_item_of_the_list() -> None:
    made = signoff(measurements=[criterion(Verdict.MISSED, reason="not steady\n| web | 1/2 |")])
    lines = as_markdown(made).splitlines()
    start = next(i for i, line in enumerate(lines) if line.endswith("not steady"))
    assert lines[start + 1] == "  | web | 1/2 |"


def test_the_page_for_allure_escapes_and_loads_nothing() -> None:
    page = allure_files.as_html(ALL)
    assert "<b>thing" not in page
    assert report.without_analytics(page) == page
    for verdict in Verdict:
        assert f">{verdict}</td><td>{verdict} | &lt;b&gt;thing" in page


class Terminal:
    """Takes what pytest's terminal reporter would print."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, **_: bool) -> None:
        self.text += text

    def write_line(self, text: str, **_: bool) -> None:
        self.text += text + "\n"

    def section(self, title: str, sep: str) -> None:
        self.text += f"{sep} {title}\n"


def test_the_terminal_shows_every_criterion_and_the_headline(tmp_path: Path) -> None:
    reporter = Terminal()
    terminal.write(reporter, ALL, tmp_path)
    for verdict in Verdict:
        assert re.search(rf"^  {verdict} +{verdict} \| .* ≤ 2 s +n=7$", reporter.text, re.M)
    headline = "1 missed, 1 inconclusive, 1 unproven, 1 scenarios did not run (of 4 criteria)"
    assert f"twin: NOT READY: {headline}" in reporter.text
    assert str(tmp_path / "signoff.md") in reporter.text


# --- folders and evidence


def test_runs_have_folders_of_their_own_and_latest_is_replaced(tmp_path: Path) -> None:
    first, second = (folder.new_run_folder(tmp_path / "reports") for _ in range(2))
    assert first != second
    for run_folder in (first, second):
        folder.write(ALL, run_folder)
        folder.make_latest(run_folder)
    latest = tmp_path / "reports/latest"
    assert latest.is_symlink()
    assert latest.resolve() == second
    assert json.loads((latest / "signoff.json").read_text())["seed"] == 7
    assert len(list((tmp_path / "reports").iterdir())) == 3


class Clients:
    """Two targets, one of which answered nothing yet."""

    def __init__(self, file: Path) -> None:
        self.targets = [SimpleNamespace(name=name) for name in ("edge", "canary")]
        self.marks = [("steady", 0.0), ("fault", 2.0)]
        self.events = [("node Down", 3.0)]
        self.windows: list[tuple[str, float, float | None]] = []
        self.file = file

    def samples(self, target: str) -> list[Sample]:
        times = [i / 10 for i in range(50)] if target == "edge" else []
        return [Sample(target, i, t, t, t + 0.01, True, {}) for i, t in enumerate(times)]


def test_what_clients_saw_is_kept_where_the_criteria_link_to(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text("{}\n")
    evidence.attach_clients("Losing a node (edge)", tmp_path, Clients(tmp_path / "samples.jsonl"))
    kept = {path.name for path in (tmp_path / "evidence").iterdir()}
    assert kept == {f"losing-a-node-edge.{kind}" for kind in ("svg", "png", "samples.jsonl")}
    assert (tmp_path / evidence.timeline_name("Losing a node (edge)")).exists()


def test_evidence_that_cannot_be_told_does_not_hide_the_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(evidence, "attach_text", lambda text, _: told.append(text))

    def tell() -> str:
        raise OSError("no route to host")

    evidence.attach_story(tell, "tasks")
    assert told == ["(not available: OSError: no route to host)"]


# --- the report


def test_the_report_of_a_real_run_stands_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(pytester, monkeypatch)
    feature(project, MET, MISSED)
    run(project)
    page = report.build((project.path / "reports/latest").resolve())
    text = page.read_text(encoding="utf-8")
    assert len(text) > 100_000
    assert report.without_analytics(text) == text
    assert "NOT READY" in text
    assert "do-not-tell-3141" not in text
