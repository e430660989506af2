"""Whole runs of small features, in a pytest of their own: how each ending shows in the sign-off."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.unit.signoff_builders import MET, MISSED, STEPS, feature, make_project, run, scenario


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    return make_project(pytester, monkeypatch)


def test_a_complete_green_run_is_ready(project: pytest.Pytester) -> None:
    feature(project, MET)
    result, signoff = run(project)
    assert result.ret == 0
    assert signoff["ready"] is True
    (criterion,) = signoff["criteria"]
    assert criterion["verdict"] == "met"
    assert (criterion["value"], criterion["error"], criterion["limit"]) == (1, 0.1, 2)
    result.stdout.fnmatch_lines(["*met*time*1.00 ± 0.10 s*", "*READY: all 1 criteria are met*"])


@pytest.mark.parametrize("table", [None, "", "# nothing of it is known\n", "{}"])
def test_a_run_that_knows_no_plan_is_not_ready(project: pytest.Pytester, table: str | None) -> None:
    """READY speaks of the plan: without its table nobody can say what of it was shown."""
    feature(project, MET)
    plan = project.path / "features/plan.yml"
    if table is None:
        plan.unlink()
    else:
        plan.write_text(table)
    _, signoff = run(project)
    assert signoff["ready"] is False
    assert "no line of the plan in features/plan.yml" in signoff["headline"]


ENDINGS = {
    "Then it takes 1 ± 0.1 of 2 seconds": ("met", ""),
    "Then it takes 3 ± 0.1 of 2 seconds": ("missed", "3 ± 0.1"),
    "Then it takes 2 ± 0.1 of 2 seconds": ("inconclusive", "crosses the limit"),
    "Then nothing was looked at": ("inconclusive", "nothing was observed"),
    "Then it cannot be shown here": ("unproven", "no such kernel feature"),
    "Then it is said to be unproven": ("unproven", "no ESP"),
    "Then it is skipped": ("unproven", "not today"),
    "Then the harness breaks": ("inconclusive", "harness error in call: CutoverError"),
    "Then the harness stumbles": ("inconclusive", "harness error in call: KeyError"),
    "Then it never comes true": ("missed", "not within 3 s"),
    "Then it is simply false": ("missed", "1 == 2"),
    "Then nothing is measured": ("inconclusive", "proved nothing"),
    "And a broken fixture": ("inconclusive", "harness error in call: RuntimeError"),
    "And a fixture that breaks in the end": (
        "inconclusive",
        "harness error in teardown: RuntimeError",
    ),
}


def test_every_ending_has_its_verdict_in_every_form_of_the_report(
    project: pytest.Pytester,
) -> None:
    feature(project, *(scenario(step.lower(), step) for step in ENDINGS))
    result, signoff = run(project)
    result.assert_outcomes(passed=2, failed=9, skipped=3, errors=1)
    assert signoff["ready"] is False
    shown = result.stdout.str()
    markdown = (project.path / "reports/latest/signoff.md").read_text()
    page = (project.path / "reports/latest/allure-results/signoff-attachment.html").read_text()
    for step, (verdict, reason) in ENDINGS.items():
        *_, last = (c for c in signoff["criteria"] if c["scenario"] == step.lower())
        assert last["verdict"] == verdict, step
        assert reason in last["reason"], step
        assert re.search(rf"^  {verdict} +{re.escape(last['criterion'])}", shown, re.M), step
        assert f"| {verdict} | {last['criterion']} |" in markdown
        assert f">{verdict}</td><td>{last['criterion']}</td>" in page
        if reason:
            assert reason in markdown
    assert "NOT READY: 3 missed, 7 inconclusive, 3 unproven" in shown


CAUSES = {
    "Then it takes 3 ± 0.1 of 2 seconds": ("system", "The system missed its criterion"),
    "Then it never comes true": ("system", "The system missed its criterion"),
    "Then it takes 2 ± 0.1 of 2 seconds": ("measuring", "Not measurable"),
    "Then too little traffic is seen": ("measuring", "Not measurable"),
    "Then the fault does not show": ("fault", "Nothing was tested: the fault was not in force"),
    "Then the drill could not be restored": ("harness", "The harness failed, or could not restore"),
    "Then the harness breaks": ("harness", "The harness failed, or could not restore"),
    "Then nothing is measured": ("harness", "The harness failed, or could not restore"),
    "Then it is said to be unproven": (None, "This cluster cannot show it"),
}


def test_it_is_said_whose_failure_it_was(project: pytest.Pytester) -> None:
    feature(project, *(scenario(step.lower(), step) for step in CAUSES))
    result, signoff = run(project)
    markdown = (project.path / "reports/latest/signoff.md").read_text()
    sections = dict(re.findall(r"\n\*\*([^*\n]+):\*\*\n\n((?:- .*\n)+)", markdown))
    for step, (cause, words) in CAUSES.items():
        *_, last = (c for c in signoff["criteria"] if c["scenario"] == step.lower())
        assert last["cause"] == cause, step
        (section,) = [text for title, text in sections.items() if title.startswith(words)]
        assert f"**{step.lower()}: " in section
    assert "Nothing was tested: the fault was not in force: network.cut" in result.stdout.str()
    met = [c for c in signoff["criteria"] if c["verdict"] == "met"]
    assert all(c["cause"] is None for c in met)


def test_a_drill_stands_with_its_schedule_and_how_to_run_it_again(project: pytest.Pytester) -> None:
    feature(project, scenario("drilled", "Then a drill is recorded"))
    result, signoff = run(project)
    (drill,) = signoff["drills"]
    assert (drill["seed"], drill["schedule"][0]["at"]) == (7, 5.0)
    markdown = (project.path / "reports/latest/signoff.md").read_text()
    assert "## Drill: week | one, seed 7" in markdown
    assert "Again: `python -m chaos drill x.yml --seed 7`" in markdown
    assert "| 5 s | node.power-off node='hpr' | 30 s |" in markdown
    assert "[journal.jsonl](drills/x/journal.jsonl)" in markdown
    result.stdout.fnmatch_lines(["*drill week | one, again: python -m chaos drill x.yml --seed 7*"])


@pytest.mark.parametrize("selection", [["-m", "smoke"], ["features/a.feature"]])
def test_a_part_is_never_ready(project: pytest.Pytester, selection: list[str]) -> None:
    feature(project, MET, name="a")
    feature(project, scenario("other", "Then it takes 1 ± 0 of 2 seconds"), name="b")
    arguments = selection if selection[0].endswith(".feature") else ["features", *selection]
    result, signoff = run(project, *arguments)
    assert result.ret == 0
    assert [c["verdict"] for c in signoff["criteria"]] == ["met"]
    assert signoff["ready"] is False


def test_scenarios_that_did_not_run_are_named(project: pytest.Pytester) -> None:
    feature(project, MISSED, MET)
    _, signoff = run(project, "features", "-x")
    assert signoff["ready"] is False
    assert signoff["not_run"] == ["features/shop.feature::test_quick"]


def test_an_outline_runs_by_its_id_and_shows_its_example(project: pytest.Pytester) -> None:
    outline = """
  Scenario Outline: <n> seconds
    Then it takes <n> ± 0 of 5 seconds

    Examples:
      | n |
      | 3 |
      | 4 |
