"""When requests are due, for every shape."""

from __future__ import annotations

import itertools

import pytest
from pydantic import TypeAdapter, ValidationError

from load.shapes import Schedule, Shape, Step, Stretch, stretches

SHAPES = {
    "steady": {"kind": "steady", "rate": 40, "seconds": 10},
    "ramp up": {"kind": "ramp", "start": 5, "end": 50, "seconds": 10},
    "ramp down": {"kind": "ramp", "start": 50, "end": 5, "seconds": 10},
    "spike": {"kind": "spike", "rate": 10, "peak": 90, "before": 3, "during": 2, "after": 4},
    "soak": {"kind": "soak", "rate": 2, "hours": 0.01, "warm_up": 10},
    "step": {"kind": "step", "start": 10, "most": 41, "factor": 2, "seconds": 4},
}


def shape(**values: object) -> Shape:
    found: Shape = TypeAdapter(Shape).validate_python(values)
    return found


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_a_request_is_due_when_the_rate_has_added_up_to_its_number(
    values: dict[str, object],
) -> None:
    schedule = Schedule(stretches(shape(**values)))
    due = schedule.due(0)
    assert len(due) == schedule.count
    assert due[0] == 0
    assert due[-1] < schedule.seconds
    for number in range(0, schedule.count, max(1, schedule.count // 50)):
        assert _requests_by(schedule, due[number]) == pytest.approx(number, abs=1e-6)


def _requests_by(schedule: Schedule, at: float) -> float:
    """Add the rate up in small steps: slow, and plain enough to be right."""
    total, begin = 0.0, 0.0
    for stretch in schedule.stretches:
        passed = min(stretch.seconds, max(0.0, at - begin))
        slope = (stretch.end - stretch.start) / stretch.seconds
        total += passed * (stretch.start + slope * passed / 2)
        begin += stretch.seconds
    return total


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_a_schedule_without_gap_or_overlap(
    values: dict[str, object], processes: int
) -> None:
    schedule = Schedule(stretches(shape(**values)))
    shares = [schedule.due(k, processes).tolist() for k in range(processes)]
    assert sorted(itertools.chain(*shares)) == schedule.due(0).tolist()


def test_a_step_shape_rises_level_by_level_and_not_beyond_its_most() -> None:
    levels = Schedule(stretches(shape(**SHAPES["step"]))).levels()
    assert levels == [(0, 4, 10), (4, 8, 20), (8, 12, 40)]


def test_a_spike_has_its_peak_in_the_middle() -> None:
    due = Schedule(stretches(shape(**SHAPES["spike"]))).due(0)
    assert sum(3 <= at < 5 for at in due) == 180


def test_a_soak_warms_up() -> None:
    first, rest = stretches(shape(**SHAPES["soak"]))
    assert (first.seconds, first.end) == (10, 2)
    assert rest.seconds == pytest.approx(36)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "steady", "rate": 0, "seconds": 1},
        {"kind": "steady", "rate": float("inf"), "seconds": 1},
        {"kind": "steady", "rate": 1, "seconds": float("nan")},
        {"kind": "steady", "rate": 1, "seconds": 1e6},
        {"kind": "steady", "rate": 1},
        {"kind": "steady", "rate": 1, "seconds": 1, "minutes": 2},
        {"kind": "wave", "rate": 1, "seconds": 1},
        {"kind": "step", "start": 10, "most": 9, "seconds": 1},
        {"kind": "step", "start": 10, "most": 90, "factor": 1, "seconds": 1},
    ],
)
def test_nonsense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        shape(**values)


def test_more_requests_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ValueError, match="are more than"):
        Schedule([Stretch(80_000, 100_000, 100_000)])


def test_a_step_to_its_own_start_is_one_level() -> None:
    assert len(stretches(Step(kind="step", start=5, most=5, seconds=1))) == 1
