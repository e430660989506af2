"""What clients saw of an update: one test for each lie that it must not believe."""

from __future__ import annotations

import pytest

from fixtures.cluster.power import Instant
from load import changeover
from load.changeover import Changeover, Update
from load.outages import Edge
from load.samples import Sample

RATE = 20.0
LATENCY = 0.01
#: Before, while, after: enough answers for a reign each.
B, W, A = 60, 100, 80


def asked(versions: str) -> list[Sample]:
    """Return an answer of the version that each character names; `-` failed, `?` names none."""
    samples = []
    for seq, version in enumerate(versions):
        due = seq / RATE
        ok = version != "-"
        served_by = "" if version in "-?" else version
        entries = {"n1": "ok" if ok else "refused"}
        samples.append(Sample("shop", seq, due, due, due + LATENCY, ok, entries, served_by))
    return samples


def update(*, began: int = B, ended: int = B + W) -> Update:
    """Begun just before the sample with that number was due, ended likewise."""
    half = 0.5 / RATE
    return Update("1", "2", Instant(began / RATE - half, 0.0), Instant(ended / RATE - half, 0.0), 2)


def judged(versions: str, *, grace: float = 0.0) -> Changeover:
    return changeover.completed(asked(versions), update(), grace=grace)


def taken_back(versions: str) -> Changeover:
    return changeover.rolled_back(asked(versions), update(), grace=0.0)


ONCE = "1" * B + "1" * 40 + "12" * 10 + "2" * 40 + "2" * A


def test_it_changed_over_once() -> None:
    seen = judged(ONCE)
    assert (seen.problems, seen.doubts) == ((), ())
    assert seen.reigns == ("1", "2")
    assert seen.answers == {"1": B + 50, "2": A + 50}


def test_how_long_both_answered_is_measured_with_its_error() -> None:
    mixture = judged(ONCE).mixture
    assert mixture is not None
    # The first of version 2 is sample 101, the last of version 1 sample 118.
    assert mixture.at == pytest.approx((119 - 101) / RATE)
    assert mixture.error == pytest.approx(1 / RATE + LATENCY)


def test_a_clean_cut_is_no_mixture() -> None:
    mixture = judged("1" * (B + 50) + "2" * (A + 50)).mixture
    assert mixture == Edge(0.0, pytest.approx((1 / RATE + LATENCY) / 2))


def test_failed_requests_are_no_answers_of_any_version() -> None:
    assert judged("1" * 80 + "-" * 40 + "2" * 120).problems == ()


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        ("1" * (B + W + A), "version 2 was never seen"),
        ("1" * B + "1" * 40 + "3" + "2" * (A + 59), "1 answers of version 3"),
        ("1" * B + "1" * 40 + "?" + "2" * (A + 59), "1 answers name no version"),
        (
            "1" * 40 + "2" + "1" * 19 + "1" * 40 + "2" * (A + 60),
            "1 answers of version 2 before the update began",
        ),
        (
            ONCE[: B + W + 5] + "1" + ONCE[B + W + 6 :],
            "1 answers of version 1 more than 0 s after the update's end",
        ),
        ("1" * B + "2" * 70 + "1" * (30 + A), "it went back to version 1 for good"),
        (
            "1" * B + "2" * 55 + "1" * 55 + "2" * (W - 110 + A + 60),
            "in order: 1, 2, 1, 2, not 1, 2",
        ),
        ("1" * B + "12" * 50 + "12" * (A // 2), "in order: 1, not 1, 2"),
        ("2" * (B + W + A), "in order: 2, not 1, 2"),
        ("-" * (B + W + A), "version 2 was never seen"),
    ],
    ids=[
        "never arrived",
        "a third version",
        "no version",
        "too early",
        "old after the end",
        "back for good",
        "there and back again",
        "for ever mixed",
        "was there before",
        "nobody answered",
    ],
)
def test_what_is_no_changeover(versions: str, problem: str) -> None:
    assert any(problem in found for found in judged(versions).problems), judged(versions)


