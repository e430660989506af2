"""Random schedules: repeatable for ever, and within what was asked."""

from __future__ import annotations

import random

import pytest

from chaos.drills.plan import Choice, Entry, RandomSchedule
from chaos.drills.random_schedule import draw
from chaos.drills.shrink import shrink
from fixtures.errors import CutoverError


def spec(**changed: object) -> RandomSchedule:
    values = {
        "faults": 6,
        "over": 100,
        "lasts": (3, 20),
        "gap": (1, 10),
        "together": 2,
        "of": [Choice(fault="a"), Choice(fault="b", weight=3)],
    }
    return RandomSchedule.model_validate({**values, **changed})


def test_a_seed_gives_this_very_schedule_on_every_machine() -> None:
    assert [(e.at, e.fault, e.lasts) for e in draw(spec(), 7)] == GOLDEN


GOLDEN = [
    (6.9, "b", 5.6),
    (11.2, "a", 12.1),
    (12.5, "a", 11.6),
    (23.3, "b", 4.2),
    (25.4, "b", 17.1),
    (34.9, "a", 13.7),
]


def test_other_seeds_give_other_schedules() -> None:
    assert len({str(draw(spec(), seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("together", [1, 2, 3])
def test_never_more_at_once_than_allowed_nor_later_than_asked(together: int) -> None:
    reached = 0
    for seed in range(500):
        drawn = draw(spec(together=together), seed)
        assert list(drawn) == sorted(drawn, key=lambda e: e.at)
        for entry in drawn:
            at_once = sum(o.at <= entry.at < o.at + o.lasts - 1e-6 for o in drawn)
            assert at_once <= together
            reached = max(reached, at_once)
            assert entry.at <= 100
            assert 3 <= entry.lasts <= 20
    assert reached == together


def test_weights_are_kept() -> None:
    drawn = [e.fault for seed in range(500) for e in draw(spec(over=3600), seed)]
    assert 0.70 < drawn.count("b") / len(drawn) < 0.80


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="the first must not be above"):
        spec(lasts=(5, 1))


def entries(count: int) -> list[Entry]:
    return [Entry(float(i), f"f{i}", {}, 1.0) for i in range(count)]


@pytest.mark.parametrize("guilty", [{0}, {7}, {3, 4}, {0, 7}, {1, 4, 6}])
def test_the_shortest_failing_part_is_found_with_its_times(guilty: set[int]) -> None:
    tries: list[int] = []

    def fails(part: object) -> bool:
        return guilty <= {int(e.fault[1:]) for e in part}  # type: ignore[attr-defined]

    found = shrink(entries(8), fails, lambda number, length: tries.append(number))
    assert [e.at for e in found] == sorted(float(i) for i in guilty)
    assert tries == list(range(1, len(tries) + 1))
    assert len(tries) <= 8**2 + 3 * 8  # the bound of ddmin's authors


def test_of_any_failing_part_nothing_can_be_left_out() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        culprits = [set(chance.sample(range(9), chance.randint(1, 4))) for _ in range(2)]

        def fails(part: object, culprits: list[set[int]] = culprits) -> bool:
            seen = {int(e.fault[1:]) for e in part}  # type: ignore[attr-defined]
            return any(culprit <= seen for culprit in culprits)

        found = shrink(entries(9), fails)
        assert fails(found)
        for left_out in found:
            assert not fails([e for e in found if e is not left_out])


def test_what_did_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(CutoverError, match="did not fail this time"):
        shrink(entries(3), lambda _: False)


def test_no_part_is_tried_twice() -> None:
    seen: list[tuple[str, ...]] = []

    def fails(part: object) -> bool:
        names = tuple(e.fault for e in part)  # type: ignore[attr-defined]
        assert names not in seen
        seen.append(names)
        return {"f2", "f5"} <= set(names)

    shrink(entries(8), fails)
