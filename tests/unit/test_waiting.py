"""The one way to wait, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures import progress, waiting
from fixtures.waiting import NeverTrue, Pending, eventually, how_long
from tests.unit.builders import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands in for the module `time` in fixtures.waiting and fixtures.progress only."""
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    progress.set_sink(lines.append)
    yield lines
    progress.set_sink(None)


def true_from(clock: Clock, moment: float, look: float = 0.0) -> Callable[[], object]:
    """A predicate that is true from `moment` on; each look ends `look` seconds after it began."""

    def predicate() -> object:
        clock.pass_(look)
        return "yes" if clock.now >= moment else Pending("not yet")

    return predicate


def test_what_is_true_at_once_is_returned_without_sleeping(clock: Clock) -> None:
    assert eventually(lambda: "yes", within=5, what="x") == "yes"
    assert clock.slept == []


@pytest.mark.parametrize("falsy", [0, "", [], None])
def test_only_pending_counts_as_not_true(clock: Clock, falsy: object) -> None:
    assert eventually(lambda: falsy, within=5, what="x") == falsy


def test_a_predicate_that_says_false_is_refused_instead_of_ending_the_wait(clock: Clock) -> None:
    with pytest.raises(TypeError, match="must return Pending"):
        eventually(lambda: False, within=5, what="x")


def test_it_looks_again_until_it_is_true(clock: Clock) -> None:
    assert eventually(true_from(clock, 103), within=5, every=0.5, what="x") == "yes"
    assert clock.slept == [0.5] * 6


def test_after_the_deadline_the_last_reason_is_told(clock: Clock) -> None:
    reasons = iter(["first", "second", "third"])
    with pytest.raises(NeverTrue, match=r"^door open: not within 2 s; last seen: third$"):
        eventually(lambda: Pending(next(reasons)), within=2, every=1, what="door open")
    assert clock.now == 102


def test_the_last_sleep_does_not_pass_the_deadline(clock: Clock) -> None:
    with pytest.raises(NeverTrue):
        eventually(lambda: Pending("no"), within=1.0, every=0.4, what="x")
    assert sum(clock.slept) == pytest.approx(1.0)


def test_it_looks_once_even_without_time(clock: Clock) -> None:
    assert eventually(lambda: 1, within=0, what="x") == 1


def test_a_named_error_counts_as_pending(clock: Clock) -> None:
    outcomes = iter([OSError("refused"), "yes"])

    def predicate() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert eventually(predicate, within=5, what="x", retry_on=(OSError,)) == "yes"


def test_a_named_error_is_the_reason_after_the_deadline(clock: Clock) -> None:
    def predicate() -> str:
        raise OSError("refused")

    with pytest.raises(NeverTrue, match="last seen: OSError: refused"):
        eventually(predicate, within=1, what="x", retry_on=(OSError,))


def test_any_other_error_is_raised_at_once(clock: Clock) -> None:
    def predicate() -> str:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        eventually(predicate, within=5, what="x", retry_on=(OSError,))
    assert clock.slept == []


def test_the_diagnosis_is_asked_once_and_told(clock: Clock) -> None:
    asked = []

    def diagnose() -> str:
        asked.append(1)
        return "the engine says: no space"

    with pytest.raises(NeverTrue, match="no space"):
        eventually(lambda: Pending("no"), within=1, what="x", diagnose=diagnose)
    assert asked == [1]


def test_a_broken_diagnosis_does_not_hide_the_failure(clock: Clock) -> None:
    def diagnose() -> str:
        raise RuntimeError("gone")

    with pytest.raises(NeverTrue, match=r"last seen: no\n\(no diagnosis: RuntimeError: gone\)"):
        eventually(lambda: Pending("no"), within=1, what="x", diagnose=diagnose)


def test_a_short_wait_says_nothing(clock: Clock, said: list[str]) -> None:
    eventually(true_from(clock, 101), within=60, what="x")
    assert said == []


def test_a_long_wait_says_what_it_waits_for_every_five_seconds(
    clock: Clock, said: list[str]
) -> None:
    eventually(true_from(clock, 109), within=60, every=1, what="node down")
    assert said == [
        "  … node down: not yet (2 of 60 s)",
        "  … node down: not yet (7 of 60 s)",
        "  … node down: waited 9.0 s",
    ]


def test_a_wait_that_failed_says_its_time_too(clock: Clock, said: list[str]) -> None:
    with pytest.raises(NeverTrue):
        eventually(lambda: Pending("no"), within=4, every=1, what="x")
    assert said[-1] == "  … x: waited 4.0 s"


def test_the_time_lies_between_the_last_look_that_failed_and_the_one_that_did_not(
    clock: Clock,
) -> None:
    took = how_long(true_from(clock, 102.5), within=10, every=1, what="x")
    # Looks at 100, 101, 102 say no; the one at 103 says yes.
    assert (took.seconds, took.error, took.reason) == (2.5, 0.5, "")


def test_a_slow_look_widens_the_error(clock: Clock) -> None:
    took = how_long(true_from(clock, 103, look=1.0), within=10, every=1, what="x")
    # Looks last 100-101 and 102-103: the event is surely after 100 and before 103.
    assert (took.seconds, took.error) == (1.5, 1.5)


def test_true_at_the_first_look_lies_between_the_origin_and_that_look(clock: Clock) -> None:
    took = how_long(true_from(clock, 0), within=10, what="x", since=96.0, since_error=0.25)
    assert (took.seconds, took.error) == (2.0, 2.25)


def test_time_and_deadline_count_from_the_given_moment(clock: Clock) -> None:
    took = how_long(true_from(clock, 105), within=8, every=1, what="x", since=98.0)
    assert took.seconds == 6.5
    took = how_long(true_from(clock, 999), within=10, every=1, what="x", since=clock.now - 7)
    assert took.seconds == pytest.approx(10)


def test_what_never_came_true_gives_a_bound_above_the_deadline_and_the_reason(
    clock: Clock,
) -> None:
    took = how_long(true_from(clock, 999), within=10, every=1, what="door open")
    assert took.seconds > 10
    assert took.seconds == pytest.approx(10)
    assert took.error == 0.0
    assert "door open" in took.reason
    assert "not yet" in took.reason


def test_a_deadline_that_is_over_still_gets_one_look(clock: Clock) -> None:
    took = how_long(true_from(clock, 0), within=1, what="x", since=90.0)
    assert took.reason == ""
    assert took.seconds + took.error >= 10


def test_how_long_retries_only_named_errors(clock: Clock) -> None:
    outcomes = iter([OSError("refused"), KeyError("bug")])

    def predicate() -> object:
        raise next(outcomes)

    with pytest.raises(KeyError):
        how_long(predicate, within=5, what="x", retry_on=(OSError,))


def test_a_retried_error_counts_as_a_look_that_failed(clock: Clock) -> None:
    def predicate() -> object:
        if clock.now < 103:
            raise OSError("refused")
        return True

    took = how_long(predicate, within=10, every=1, what="x", retry_on=(OSError,))
    assert (took.seconds, took.error) == (2.5, 0.5)
