"""Whole runs of small features, in a pytest of their own: how each ending shows in the sign-off."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
pytest_plugins = ["signoff.allure_bridge", "signoff.plugin", "own_steps"]
"""

STEPS = """
import os, signal
import pytest
from pytest_bdd import given, then, when, parsers
from fixtures.errors import CannotProve, CutoverError
from fixtures.waiting import NeverTrue

@given("a system")
def system():
    pass

@given("a broken fixture")
def broken_fixture(breaks):
    pass

@pytest.fixture
def breaks():
    raise RuntimeError("set-up broke")

@pytest.fixture
def breaks_late():
    yield
    raise RuntimeError("tear-down broke")

@given("a fixture that breaks in the end")
def late(breaks_late, measure):
    measure("late", 1, limit=2, unit="s")

@then(parsers.parse("it takes {value:g} ± {error:g} of {limit:g} seconds"))
def takes(measure, value, error, limit):
    measure("time", value, limit=limit, unit="s", error=error)

@then("these are fine")
def fine(measure, datatable):
    measure.violations("things", [], checked=len(datatable) - 1)

@then("nothing was looked at")
def nothing(measure):
    measure.violations("things", [], checked=0)

@then("it cannot be shown here")
def cannot():
    raise CannotProve("no such kernel feature")

@then("it is said to be unproven")
def unproven(measure):
    measure.unproven("encryption", "no ESP")

@then("the harness breaks")
def harness():
    raise CutoverError("ssh died", where="node x")

@then("it never comes true")
def never():
    raise NeverTrue("cluster steady: not within 3 s")

@then("nothing is measured")
def unmeasured():
    pass

@then("the harness is killed")
def killed(measure):
    measure("time", 1, limit=2, unit="s")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DATABASE_PASSWORD", "do-not-tell-3141")
    monkeypatch.delenv("CUTOVER_TWIN", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(own_steps=STEPS)
    pytester.makeini("[pytest]\naddopts = -p no:locust -p no:cacheprovider --strict-markers\n")
    (pytester.path / "features").mkdir()
    return pytester


def feature(project: pytest.Pytester, *scenarios: str, name: str = "shop") -> None:
    text = f"Feature: {name}\n" + "\n".join(scenarios)
    (project.path / "features" / f"{name}.feature").write_text(text, encoding="utf-8")


def scenario(name: str, *steps: str, tags: str = "") -> str:
    lines = [f"  {tags}", f"  Scenario: {name}", "    Given a system", *(f"    {s}" for s in steps)]
    return "\n".join(lines)


MET = scenario("quick", "Then it takes 1 ± 0.1 of 2 seconds", tags="@smoke @critical")
MISSED = scenario("slow", "Then it takes 3 ± 0.1 of 2 seconds", "And these are fine")


def run(project: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = project.runpytest_subprocess(*(arguments or ("features",)))
    signoff = project.path / "reports/latest/signoff.json"
    return result, json.loads(signoff.read_text()) if signoff.exists() else {}


def test_a_complete_green_run_is_ready(project: pytest.Pytester) -> None:
    feature(project, MET)
    result, signoff = run(project)
    assert result.ret == 0
    assert signoff["ready"] is True
    (criterion,) = signoff["criteria"]
    assert criterion["verdict"] == "met"
    assert (criterion["value"], criterion["error"], criterion["limit"]) == (1, 0.1, 2)
    result.stdout.fnmatch_lines(["*met*time*1.00 ± 0.10 s*", "*READY: all 1 criteria are met*"])


@pytest.mark.parametrize(
    ("step", "verdict", "reason", "passes"),
    [
        ("Then it takes 3 ± 0.1 of 2 seconds", "missed", "3 ± 0.1", False),
        ("Then it takes 2 ± 0.1 of 2 seconds", "inconclusive", "crosses the limit", False),
        ("Then nothing was looked at", "inconclusive", "nothing was observed", False),
        ("Then it cannot be shown here", "unproven", "no such kernel feature", True),
        ("Then it is said to be unproven", "unproven", "no ESP", True),
        ("Then the harness breaks", "inconclusive", "harness error in call", False),
        ("Then it never comes true", "missed", "not within 3 s", False),
        ("Then nothing is measured", "inconclusive", "proved nothing", False),
        ("And a broken fixture", "inconclusive", "set-up broke", False),
        ("And a fixture that breaks in the end", "inconclusive", "tear-down broke", False),
    ],
)
def test_every_ending_has_its_line_and_none_is_ready(
    project: pytest.Pytester, step: str, verdict: str, reason: str, passes: bool
) -> None:
    feature(project, scenario("one", step))
    result, signoff = run(project)
    assert (result.ret == 0) is passes
    assert signoff["ready"] is False
    last = signoff["criteria"][-1]
    assert last["verdict"] == verdict
    assert reason in last["reason"]
    result.stdout.fnmatch_lines(["*NOT READY: 1 " + verdict + "*"])


@pytest.mark.parametrize("selection", [["-k", "quick"], ["-m", "smoke"], ["features/a.feature"]])
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
        (STEPS, [MET, MET], "*second scenario is called 'quick'*"),
        (STEPS, [scenario("x", "Then no such thing")], "*no step matches `then no such thing`*"),
        (STEPS, [], "*has no scenario*"),
        (STEPS, ["  Scenario: empty"], "*has no steps*"),
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
