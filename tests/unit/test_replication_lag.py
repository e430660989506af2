"""The lag that is read off heartbeats: what the replica shows against what the primary wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verify.replication_lag import Beat, Lag, Watched, lag_seconds

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


BEATS = [Beat(number, at(float(number))) for number in range(1, 6)]


def bounds(seen: int | None, now: float) -> tuple[float, float]:
    lag, error = lag_seconds(BEATS, seen, at(now))
    return lag - error, lag + error


def test_a_replica_that_shows_the_newest_beat_is_behind_by_its_age_at_most() -> None:
    assert bounds(5, 5.1) == pytest.approx((0.0, 0.1))


def test_of_an_older_beat_the_next_one_bounds_the_lag_from_below() -> None:
    assert bounds(2, 5.5) == pytest.approx((2.5, 3.5))


def test_a_replica_that_shows_no_beat_is_behind_since_the_first() -> None:
    assert bounds(None, 9.0) == pytest.approx((8.0, 8.0))
    assert bounds(0, 9.0) == pytest.approx((8.0, 8.0))


def test_a_long_silence_of_the_primary_is_no_lag() -> None:
    beats = [Beat(1, at(0.0)), Beat(2, at(3600.0))]
    assert lag_seconds(beats, 2, at(3600.1))[0] < 0.1


def test_the_worst_look_of_each_kind_counts() -> None:
    watched = Watched((Lag(0.1, 0.1, 900), Lag(3.0, 0.1, 5), Lag(0.2, 0.1, 7)), 8000, 4.0)
    assert (watched.oldest.seconds, watched.furthest.bytes, watched.rate) == (3.0, 900, 2000.0)
