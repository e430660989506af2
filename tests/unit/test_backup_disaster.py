"""What a disaster cost, and how several restores of one size are put together."""

from __future__ import annotations

import pytest

from verify.backups.disaster import Loss, loss
from verify.backups.extrapolation import Point
from verify.backups.recovery import typical


def test_what_was_acknowledged_before_the_loss_is_looked_for() -> None:
    acknowledged = {"a": 1.0, "b": 2.0, "c": 3.0, "after": 11.0}
    assert loss(acknowledged, {"a"}, 10.0) == Loss(acknowledged=3, lost=2, seconds=8.0)


def test_a_hole_in_the_middle_counts_from_its_first() -> None:
    assert loss({"a": 1.0, "b": 2.0, "c": 3.0}, {"a", "c"}, 10.0) == Loss(3, 1, 8.0)


def test_nothing_lost_is_no_time_lost() -> None:
    assert loss({"a": 1.0}, {"a", "more"}, 10.0) == Loss(1, 0, 0.0)


def test_restores_of_one_size_are_their_middle_with_half_their_range() -> None:
    found = typical([Point(5, 2.0, 0.1), Point(5, 3.0, 0.2)])
    assert (found.size, found.seconds, found.error) == (5, pytest.approx(2.55), pytest.approx(0.65))
