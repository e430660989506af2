"""Percentiles, and what surely holds them."""

from __future__ import annotations

import math
import random

import pytest

from load.percentiles import percentile, quantile


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 75.1) == 4.0


def test_no_values_have_none() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="0 lower"):
        quantile([], [], 50)
    with pytest.raises(ValueError, match="1 lower and 2 upper"):
        quantile([1], [1, 2], 50)


def test_the_interval_holds_the_true_percentile_as_often_as_it_says() -> None:
    chance = random.Random(7)
    true = -math.log(0.05)  # of the exponential distribution with mean 1
    held = 0
    for _ in range(400):
        values = [chance.expovariate(1) for _ in range(300)]
        found = quantile(values, values, 95)
        held += abs(found.value - true) <= found.error
    assert held / 400 > 0.93


def test_what_the_generator_was_late_by_widens_the_interval() -> None:
    service = [0.010] * 1000
    found = quantile(service, [0.010 + 0.004] * 1000, 95)
    assert (found.value, found.error) == (pytest.approx(0.012), pytest.approx(0.002))
    assert found.n == 1000


def test_too_few_values_leave_the_error_open() -> None:
    assert quantile([1.0] * 20, [1.0] * 20, 95).error == math.inf
    assert quantile([1.0] * 200, [1.0] * 200, 95).error == 0


def test_requests_that_failed_were_never_answered() -> None:
    values = [1.0] * 80 + [math.inf] * 20
    assert quantile(values, values, 95).value == math.inf
    assert quantile(values, values, 95).error == 0
    few = [1.0] * 999 + [math.inf]
    assert quantile(few, few, 95).value == 1.0
