"""The plan's lines: all are there, what proves them exists, and the worst verdict is theirs."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from signoff import criteria, plan_lines
from signoff.bdd.collection import features_below
from signoff.bdd.traps import names
from signoff.measurement import Measurement, Verdict
from signoff.plan_lines import Judged, PlanLine, Proof
from signoff.summary import Signoff, as_json, as_markdown

ROOT = Path(__file__).parents[2]
FEATURES = ROOT / "features"
LINES = plan_lines.read(criteria.FEATURES / plan_lines.TABLE)

#: Copied from the plan, so that none is dropped or softened here.
PLAN = {
    "Performance Targets": {
        "Server 84 CPU Load: < 0.30",
        "Server 84 RAM Usage: < 20 GB",
        "Service Response Time: < 100 ms",
        "Database Query Time: < 15 ms",
        "High Availability: > 99%",
        "Backup Recovery Time: < 1 hour",
    },
    "Success Criteria": {
        "All 70+ containers running across 4 servers",
        "Zero downtime deployments (rolling updates)",
        "Automatic failover (< 60 seconds)",
        "Automated backups (daily DB, hourly Redis, weekly volumes)",
        "GitLab repos mirrored to GitHub (hourly)",
        "PostgreSQL replicas on server 81 (read scaling)",
        "Monitoring all services (Prometheus/Grafana)",
        "Centralized logging (Loki)",
        "Encrypted network communication",
        "Secrets encrypted at rest and in transit",
    },
}


def test_every_line_of_the_plan_is_there() -> None:
    found: dict[str, set[str]] = {}
    for line in LINES:
        found.setdefault(line.part, set()).add(line.line)
    assert found == PLAN


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.line)
def test_what_proves_a_line_and_what_breaks_it_exist(line: PlanLine) -> None:
    assert line.proved_by, "no feature proves it"
    assert line.broken_by, "no test turns it red"
    for proof in line.proved_by:
        _, scenarios = names(FEATURES / proof.file)
        assert not proof.scenario or proof.scenario in scenarios, proof
    for test in line.broken_by:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, test


def test_the_page_is_made_from_the_table() -> None:
    """All but the verdicts, which are a run's."""
    text = criteria.PAGE.read_text("utf-8")
    of_run = re.search(r"^Verdicts: (.*)\.$", text, re.MULTILINE)
    assert of_run
    verdicts = {
        match[1]: match[2]
        for match in re.finditer(r"^\| ([^|]+) \| .* \| ([^|]+) \| .*$", text, re.M)
    }
    judged = [Judged(line, verdicts.get(line.line, "?"), 0, "") for line in LINES]
    assert text == criteria.page(judged, of_run[1]), "run `make criteria`"
    assert {j.verdict for j in judged} <= {*map(str, Verdict)}


FEATURES_OF = {"a.feature": ("A", ["one"]), "b.feature": ("B", ["one"])}


def line(*proofs: Proof, criteria: tuple[str, ...] = ()) -> PlanLine:
    return PlanLine("part", "line", proofs, criteria, ())


def measured(
    verdict: Verdict, feature: str = "A", scenario: str = "one", criterion: str = "time"
) -> Measurement:
    return Measurement(criterion, feature, "s", verdict, reason="so", scenario=scenario)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.MET, Verdict.MET], "met"),
        ([Verdict.MET, Verdict.UNPROVEN], "unproven"),
        ([Verdict.UNPROVEN, Verdict.INCONCLUSIVE], "inconclusive"),
        ([Verdict.INCONCLUSIVE, Verdict.MISSED, Verdict.MET], "missed"),
        ([], "not run"),
    ],
)
def test_the_worst_verdict_is_the_lines(verdicts: list[Verdict], expected: str) -> None:
    (judged,) = plan_lines.judge_lines(
        [line(Proof("a.feature"))], [measured(v) for v in verdicts], FEATURES_OF
    )
    assert judged.verdict == expected
    assert judged.criteria == len(verdicts)


def test_a_line_of_which_half_did_not_run_is_not_met() -> None:
    both = line(Proof("a.feature"), Proof("b.feature"))
    (judged,) = plan_lines.judge_lines([both], [measured(Verdict.MET)], FEATURES_OF)
    assert (judged.verdict, judged.reason) == ("not run", "b.feature")
    (judged,) = plan_lines.judge_lines([both], [measured(Verdict.MISSED)], FEATURES_OF)
    assert (judged.verdict, judged.reason) == ("missed", "time: so")


def test_a_line_takes_only_its_scenarios_and_criteria() -> None:
    narrow = line(Proof("a.feature", "one"), criteria=("time",))
    features = {**FEATURES_OF, "a.feature": ("A", ["one [a]", "two"])}
    others = [
        measured(Verdict.MISSED, feature="B"),
        measured(Verdict.MISSED, scenario="two"),
        measured(Verdict.MISSED, criterion="number"),
    ]
    good = measured(Verdict.MET, scenario="one [a]", criterion="time to write")
    (judged,) = plan_lines.judge_lines([narrow], [*others, good], features)
    assert (judged.verdict, judged.criteria) == ("met", 1)


