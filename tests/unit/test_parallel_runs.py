"""Whole runs of small features in several workers: one run, one sign-off, whatever ends them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fixtures.waiting import Pending, eventually
from tests.unit.signoff_builders import (
    MET,
    MISSED,
    STEPS,
    TWIN_STEPS,
    feature,
    make_project,
    run,
    scenario,
)

ALL = ("features", "-n", "2")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    made = make_project(pytester, monkeypatch)
    made.makepyfile(own_steps=STEPS + TWIN_STEPS)
    return made


def on_twin(name: str, tags: str = "") -> str:
    return scenario(name, "Then it runs on a twin of its own", tags=tags)


def test_two_workers_leave_one_sign_off(project: pytest.Pytester) -> None:
    feature(project, on_twin("one"), on_twin("two"), on_twin("three"), name="a")
    feature(project, on_twin("four"), on_twin("five"), on_twin("six"), name="b")
    result, signoff = run(project, *ALL, "--seed", "7")
    assert result.ret == 0, result.stdout.str()
    assert signoff["ready"] is True
    assert (signoff["seed"], signoff["cluster"]) == (7, "twin-default-1, twin-default-2")
    assert [c["scenario"] for c in signoff["criteria"]] == [
        *("one", "two", "three", "four", "five", "six")
    ]
    assert signoff["standins"] == {"edge": "stands for Traefik"}
    assert signoff["environment"] == {
        "engine": "26.1",
        "pid (default-1)": signoff["environment"]["pid (default-1)"],
        "pid (default-2)": signoff["environment"]["pid (default-2)"],
        "ran on default-1": "a",
        "ran on default-2": "b",
    }
    assert signoff["notes"][0] == "said by both"
    assert "2 twins (default-1, default-2) shared this machine" in signoff["notes"][1]
    assert len(signoff["observations"]) == 6
    (folder,) = (p for p in (project.path / "reports").iterdir() if not p.is_symlink())
    names = {json.loads(p.read_text())["name"] for p in folder.glob("allure-results/*-result.json")}
    assert names == {"one", "two", "three", "four", "five", "six"}
    seconds = json.loads((folder / "durations.json").read_text())
    assert set(seconds) == {"features/a.feature", "features/b.feature"}
    assert max(seconds.values()) <= 2, "standing a twin up is no scenario's time"
    shown = result.stdout.str()
    assert "[default-1]   Then it runs on a twin of its own" in shown
    assert re.search(r"\[default-[12]\]   = four: 1 met", shown)
    assert shown.count("READY: all 6 criteria are met") == 1


def test_each_ending_is_that_of_a_run_without_workers(project: pytest.Pytester) -> None:
    feature(project, MISSED, scenario("no kernel", "Then it cannot be shown here"), name="a")
    feature(project, MET, scenario("broken", "Then the harness breaks"), name="b")
    feature(project, scenario("empty", "Then nothing is measured"), name="c")
    one, without = run(project)
    many, signoff = run(project, *ALL)
    assert one.ret == many.ret == 1
    assert one.parseoutcomes() == many.parseoutcomes()
    for key in ("criteria", "headline", "not_run", "ready"):
        assert signoff[key] == without[key]


@pytest.mark.parametrize(
    "selection", [["features", "-m", "smoke"], ["features/a.feature"], ["features", "-k", "quick"]]
)
def test_a_part_is_never_ready(project: pytest.Pytester, selection: list[str]) -> None:
    feature(project, MET, name="a")
    feature(project, scenario("other", "Then it takes 1 ± 0 of 2 seconds"), name="b")
    result, signoff = run(project, *selection, "-n", "2")
    assert result.ret == 0
    assert [c["verdict"] for c in signoff["criteria"]] == ["met"]
    assert "only a part of the features was run" in signoff["headline"]


def test_quiet_files_run_alone_before_the_others(project: pytest.Pytester) -> None:
    feature(project, on_twin("calm"), on_twin("calmer", "@quiet"), name="q")
    feature(project, on_twin("calmest", "@quiet"), name="r")
    feature(project, *(on_twin(f"loud {n}") for n in range(3)), name="a")
    feature(project, *(on_twin(f"noisy {n}") for n in range(3)), name="b")
    result, signoff = run(project, *ALL)
    assert result.ret == 0, result.stdout.str()
    ended = {o["scenario"]: o["value"] for o in signoff["observations"]}
    began = {o["scenario"]: o["error"] for o in signoff["observations"]}
    quiet = {"calm", "calmer", "calmest"}
    assert max(ended[name] for name in quiet) <= min(began[n] for n in began.keys() - quiet)
    assert "q, r ran before that, with no scenario beside them" in signoff["notes"][-1]


def test_a_worker_that_is_killed_leaves_its_scenario_inconclusive(
    project: pytest.Pytester,
) -> None:
    feature(project, on_twin("one"), scenario("fatal", "Then the harness is killed"), name="a")
    feature(project, on_twin("two"), on_twin("three"), name="b")
    result, signoff = run(project, *ALL)
    assert result.ret == 1
    ends = {(c["scenario"], c["criterion"]): c for c in signoff["criteria"]}
    assert ends["fatal", "time"]["verdict"] == "met"
    assert ends["fatal", "fatal"]["verdict"] == "inconclusive"
    assert ends["fatal", "fatal"]["cause"] == "harness"
    assert "ended while it ran this" in ends["fatal", "fatal"]["reason"]
    assert {"one", "two", "three"} <= {scenario for scenario, _ in ends}
    assert signoff["not_run"] == ["features/a.feature::test_fatal"]
    assert signoff["ready"] is False


def test_after_a_failure_too_many_nobody_begins_another(project: pytest.Pytester) -> None:
    feature(project, scenario("bad", "Then it is simply false"), on_twin("after"), name="a")
    feature(
        project, *(scenario(f"n{n}", "Then it waits for a failure") for n in range(4)), name="b"
    )
    result, signoff = run(project, *ALL, "-x")
    assert result.ret != 0
    assert signoff["ready"] is False
    assert "features/a.feature::test_after" in signoff["not_run"]
    assert len([name for name in signoff["not_run"] if "b.feature" in name]) >= 2


def test_a_twin_that_cannot_stand_ends_the_run_in_words(project: pytest.Pytester) -> None:
    feature(project, scenario("one", "Then no twin can stand"), name="a")
    feature(project, on_twin("two"), name="b")
    result, _ = run(project, *ALL)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "error: no memory" in text
    assert "INTERNALERROR" not in text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (scenario("x", "Then no such thing"), "no step matches `then no such thing`"),
        (f"{MET}\n  Nonsense", "not Gherkin"),
    ],
)
def test_what_would_not_run_is_refused(project: pytest.Pytester, broken: str, said: str) -> None:
    feature(project, broken, name="a")
    feature(project, MET, name="b")
    result, signoff = run(project, *ALL)
    assert result.ret not in (0, 1)
    assert not signoff
    text = result.stdout.str() + result.stderr.str()
    assert said in text
    assert "INTERNALERROR" not in text


def test_workers_need_twins_with_names(project: pytest.Pytester) -> None:
    feature(project, MET)
    (project.path / "known_hosts").touch()
    (project.path / "shop.yml").write_text(
        yaml.safe_dump(
            {
                "cluster": "shop",
                "known_hosts": "known_hosts",
                "nodes": {"m1": {"address": "192.0.2.1", "role": "manager"}},
            }
        )
    )
    for arguments, said in [
        (["--inventory", "shop.yml"], "-n with --inventory"),
        (["--twin", "thirteen-chars"], "is too long a name for 2 twins"),
    ]:
        result, signoff = run(project, *ALL, *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (line,) = (line for line in result.errlines if line.startswith("ERROR: "))
        assert said in line
        assert not signoff
        assert not (project.path / "reports").exists()


def test_a_run_that_chose_nothing_leaves_nothing(project: pytest.Pytester) -> None:
    feature(project, MET)
    result, _ = run(project, *ALL, "-k", "nosuch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert list((project.path / "reports").iterdir()) == []


@pytest.fixture
def started(project: pytest.Pytester) -> Iterator[subprocess.Popen[str]]:
    """A run whose two workers are in the middle of a scenario, their twins standing."""
    feature(project, scenario("long one", "Then it goes on and on"), name="a")
    feature(project, scenario("long two", "Then it goes on and on"), name="b")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *ALL],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        eventually(
            lambda: len(standing(project)) == 2 or Pending("they do not stand yet"),
            within=60,
            what="two twins",
        )
        yield process
        process.kill()


def standing(project: pytest.Pytester) -> list[Path]:
    return list(project.path.glob("standing-*"))


def test_ctrl_c_lets_every_worker_take_its_twin_down(
    project: pytest.Pytester, started: subprocess.Popen[str]
) -> None:
    # As a terminal does: to all of the foreground's process group.
    os.killpg(started.pid, signal.SIGINT)
    shown, _ = started.communicate(timeout=60)
    assert started.returncode == pytest.ExitCode.INTERRUPTED, shown
    assert standing(project) == []
    signoff = json.loads((project.path / "reports/latest/signoff.json").read_text())
    assert signoff["ready"] is False
    assert len(signoff["not_run"]) == 2


def test_no_worker_outlives_a_controller_that_is_killed(
    project: pytest.Pytester, started: subprocess.Popen[str]
) -> None:
    pids = [int(path.read_text()) for path in standing(project)]
    started.kill()

    def gone() -> bool | Pending:
        left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        return Pending(f"{left} run") if left else True

    eventually(gone, within=60, what="the workers gone")
