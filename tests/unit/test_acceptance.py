"""Unproven criteria that somebody answers for, and what that cannot cover."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import CutoverError
from signoff import acceptance
from signoff.acceptance import Accepted
from signoff.measurement import Measurement, Verdict
from signoff.plan_lines import Judged, PlanLine
from signoff.summary import Signoff, as_json, as_markdown

SWAP = Accepted(criterion="it does not swap", reason="These servers have none.", by="A. Engineer")


def measured(verdict: Verdict, criterion: str = "it does not swap") -> Measurement:
    return Measurement(criterion, "Budget", "", verdict, scenario="Ordinary traffic", n=1)


def signoff(*measurements: Measurement, accepted: tuple[Accepted, ...] = (SWAP,)) -> Signoff:
    line = Judged(PlanLine("CPU", "CPU < 30 %", (), (), ()), "met", 1, "")
    return Signoff(
        *("x", "now", 1, "pytest", measurements), complete=True, plan=[line], accepted=accepted
    )


MET = measured(Verdict.MET, "CPU")


def test_what_is_accepted_no_longer_stands_between_a_run_and_ready() -> None:
    unproven = measured(Verdict.UNPROVEN)
    assert not signoff(MET, unproven, accepted=()).ready
    accepted = signoff(MET, unproven)
    assert accepted.headline == (
        "READY: 1 of 2 criteria are met, and 1 unproven ones accepted by A. Engineer"
    )
    assert "## Accepted without proof" in as_markdown(accepted)
    assert "by A. Engineer: These servers have none." in as_markdown(accepted)
    assert as_json(accepted)["accepted"][0]["by"] == "A. Engineer"


@pytest.mark.parametrize("verdict", [Verdict.MISSED, Verdict.INCONCLUSIVE])
def test_nobody_can_answer_for_a_missed_or_inconclusive_criterion(verdict: Verdict) -> None:
    assert not signoff(MET, measured(verdict)).ready


@pytest.mark.parametrize(
    "other",
    [
        SWAP.model_copy(update={"criterion": "it does not"}),
        SWAP.model_copy(update={"scenario": "Another one"}),
    ],
)
def test_what_is_accepted_elsewhere_is_not_accepted_here(other: Accepted) -> None:
    assert signoff(MET, measured(Verdict.UNPROVEN), accepted=(other,)).objections == ["1 unproven"]


def test_what_needs_no_answer_any_more_is_said_and_not_in_the_headline() -> None:
    met = signoff(MET, measured(Verdict.MET))
    assert met.headline == "READY: all 2 criteria are met"
    assert "take it out of the file" in as_markdown(met)


def test_who_answers_for_nothing_in_this_run_is_not_in_the_headline() -> None:
    idle = Accepted(criterion="another", reason="It is not there.", by="B. Engineer")
    headline = signoff(MET, measured(Verdict.UNPROVEN), accepted=(SWAP, idle)).headline
    assert headline.endswith("accepted by A. Engineer")


ENTRY = "accepted:\n  - criterion: a\n    by: me\n    reason: it is so here\n"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "accept.yml"
    path.write_text(ENTRY)
    (found,) = acceptance.load(path)
    assert (found.criterion, found.scenario, found.by) == ("a", "", "me")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("accepted: []\n", "accepted"),
        ("exceptions: []\n", "exceptions"),
        (ENTRY.replace("it is so here", "yes"), "accepted.0.reason: no written reason"),
        (ENTRY.replace("    by: me\n", ""), "accepted.0.by"),
        (ENTRY + "    verdict: met\n", "accepted.0.verdict"),
    ],
)
def test_a_file_that_says_too_little_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "accept.yml"
    path.write_text(text)
    with pytest.raises(CutoverError) as refused:
        acceptance.load(path)
    assert str(path) in str(refused.value)
    assert problem in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match="cannot be read"):
        acceptance.load(tmp_path / "none.yml")