"""
    feature(project, outline)
    result, signoff = run(project, "features/shop.feature::test_n_seconds[4]")
    result.assert_outcomes(passed=1)
    assert signoff["criteria"][0]["scenario"] == "4 seconds"


ASYNC = STEPS + '\n@then("it is awaited")\nasync def awaited(measure):\n    pass\n'
TWICE = STEPS + '\n@given("a system")\ndef again():\n    pass\n'


@pytest.mark.parametrize(
    ("steps", "scenarios", "said"),
    [
        (ASYNC, [MET], "*async def*"),
        (TWICE, [MET], "*'a system' is defined at*"),
        (STEPS, [scenario("x", "Then no such thing")], "*no step matches `then no such thing`*"),
        (STEPS, [MET, "  Nonsense"], "*not Gherkin*"),
    ],
)
def test_what_pytest_bdd_passes_over_is_an_error(
    project: pytest.Pytester, steps: str, scenarios: list[str], said: str
) -> None:
    project.makepyfile(own_steps=steps)
    feature(project, *scenarios)
    result, signoff = run(project)
    assert result.ret not in (0, 1)
    assert not signoff
    text = result.stdout.str() + result.stderr.str()
    pytest.LineMatcher(text.splitlines()).fnmatch_lines([said])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--twin", "No Such!"], "*cannot name a twin*"),
        (["--inventory", "absent.yml"], "*absent.yml: cannot be read*"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(
    project: pytest.Pytester, arguments: list[str], said: str
) -> None:
    feature(project, MET)
    result, signoff = run(project, "features", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert not signoff


def test_a_killed_run_keeps_what_it_measured(project: pytest.Pytester) -> None:
    feature(project, scenario("one", "Then the harness is killed"))
    run(project)
    (records,) = project.path.glob("reports/*/measurements.jsonl")
    assert json.loads(records.read_text().splitlines()[0])["verdict"] == "met"


def test_allure_shows_gherkin_and_what_was_not_reached(project: pytest.Pytester) -> None:
    table = "\n".join(["And these are fine", "      | thing |", "      | one   |"])
    steps = ["Then it takes 3 ± 0.1 of 2 seconds", table]
    feature(project, scenario("slow", *steps, tags="@critical"))
    run(project)
    results = project.path / "reports/latest/allure-results"
    (result,) = (json.loads(p.read_text()) for p in results.glob("*-result.json"))
    assert result["status"] == "failed"
    assert [(s["name"], s["status"]) for s in result["steps"]] == [
        ("Given a system", "passed"),
        ("Then it takes 3 ± 0.1 of 2 seconds", "failed"),
        ("And these are fine", "skipped"),
    ]
    assert any("one" in p["value"] for p in result["steps"][2]["parameters"])
    labels = {(label["name"], label["value"]) for label in result["labels"]}
    assert {("feature", "shop"), ("severity", "critical")} <= labels
    assert (results / "categories.json").exists()
    assert "NOT READY" in (results / "signoff-attachment.html").read_text()


def test_no_file_of_a_run_holds_the_environment(project: pytest.Pytester) -> None:
    feature(project, MISSED, scenario("broken", "Then the harness breaks"))
    run(project)
    files = [p for p in (project.path / "reports").rglob("*") if p.is_file()]
    assert len(files) > 4
    assert os.environ["DATABASE_PASSWORD"] == "do-not-tell-3141"
    assert not [p for p in files if b"do-not-tell-3141" in p.read_bytes()]


def test_a_run_of_ordinary_tests_leaves_no_report(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_it():\n    pass\n")
    result = project.runpytest_subprocess("test_it.py")
    result.assert_outcomes(passed=1)
    assert not (project.path / "reports").exists()