def test_the_old_version_may_drain_after_the_end() -> None:
    draining = ONCE[: B + W + 5] + "1" + ONCE[B + W + 6 :]
    assert judged(draining, grace=1.0).problems == ()


def test_a_single_answer_of_the_other_version_ends_no_reign() -> None:
    odd = "1" * B + "2" + "1" * 59 + "2" * 40 + "2" * A
    assert judged(odd).problems == ()


def test_moments_count_with_their_error_in_favour_of_the_update() -> None:
    unsure = Update("1", "2", Instant(B / RATE, 1.0), Instant((B + W) / RATE, 1.0), 2)
    early = "1" * (B - 5) + "2" * 2 + "1" * 43 + "2" * (W - 40 + A)
    assert changeover.completed(asked(early), unsure, grace=0).problems == ()


@pytest.mark.parametrize(
    ("versions", "began", "ended", "doubt"),
    [
        ("1" * 20 + "2" * 200, 20, 100, "only 20 requests before the update, 52 are needed"),
        ("1" * 100 + "2" * 100, 60, 190, "only 10 requests after its end, 52 are needed"),
    ],
)
def test_too_few_requests_are_a_doubt(versions: str, began: int, ended: int, doubt: str) -> None:
    seen = changeover.completed(asked(versions), update(began=began, ended=ended), grace=0)
    assert seen.doubts == (doubt,)


@pytest.mark.parametrize(("replicas", "least"), [(1, 30), (2, 52), (9, 197)])
def test_a_reign_is_longer_where_more_tasks_share_the_answers(replicas: int, least: int) -> None:
    assert Update("1", "2", Instant(0, 0), Instant(1, 0), replicas).reign == least


# --- taken back


def test_nothing_but_the_old_version_is_a_roll_back() -> None:
    seen = taken_back("1" * (B + W + A))
    assert (seen.problems, seen.doubts) == ((), ())
    assert seen.answers.get("2", 0) == 0


def test_answers_of_the_new_version_in_between_are_counted() -> None:
    seen = taken_back("1" * (B + 20) + "21" * 10 + "1" * (W - 40 + A))
    assert seen.problems == ()
    assert seen.answers["2"] == 10


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        ("1" * B + "2" * (W + A), "version 2 answered alone"),
        ("1" * (B + W) + "2" + "1" * (A - 1), "1 answers of version 2 more than 0 s after"),
        ("1" * 10 + "2" + "1" * (B + W + A - 11), "1 answers of version 2 before the update began"),
        ("1" * (B + W) + "3" * A, f"{A} answers of version 3"),
        ("-" * (B + W + A), "version 1 was never seen"),
    ],
    ids=["stayed", "new after the end", "too early", "a third version", "nobody answered"],
)
def test_what_is_no_roll_back(versions: str, problem: str) -> None:
    assert any(problem in found for found in taken_back(versions).problems)


# --- outages


def test_what_failed_before_the_update_is_not_its_fault() -> None:
    samples = asked("1" * 10 + "--" + "1" * 100 + "-")
    assert changeover.failed_before(samples, update()) == ["shop: 2 failed before the update began"]
    assert changeover.failed_before(asked("1" * 100 + "-"), update()) == []


def test_all_outages_count_together() -> None:
    out = changeover.time_out(asked("1" * 20 + "-" * 20 + "1" * 20 + "-" * 10 + "1" * 20))
    assert out is not None
    assert out.at == pytest.approx(30 / RATE)
    assert out.error == pytest.approx(4 * (1 / RATE + LATENCY) / 2)


def test_no_outage_lasts_no_time() -> None:
    assert changeover.time_out(asked("1" * 20)) == Edge(0, 0)


def test_an_outage_without_an_end_has_no_length() -> None:
    assert changeover.time_out(asked("1" * 20 + "-" * 20)) is None
