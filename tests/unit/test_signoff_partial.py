"""What could make a run look complete or green that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from signoff.bdd.collection import left_out, tags_below
from signoff.bdd.traps import FeatureTrap, check_feature, count_scenarios
from tests.unit.signoff_builders import MET, feature, make_project, run, scenario

OUTLINE = """
  Scenario Outline: <n> seconds
    Then it takes <n> ± 0 of 5 seconds

    Examples:
      | n |
      | 3 |
      | 4 |

    Examples: more
      | n |
      | 5 |
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    return make_project(pytester, monkeypatch)


# --- endings that no measurement made


def test_what_ends_before_its_measurement_still_has_a_verdict(project: pytest.Pytester) -> None:
    feature(
        project,
        MET,
        scenario("left by a tag", "Then it takes 1 ± 0 of 2 seconds", tags="@skip"),
        scenario("skipped by a step", "Then it is skipped", "And it is skipped"),
        scenario("skipped after a measurement", "Then these are fine", "And it is skipped"),
        scenario("broken at once", "Then nothing is measured", tags="@breaks"),
        scenario("cannot", "Then it cannot be shown here", "And it is skipped"),
    )
    result, signoff = run(project)
    result.assert_outcomes(passed=1, skipped=3, failed=1, errors=1)
    ends = {c["scenario"]: (c["verdict"], c["reason"]) for c in signoff["criteria"]}
    assert ends["left by a tag"] == ("unproven", "unconditional skip")
    assert ends["skipped by a step"] == ("unproven", "not today")
    # Without a data table the step itself breaks.
    assert ends["skipped after a measurement"][0] == "inconclusive"
    assert ends["broken at once"][0] == "inconclusive"
    assert "harness error in setup: RuntimeError: set-up broke" in ends["broken at once"][1]
    assert signoff["ready"] is False

    allure = by_name(project.path / "reports/latest/allure-results")
    assert [s["status"] for s in allure["skipped by a step"]["steps"]] == [
        "passed",
        "skipped",
        "skipped",
    ]
    assert [s["status"] for s in allure["cannot"]["steps"]] == ["passed", "skipped", "skipped"]
    assert allure["cannot"]["status"] == "skipped"


def by_name(results: Path) -> dict[str, Any]:
    found = (json.loads(path.read_text()) for path in results.glob("*-result.json"))
    return {result["name"]: result for result in found}


