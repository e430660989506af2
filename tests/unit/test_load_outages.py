"""From samples to outages: every true edge lies within the interval that is reported."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from load.outages import Edge, Outage, availability, in_vain, outages, recovery, time_served
from load.samples import Sample
from tests.unit.load_builders import series

# --- outages


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("", []),
        ("++++++", []),
        ("++-+++++", [(1, True)]),
        ("--+++++", [(2, True)]),
        ("+++--", [(2, False)]),
        ("+-+-++++++", [(2, True)]),
        ("+-++++", [(1, False)]),
        ("+-+++++-+++++", [(1, True), (1, True)]),
        ("----", [(4, False)]),
        ("+-" * 20, [(20, False)]),
    ],
)
def test_outages(states: str, expected: list[tuple[int, bool]]) -> None:
    found = outages(series(states))
    assert [(outage.bad, outage.end is not None) for outage in found] == expected


def test_a_single_bad_request_is_an_outage() -> None:
    (outage,) = outages(series("+++++-+++++"))
    # Between the good ones sent at 0.4 and answered at 0.61.
    assert outage.bad == 1
    assert outage.start == Edge(pytest.approx(0.455), pytest.approx(0.055))
    assert outage.end == Edge(pytest.approx(0.555), pytest.approx(0.055))
    assert outage.seconds == pytest.approx(0.1)
    assert outage.error == pytest.approx(0.11)


def test_an_outage_that_was_there_before_anybody_looked_has_no_start() -> None:
    (outage,) = outages(series("--+++++"))
    assert outage.start is None
    assert outage.seconds is None
    assert outage.end is not None
    assert outage.error == outage.end.error


def test_an_outage_still_open_has_no_end() -> None:
    (outage,) = outages(series("+++++---"))
    assert (outage.end, outage.seconds, outage.bad) == (None, None, 3)


def test_too_few_good_ones_do_not_end_it() -> None:
    (outage,) = outages(series("+++++--++++"))
    assert outage.end is None
    (outage,) = outages(series("+++++--++++-+++++"))
    assert outage.bad == 3
    assert outage.end is not None
    assert outage.end.at == pytest.approx(1.155)


def test_the_number_of_good_ones_that_end_it_can_be_stated() -> None:
    assert len(outages(series("+-++-++"), goods=2)) == 2
    assert len(outages(series("+-++-++"), goods=3)) == 1


def test_a_request_that_ran_into_its_timeout_widens_the_edge() -> None:
    (outage,) = outages(series("+++++--+++++", bad_latency=1.0))
    assert outage.start is not None
    # Sent good at 0.4; the first bad one given up at 1.5.
    assert outage.start.error == pytest.approx(0.55)


@pytest.mark.parametrize("seed", range(30))
def test_quick_answers_give_a_small_error(seed: int) -> None:
    chance = random.Random(seed)
    down, length = chance.uniform(1, 3), chance.uniform(0.3, 4)
    made = []
    for seq in range(120):
        due = seq / 10
        started = due + chance.uniform(0, 0.01)
        # The system is asked at some moment between the request's start and its end.
        asked = started + chance.uniform(0, 0.02)
        ok = not down <= asked < down + length
        made.append(Sample("shop", seq, due, started, asked + chance.uniform(0, 0.02), ok, {}))
    (outage,) = outages(made)
    assert outage.seconds is not None
    assert abs(outage.seconds - length) <= outage.error < 0.2


def sampled(truth: list[tuple[float, float]], end: float, chance: random.Random) -> list[Sample]:
    """Ask 10 times a second; each request sees the state at a random moment while under way."""
    samples = []
    for seq in range(int(end * 10)):
        due = seq / 10
        started = due + chance.uniform(0, 0.03)
        ended = started + chance.choice([0.005, 0.05, 0.4])
        seen = chance.uniform(started, ended)
        ok = not any(begun <= seen < over for begun, over in truth)
        samples.append(Sample("shop", seq, due, started, ended, ok, {}))
    return samples


@pytest.mark.parametrize("seed", range(50))
def test_the_truth_lies_within_the_stated_error(seed: int) -> None:
    chance = random.Random(seed)
    truth, at = [], chance.uniform(1, 3)
    for _ in range(4):
        over = at + chance.uniform(0.6, 4)
        truth.append((at, over))
        at = over + chance.uniform(2, 4)
    samples = sampled(truth, at + 2, chance)

    found = outages(samples)
    assert len(found) == len(truth)
    for outage, (begun, over) in zip(found, truth, strict=True):
        assert outage.start is not None
        assert outage.end is not None
        assert abs(outage.start.at - begun) <= outage.start.error
        assert abs(outage.end.at - over) <= outage.end.error
        assert outage.seconds is not None
        assert abs(outage.seconds - (over - begun)) <= outage.error

    lost = sum(over - begun for begun, over in truth)
    share, error = time_served(found, 0.0, at)
    assert abs(share - (1 - lost / at)) <= error
    fault = truth[0][0]
    result = recovery(samples, fault, 0.0)
    assert result.reason == ""
    assert abs(result.seconds - (truth[-1][1] - fault)) <= result.error


# --- availability


def test_availability_counts_the_requests_due_in_the_window() -> None:
    samples = series("++--++")
    assert availability(samples, 0.1, 0.4) == (pytest.approx(1 / 3), 3)
    assert availability(samples, 5, 6) == (0.0, 0)


def test_time_served_cuts_outages_at_the_window() -> None:
    found = [
        Outage(None, Edge(2.0, 0.1), 5),
        Outage(Edge(4.0, 0.1), Edge(5.0, 0.1), 5),
        Outage(Edge(9.0, 0.2), None, 5),
    ]
    share, error = time_served(found, 0.0, 10.0)
    assert share == pytest.approx(0.6)
    assert error == pytest.approx(0.05)
    assert time_served(found, 6.0, 8.0) == (1.0, 0.0)
    assert time_served([], 6.0, 8.0) == (1.0, 0.0)
    with pytest.raises(ValueError, match="empty"):
        time_served(found, 6.0, 6.0)


# --- recovery from a fault


def test_recovery_counts_from_the_fault_to_the_first_lasting_good_answer() -> None:
    result = recovery(series("+" * 10 + "-" * 20 + "+" * 10), 1.0, 0.02)
    assert (result.reason, result.n, result.bad) == ("", 30, 20)
    assert result.seconds == pytest.approx(1.955)
    assert result.error == pytest.approx(0.055 + 0.02)


def test_the_last_bad_request_counts_not_the_first_recovery() -> None:
    result = recovery(series("+" * 10 + "-" * 5 + "+" * 10 + "-" + "+" * 5), 1.0, 0.0)
    assert result.seconds == pytest.approx(1.555)


def test_bad_requests_before_the_fault_do_not_count() -> None:
    result = recovery(series("---" + "+" * 20), 1.0, 0.0)
    assert (result.seconds, result.bad) == (0.0, 0)


def test_without_a_failed_request_the_error_is_the_outage_that_could_have_hidden() -> None:
    result = recovery(series("+" * 20), 0.95, 0.0)
    assert result.seconds == 0.0
    assert result.error == pytest.approx(0.11)
    slow = recovery(series("+" * 20, latency=0.9), 0.95, 0.0)
    assert slow.error == pytest.approx(1.0)


def test_a_first_answer_long_after_the_fault_could_have_hidden_an_outage() -> None:
    assert recovery(series("+" * 10, start=8.0), 5.0, 0.5).error == pytest.approx(3.51)


def test_never_served_again_says_so_with_the_time_watched() -> None:
    result = recovery(series("+" * 10 + "-" * 20 + "++++"), 1.0, 0.0)
    assert result.reason == "not served again for good"
    assert result.seconds == pytest.approx(2.31)


@pytest.mark.parametrize("pattern", ["", "++++", "----"])
def test_too_few_requests_prove_nothing(pattern: str) -> None:
    result = recovery(series(pattern, start=1.0), 1.0, 0.0)
    assert result.n == 0
    assert result.reason == f"only {len(pattern)} requests since the fault"


def test_a_recovery_that_did_not_come_is_over_what_was_waited_for() -> None:
    last = recovery(series("+" * 10 + "-" * 20), 1.0, 0.0)
    assert last.seconds < 2  # the newest requests were still under way
    found = in_vain(last, 2.001, "")
    assert (found.seconds, found.reason) == (2.001, "not served again for good")
    assert in_vain(replace(last, reason=""), 2.001, "none was sent").reason == "none was sent"
    assert in_vain(replace(last, seconds=3.0), 2.001, "").seconds == 3.0
