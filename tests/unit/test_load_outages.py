"""From samples to outages: every true edge lies within the interval that is reported."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from load import validity
from load.outages import Outage, availability, outages, recovery
from load.percentiles import percentile
from load.samples import Sample

RATE = 10
TOOK = 0.02


def samples(states: str, *, took: float = TOOK, late: float = 0.0) -> list[Sample]:
    """One sample a letter, `g`ood or `b`ad, ten a second from second 0 on."""
    made = []
    for index, state in enumerate(states):
        due = index / RATE
        start = due + late
        made.append(Sample("edge", due, start, start + took, state == "g", {}))
    return made


def spans(found: Sequence[Outage]) -> list[tuple[int, bool]]:
    return [(outage.bad, outage.end is not None) for outage in found]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("", []),
        ("gggggg", []),
        ("ggbggggg", [(1, True)]),
        ("bbggggg", [(2, True)]),
        ("gggbb", [(2, False)]),
        ("gbgbgggggg", [(2, True)]),
        ("gbgggg", [(1, False)]),
        ("gbgggggbggggg", [(1, True), (1, True)]),
    ],
)
def test_outages(states: str, expected: list[tuple[int, bool]]) -> None:
    assert spans(outages(samples(states))) == expected


@pytest.mark.parametrize("seed", range(30))
def test_the_true_outage_lies_within_the_reported_error(seed: int) -> None:
    chance = random.Random(seed)
    down, length = chance.uniform(1, 3), chance.uniform(0.3, 4)
    made = []
    for index in range(120):
        due = index / RATE
        started = due + chance.uniform(0, 0.01)
        # The system is asked at some moment between the request's start and its end.
        asked = started + chance.uniform(0, 0.02)
        ok = not down <= asked < down + length
        made.append(Sample("edge", due, started, asked + chance.uniform(0, 0.02), ok, {}))
    (outage,) = outages(made)
    assert outage.end is not None
    assert outage.seconds is not None
    assert abs(outage.start.at - down) <= outage.start.error
    assert abs(outage.end.at - (down + length)) <= outage.end.error
    assert abs(outage.seconds - length) <= outage.error
    assert outage.error < 2 / RATE


def test_recovery_counts_from_the_fault_to_the_lasting_good_answers() -> None:
    made = samples("g" * 20 + "b" * 30 + "g" * 10)
    result = recovery(made, 2.0, 0.01)
    assert result.reason == ""
    assert (result.bad, abs(result.seconds - 3.0) <= result.error) == (30, True)


def test_a_late_flicker_counts_as_not_recovered_before() -> None:
    made = samples("g" * 20 + "b" * 10 + "g" * 10 + "b" + "g" * 10)
    assert recovery(made, 2.0, 0.0).seconds == pytest.approx(2.1, abs=0.1)


def test_no_failed_request_is_a_recovery_of_no_time_but_with_an_error() -> None:
    result = recovery(samples("g" * 40), 2.0, 0.01)
    assert (result.seconds, result.reason) == (0.0, "")
    assert result.error >= 1 / RATE


@pytest.mark.parametrize("states", ["g" * 20 + "b" * 30, "g" * 20 + "b" * 30 + "gggg"])
def test_never_served_again_has_a_reason(states: str) -> None:
    assert "not served again" in recovery(samples(states), 2.0, 0.0).reason


def test_too_few_requests_since_the_fault_prove_nothing() -> None:
    result = recovery(samples("g" * 21), 2.0, 0.0)
    assert "only 1 requests" in result.reason
    assert result.n == 0


def test_availability_is_of_requests_due_in_the_window() -> None:
    share, asked = availability(samples("g" * 10 + "b" * 5 + "g" * 5), 0.5, 2.0)
    assert (round(share, 3), asked) == (round(10 / 15, 3), 15)
    assert availability([], 0, 1) == (0.0, 0)


def test_a_generator_that_lags_is_objected_to() -> None:
    assert validity.objections(samples("g" * 50), RATE) == []
    (lag,) = validity.objections(samples("g" * 50, late=0.5), RATE)
    assert "own lag" in lag
    (rate,) = validity.objections(samples("g" * 50), 2 * RATE)
    assert "10.0 of 20 requests" in rate
    assert validity.objections([], RATE) == ["only 0 requests were sent"]


@pytest.mark.parametrize("seed", range(10))
def test_percentiles_are_nearest_rank(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.uniform(0, 9) for _ in range(chance.randrange(1, 200))]
    for rank in (50, 95, 99, 100):
        expected = next(
            v for v in sorted(values) if 100 * sum(o <= v for o in values) >= rank * len(values)
        )
        assert percentile(values, rank) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 95)