def test_a_run_that_is_interrupted_is_not_ready(project: pytest.Pytester) -> None:
    feature(project, MET, scenario("long", "Then it is interrupted"), scenario("later"))
    result, signoff = run(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [c["verdict"] for c in signoff["criteria"]] == ["met"]
    assert signoff["not_run"] == [f"features/shop.feature::test_{n}" for n in ("long", "later")]
    assert signoff["ready"] is False


# --- runs of a part


def test_ignored_features_make_it_a_part(project: pytest.Pytester) -> None:
    feature(project, MET, name="a")
    feature(project, MET, name="b")
    result, signoff = run(project, "features", "--ignore=features/b.feature")
    assert result.ret == 0
    assert signoff["ready"] is False
    assert "only a part of the features was run" in signoff["headline"]


def test_a_file_that_cannot_be_read_makes_it_a_part(project: pytest.Pytester) -> None:
    feature(project, MET, name="a")
    feature(project, "  Nonsense", name="b")
    _, signoff = run(project, "features", "--continue-on-collection-errors")
    assert [c["verdict"] for c in signoff["criteria"]] == ["met"]
    assert signoff["ready"] is False


def test_a_run_that_chose_nothing_leaves_nothing(project: pytest.Pytester) -> None:
    feature(project, MET)
    result, _ = run(project, "features", "-k", "nosuch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert list((project.path / "reports").iterdir()) == []


def test_latest_is_the_newest_run(project: pytest.Pytester) -> None:
    feature(project, MET)
    run(project)
    first = (project.path / "reports/latest").resolve()
    _, signoff = run(project, "features/shop.feature::test_quick", "--seed", "7")
    second = (project.path / "reports/latest").resolve()
    assert first != second
    assert first.is_dir()
    assert signoff["seed"] == 7
    assert signoff["command"].endswith(" features/shop.feature::test_quick --seed 7")


def test_every_example_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.feature"
    rule = "  Rule: r\n    Scenario: in it\n      Given a system\n"
    path.write_text(f"Feature: x\n{MET}\n{OUTLINE}\n{rule}")
    assert count_scenarios(path) == 5
    assert left_out([path] * 5, tmp_path) == []
    assert left_out([path] * 4, tmp_path) == ["x.feature"]
    (tmp_path / "area").mkdir()
    (tmp_path / "area/broken.feature").write_text("Nonsense")
    (tmp_path / "empty.feature").write_text("Feature: x\n  words")
    assert left_out([path] * 5, tmp_path) == ["area/broken.feature", "empty.feature"]


def test_the_tags_are_found(tmp_path: Path) -> None:
    (tmp_path / "x.feature").write_text(f"@slow @critical\nFeature: x\n{MET}")
    assert tags_below(tmp_path) == {"slow", "critical", "smoke"}


# --- traps


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no scenario"),
        ("Feature: x\n  Background:\n    Given a system", "has no scenario"),
        ("Feature: x\n  Scenario: a\n    Given a\n  Nonsense", "not Gherkin"),
        (
            f"Feature: x\n{MET}\n  Rule: r\n    Scenario: quick\n      Given a system",
            "second scenario is called 'quick'",
        ),
        ("Feature: x\n  Rule: r\n    Scenario: a", "'a' has no steps"),
        ("Feature: x\n  Scenario Outline: a\n    Then <n>", "'a' has no examples"),
        (
            "Feature: x\n  Scenario Outline: a\n    Then <n>\n    Examples:\n      | n |",
            "'a' has no examples",
        ),
        (
            "Feature: x\n  Scenario: a\n    Then <m>\n    Examples:\n      | n |\n      | 1 |",
            "no column of the examples of 'a' is called m",
        ),
        (
            "Feature: x\n  Scenario: a\n    Then t:\n      | <m> |\n"
            "    Examples:\n      | n |\n      | 1 |",
            "no column of the examples of 'a' is called m",
        ),
    ],
)
def test_a_feature_that_would_not_run_as_written_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "x.feature"
    path.write_text(text)
    with pytest.raises(FeatureTrap, match=said) as caught:
        check_feature(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("scenarios", [MET, OUTLINE, "  Scenario: a\n    Then 1 <n> 2"])
def test_a_sound_feature_is_accepted(tmp_path: Path, scenarios: str) -> None:
    path = tmp_path / "x.feature"
    path.write_text(f"Feature: x\n{scenarios}")
    check_feature(path)


def test_one_text_in_two_step_modules_is_refused(project: pytest.Pytester) -> None:
    project.makepyfile(
        more_steps="from pytest_bdd import given\n\n@given('a system')\ndef s():\n    pass\n"
    )
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"own_steps"', '"own_steps", "more_steps"'))
    feature(project, MET)
    result, signoff = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not signoff
    text = result.stdout.str() + result.stderr.str()
    assert "own_steps.py" in text
    assert "more_steps.py" in text
    assert "'a system' is defined at" in text


def test_the_repositorys_own_features_are_sound() -> None:
    paths = list((Path(__file__).parents[2] / "features").rglob("*.feature"))
    assert paths
    for path in paths:
        check_feature(path)
        assert count_scenarios(path) > 0


# --- options


INVENTORY = {
    "cluster": "shop",
    "known_hosts": "known_hosts",
    "nodes": {"m1": {"address": "192.0.2.1", "role": "manager"}},
}


def test_bad_options_are_one_line_and_touch_nothing(project: pytest.Pytester) -> None:
    feature(project, MET)
    (project.path / "known_hosts").touch()
    (project.path / "shop.yml").write_text(yaml.safe_dump(INVENTORY))
    (project.path / "taken").touch()
    for arguments, said in [
        (["--inventory", "shop.yml", "--allow-chaos", "other"], "'other' is not the cluster"),
        (["--reports", "taken"], "--reports: taken: no folder can be made there"),
    ]:
        result, signoff = run(project, "features", *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = (line for line in result.errlines if line.startswith("ERROR: "))
        assert said in line
        assert "Traceback" not in result.stderr.str()
        assert not signoff
        assert not (project.path / "reports").exists()


def test_allure_has_the_words_of_the_feature_file(project: pytest.Pytester) -> None:
    (project.path / "features/node_loss").mkdir()
    (project.path / "features/node_loss/x.feature").write_text(
        "@slow\nFeature: shop\n  The plan says so.\n\n  Rule: quickly\n"
        "    @blocker\n    Scenario: quick\n      Given a system\n"
        "      Then these are fine\n        | thing |\n        | one |\n"
    )
    run(project)
    result = by_name(project.path / "reports/latest/allure-results")["quick"]
    labels = {(label["name"], label["value"]) for label in result["labels"]}
    assert {
        ("epic", "Node loss"),
        ("feature", "shop"),
        ("story", "quickly"),
        ("severity", "blocker"),
        ("tag", "slow"),
    } <= labels
    assert "The plan says so." in result["description"]
    assert [p["value"] for p in result["steps"][1]["parameters"]] == ["thing", "one"]
