"""Each way to lose a write, and what must not be taken for a loss."""

from __future__ import annotations

import math

import pytest

from load.writes.checker import check, last_before_silence, loss, on_every
from load.writes.history import Became, Write

FAULT = 100.0


def write(key: int, became: str = "ack", *, ended: float | None = None, took: float = 0.1) -> Write:
    """A write that is due at `key` seconds, and ends as soon as it usually does."""
    at = key + took if ended is None else ended
    return Write(key, float(key), float(key), at, Became(became), "server")


def under_way(key: int) -> Write:
    return Write(key, float(key), float(key))


def there(*keys: int) -> dict[int, int]:
    return dict.fromkeys(keys, 1)


def test_every_write_that_is_there_is_no_loss() -> None:
    checked = check([write(key) for key in range(5)], there(*range(5)))
    assert checked.acknowledged == len(checked.kept) == 5
    assert checked.lost == ()
    assert checked.impossible() == []


@pytest.mark.parametrize("lost", [0, 2, 4], ids=["first", "middle", "last"])
def test_an_acknowledged_write_that_is_not_there_is_lost(lost: int) -> None:
    found = there(*(key for key in range(5) if key != lost))
    checked = check([write(key) for key in range(5)], found)
    assert [w.key for w in checked.lost] == [lost]
    assert checked.acknowledged == 5


def test_an_empty_server_has_lost_everything() -> None:
    checked = check([write(key) for key in range(5)], {})
    assert len(checked.lost) == checked.acknowledged == 5


def test_a_key_that_is_there_no_times_is_not_there() -> None:
    assert [w.key for w in check([write(1)], {1: 0}).lost] == [1]


def test_a_write_of_unknown_end_is_neither_lost_nor_kept() -> None:
    writes = [write(1, "unknown"), write(2, "unknown"), under_way(3), under_way(4)]
    checked = check(writes, there(2, 4))
    assert checked.acknowledged == 0
    assert checked.lost == ()
    assert [w.key for w in checked.unknown_present] == [2, 4]
    assert [w.key for w in checked.unknown_absent] == [1, 3]
    assert checked.impossible() == []


def test_a_refused_write_must_not_be_there() -> None:
    checked = check([write(1, "fail"), write(2, "fail")], there(2))
    assert checked.lost == ()
    assert [w.key for w in checked.refused_absent] == [1]
    assert checked.impossible() == ["key 2 is there and was refused (server)"]


def test_a_write_that_is_there_twice_or_was_never_sent_is_told() -> None:
    checked = check([write(1)], {1: 2, 7: 1})
    assert checked.twice == (1,)
    assert checked.unexplained == (7,)
    assert checked.impossible() == [
        "key 1 is there more than once",
        "key 7 is there and was never sent",
    ]


def test_every_write_stands_in_one_row_of_the_table() -> None:
    writes = [write(1), write(2), write(3, "fail"), write(4, "fail"), write(5, "unknown")]
    writes.append(under_way(6))
    rows = check(writes, there(1, 4, 6)).table()
    assert [row["count"] for row in rows] == ["1"] * 6 + ["0", "0"]


def test_two_servers_that_both_accept_writes_keep_only_what_both_have() -> None:
    assert on_every([{1: 1, 2: 1}, {2: 3, 3: 1}]) == {2: 3}
    assert on_every([{1: 1}]) == {1: 1}
    assert on_every([{1: 1}, {}]) == {}
    assert on_every([]) == {}


# --- how far back


def test_a_loss_reaches_from_the_oldest_lost_acknowledgement_to_the_fault() -> None:
    writes = [write(key) for key in range(100)]
    found = loss(check(writes, there(*range(90))), FAULT, 0.5, 0.25)
    # Between the acknowledgements of 89 (at 89.1 s) and 90 (at 90.1 s).
    assert found.seconds - (found.error - 0.75) == pytest.approx(9.9)
    assert found.seconds + (found.error - 0.75) == pytest.approx(10.9)
    assert found.reason == ""


def test_a_hole_counts_from_its_beginning() -> None:
    writes = [write(key) for key in range(100)]
    found = loss(check(writes, there(*(k for k in range(100) if k != 50))), FAULT, 0, 0)
    assert found.seconds == pytest.approx(50.4)
    assert found.error == pytest.approx(0.5)


def test_a_deposed_primary_that_went_on_loses_beyond_the_fault() -> None:
    writes = [write(key) for key in range(121)]
    found = loss(check(writes, there(*range(95))), FAULT, 0, 0)
    assert found.seconds == pytest.approx(120.1 - 94.6)


def test_the_oldest_is_the_one_acknowledged_first_not_the_smallest_key() -> None:
    writes = [write(1), write(2, ended=80.0), write(3, ended=70.0)]
    found = loss(check(writes, there(1)), FAULT, 0, 0)
    assert found.seconds + found.error == pytest.approx(100 - 1.1)
    assert found.seconds - found.error == pytest.approx(30)


def test_nothing_lost_hides_no_more_than_the_time_without_an_acknowledgement() -> None:
    writes = [write(key) for key in range(98)]
    found = loss(check(writes, there(*range(98))), FAULT, 0.5, 0.25)
    assert found.seconds == 0
    assert found.error == pytest.approx(2.9 + 0.75)


def test_all_lost_has_no_bound() -> None:
    found = loss(check([write(key) for key in range(100)], {}), FAULT, 0, 0)
    assert math.isinf(found.error)
    assert "before anybody wrote" in found.reason


def test_nothing_acknowledged_before_the_fault_bounds_nothing() -> None:
    found = loss(check([write(1, "fail")], {}), FAULT, 0, 0)
    assert math.isinf(found.error)


def test_without_a_fault_the_longest_silence_begins_the_outage() -> None:
    writes = [write(key) for key in (*range(10), *range(30, 40))]
    assert last_before_silence(writes) == pytest.approx(9.1)
    assert last_before_silence(writes[:2]) is None
