"""A small project of features, run in a pytest of its own."""

from __future__ import annotations

import json
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

@pytest.fixture(autouse=True)
def breaks_by_tag(request):
    if request.node.get_closest_marker("breaks"):
        raise RuntimeError("set-up broke")

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

@then("the fault does not show")
def no_fault():
    error = CutoverError("was not in force", where="network.cut")
    error.cause = "fault"
    raise error

@then("too little traffic is seen")
def little(measure):
    measure.inconclusive("traffic", "3 of 20 good")

@then("the drill could not be restored")
def unrestored(measure):
    measure.inconclusive("drill", "a rule is left", cause="harness")

@then("a drill is recorded")
def drilled(measure):
    measure.drill(
        "week | one", seed=7,
        schedule=[{"at": 5.0, "fault": "node.power-off node='hpr'", "for": 30}],
        replay="python -m chaos drill x.yml --seed 7", journal="drills/x/journal.jsonl",
    )
    measure("time", 1, limit=2, unit="s")

@then("it never comes true")
def never():
    raise NeverTrue("cluster steady: not within 3 s")

@then("nothing is measured")
def unmeasured():
    pass

@then("it is simply false")
def false():
    assert 1 == 2

@then("the harness stumbles")
def stumbles():
    raise KeyError("no such key")

@then("it is skipped")
def skipped():
    pytest.skip("not today")

@then("it is interrupted")
def interrupted():
    raise KeyboardInterrupt

@then("the harness is killed")
def killed(measure):
    measure("time", 1, limit=2, unit="s")
    os.kill(os.getpid(), signal.SIGKILL)
"""

# What a run on several twins stands on: what takes a while, and shows which worker did it.
TWIN_STEPS = """
import time
from pathlib import Path

@pytest.fixture(scope="session")
def twin(run, pytestconfig):
    time.sleep(2)
    mark = Path(f"standing-{pytestconfig.option.twin}")
    mark.write_text(str(os.getpid()))
    run.cluster = f"twin-{pytestconfig.option.twin}"
    run.environment |= {"engine": "26.1", "pid": str(os.getpid())}
    run.notes.append("said by both")
    run.standins["edge"] = "stands for Traefik"
    yield pytestconfig.option.twin
    time.sleep(1)
    mark.unlink()

@then("it runs on a twin of its own")
def on_twin(measure, twin):
    began = time.monotonic()
    time.sleep(0.1)
    measure.note("ended", time.monotonic(), error=began, unit="s")
    measure("time", 1, limit=2, unit="s")

@then("it goes on and on")
def on_and_on(twin):
    time.sleep(60)

@then("no twin can stand")
def no_twin():
    pytest.exit("error: no memory", returncode=4)

@then("it waits for a failure")
def waits(measure):
    time.sleep(1)
    measure("time", 1, limit=2, unit="s")
"""


def make_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project with one step module and no feature; a secret is in its environment."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DATABASE_PASSWORD", "do-not-tell-3141")
    monkeypatch.delenv("CUTOVER_TWIN", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(own_steps=STEPS)
    pytester.makeini("[pytest]\naddopts = -p no:locust -p no:cacheprovider --strict-markers\n")
    (pytester.path / "features").mkdir()
    return pytester


def feature(project: pytest.Pytester, *scenarios: str, name: str = "shop") -> None:
    """Write a feature, and a line of the project's plan that it proves."""
    text = f"Feature: {name}\n" + "\n".join(scenarios)
    (project.path / "features" / f"{name}.feature").write_text(text, encoding="utf-8")
    with (project.path / "features" / "plan.yml").open("a", encoding="utf-8") as plan:
        plan.write("" if plan.tell() else "The plan:\n")
        plan.write(f"- {{line: {name}, proved_by: [{name}.feature], broken_by: []}}\n")


def scenario(name: str, *steps: str, tags: str = "") -> str:
    lines = [f"  {tags}", f"  Scenario: {name}", "    Given a system", *(f"    {s}" for s in steps)]
    return "\n".join(lines)


MET = scenario("quick", "Then it takes 1 ± 0.1 of 2 seconds", tags="@smoke @critical")
MISSED = scenario("slow", "Then it takes 3 ± 0.1 of 2 seconds", "And these are fine")


def run(project: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = project.runpytest_subprocess(*(arguments or ("features",)))
    signoff = project.path / "reports/latest/signoff.json"
    return result, json.loads(signoff.read_text()) if signoff.exists() else {}