def test_a_line_of_which_one_scenario_did_not_run_is_not_met() -> None:
    features = {"a.feature": ("A", ["one", "two", "each [x]", "each [y]"])}
    ran = [measured(Verdict.MET, scenario=name) for name in ("one", "each [x]")]
    (judged,) = plan_lines.judge_lines([line(Proof("a.feature"))], ran, features)
    assert (judged.verdict, judged.reason) == ("not run", "a.feature: two, a.feature: each [y]")
    rest = [measured(Verdict.MET, scenario=name) for name in ("two", "each [y]")]
    (judged,) = plan_lines.judge_lines([line(Proof("a.feature"))], [*ran, *rest], features)
    assert judged.verdict == "met"


def test_a_line_of_which_one_criterion_was_not_reached_is_not_met() -> None:
    """As swap is not, when a request failed in the step before."""
    both = line(Proof("a.feature"), criteria=("memory", "swap"))
    ran = [measured(Verdict.MET, criterion="memory on x"), measured(Verdict.MISSED)]
    (judged,) = plan_lines.judge_lines([both], ran, FEATURES_OF)
    assert (judged.verdict, judged.reason) == ("not run", "swap")


def test_a_scenario_that_broke_is_not_hidden_by_the_choice_of_criteria() -> None:
    features = {"a.feature": ("A", ["one", "two"])}
    narrow = line(Proof("a.feature"), criteria=("time",))
    broke = measured(Verdict.INCONCLUSIVE, scenario="two", criterion="two")
    (judged,) = plan_lines.judge_lines([narrow], [measured(Verdict.MET), broke], features)
    assert judged.verdict == "inconclusive"


def test_a_criterion_that_was_measured_is_not_blamed_for_the_scenario_s_end() -> None:
    """On a machine without swap the scenario is unproven; its CPU was measured before."""
    ran = [
        measured(Verdict.MET, criterion="CPU of x"),
        measured(Verdict.UNPROVEN, criterion="one"),
    ]
    cpu, memory = (line(Proof("a.feature"), criteria=(c,)) for c in ("CPU", "memory"))
    judged = plan_lines.judge_lines([cpu, memory], ran, FEATURES_OF)
    assert [j.verdict for j in judged] == ["met", "unproven"]


def test_an_outline_s_scenarios_are_called_as_a_run_calls_them(tmp_path: Path) -> None:
    text = """Feature: F
  Scenario Outline: Losing <role>
    Given <role>

    Examples:
      | role   | n |
      | leader | 1 |
      | worker | 2 |

  Scenario: Plain
    Given x
"""
    (tmp_path / "a.feature").write_text(text)
    assert features_below(tmp_path) == {
        "a.feature": ("F", ["Losing leader", "Losing worker", "Plain"])
    }


def test_every_example_of_our_outlines_is_a_scenario_of_its_own() -> None:
    """Under one name, the first that was measured would speak for all of them."""
    for file, (_, scenarios) in features_below(FEATURES).items():
        assert sorted(set(scenarios)) == sorted(scenarios), file


def test_the_signoff_shows_the_lines_and_is_not_ready_without_one() -> None:
    good = Judged(line(), "met", 2, "")
    silent = Judged(
        PlanLine("part", "another line", (), (), ()), plan_lines.NOT_RUN, 0, "b.feature"
    )
    whole = Signoff("c", "now", 1, "pytest", [measured(Verdict.MET)], complete=True, plan=[good])
    assert whole.ready
    lacking = replace(whole, plan=[good, silent])
    assert lacking.objections == ["1 lines of the plan not shown"]
    assert "| another line | not run | 0 | b.feature |" in as_markdown(lacking)
    assert as_json(lacking)["plan"][0] == {
        "line": "line",
        "verdict": "met",
        "criteria": 2,
        "reason": "",
    }


def test_without_a_run_there_is_a_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert criteria.main([str(tmp_path)]) == 2
    assert "make acceptance" in capsys.readouterr().out


def test_a_sign_off_that_is_damaged_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "signoff.json").write_text('{"criteria":')
    assert criteria.main([str(tmp_path)]) == 2
    assert str(tmp_path / "signoff.json") in capsys.readouterr().out


def test_a_run_of_a_part_leaves_the_page_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(criteria, "PAGE", tmp_path / "criteria.md")
    (tmp_path / "signoff.json").write_text('{"criteria": []}')
    assert criteria.main([str(tmp_path)]) == 1
    assert "is not of all features" in capsys.readouterr().out
    assert not criteria.PAGE.exists()
