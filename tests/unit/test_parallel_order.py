"""Which worker runs what, and how their records become one run's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from signoff.bdd.collection import tags_below
from signoff.measurement import Cause, Measurement, Relation, Verdict
from signoff.parallel.controller import DURATIONS, QUIET, expected_seconds
from signoff.parallel.gathering import environments, gathered, same_once, twin_name
from signoff.parallel.order import Queue, Unit, units

ROOT = Path(__file__).parents[2]
ITEMS = ["f/a/1::1", "f/a/1::2", "f/a/2::1", "f/b/1::1", "f/b/q::1", "f/c/1::1", "f/d/1::1"]
SECONDS = {"f/a/1": 20, "f/a/2": 20, "f/b/1": 100, "f/d/1": 10}


def test_quiet_files_come_first_and_then_the_longest_folders() -> None:
    found = units(ITEMS, {"f/b/q"}, SECONDS, 3)
    # Nobody knows how long c takes: as long as the others on average, 37.5 s.
    assert [(u.name, u.quiet) for u in found] == [
        *(("f/b", True), ("f/b", False), ("f/a", False), ("f/c", False), ("f/d", False))
    ]
    assert found[2].items == ["f/a/1::1", "f/a/1::2", "f/a/2::1"]


def test_fewer_folders_than_workers_are_split_into_files() -> None:
    found = units(ITEMS[:3], (), SECONDS, 2)
    assert [u.name for u in found] == ["f/a/1", "f/a/2"]
    assert [u.name for u in units(ITEMS[:3], (), SECONDS, 1)] == ["f/a"]


def queue(*given: Unit, workers: int = 2) -> Queue:
    made = Queue(list(given))
    for number in range(workers):
        made.join(f"gw{number}")
    return made


def dealt(made: Queue, *names: str) -> list[tuple[str, str]]:
    found = []
    while given := made.give(names or ("gw0", "gw1")):
        found.append((given[0], given[1].name))
    return found


def loud(file: str, count: int) -> Unit:
    return Unit(file, [f"{file}::{n}" for n in range(count)], quiet=False)


def quiet(file: str, count: int) -> Unit:
    return Unit(file, [f"{file}::{n}" for n in range(count)], quiet=True)


def test_every_worker_has_one_file_before_any_has_two() -> None:
    made = queue(loud("a", 1), loud("b", 1), loud("c", 3), loud("d", 1))
    assert dealt(made) == [("gw0", "a"), ("gw1", "b"), ("gw0", "c"), ("gw1", "d")]
    assert not made.left
    assert not made.is_over
    for worker, item in [("gw0", "a::0"), ("gw0", "c::0"), ("gw0", "c::1"), ("gw1", "b::0")]:
        made.over(worker, item)
    assert made.is_over
    assert made.has_pending


def test_nobody_else_works_while_a_quiet_file_is_not_over() -> None:
    made = queue(quiet("q", 2), quiet("r", 1), loud("a", 2), loud("b", 2))
    assert dealt(made) == [("gw0", "q")]
    made.over("gw0", "q::0")
    assert dealt(made) == [("gw0", "r")]
    made.over("gw0", "q::1")
    # It has to know what comes after r, and runs it after r.
    assert dealt(made) == [("gw0", "a")]
    made.over("gw0", "r::0")
    assert dealt(made) == [("gw1", "b")]


def test_what_a_lost_worker_was_at_is_not_run_again_but_the_rest_is() -> None:
    made = queue(quiet("q", 3), loud("a", 2), loud("b", 2))
    assert dealt(made) == [("gw0", "q")]
    made.over("gw0", "q::0")
    assert made.lose("gw0") == "q::1"
    assert dealt(made, "gw1") == [("gw1", "q"), ("gw1", "a")]
    assert made.given["gw1"][0].items == ["q::2"]
    assert made.lose("gw1") == "q::2"
    made.join("gw2")
    assert dealt(made, "gw2") == [("gw2", "a")]
    assert made.given["gw2"][0].items == ["a::0", "a::1"]
    made.join("gw3")
    assert made.lose("gw3") is None


def test_the_durations_are_of_files_that_exist() -> None:
    known = expected_seconds(ROOT)
    assert known, f"{DURATIONS} is empty"
    assert not [file for file in known if not (ROOT / file).is_file()]
    assert QUIET in tags_below(ROOT / "features")


# --- gathering


MEASURED = Measurement(
    *("time", "shop", "s", Verdict.MISSED, 3.0, 2.0, Relation.BELOW, 0.1, 4, "slow"),
    evidence=("evidence/a.png",),
    scenario="quick",
    cause=Cause.SYSTEM,
    compared_as=("thing", "way"),
)


def line(kind: str, item: str, **values: object) -> str:
    return json.dumps({"kind": kind, "item": item, **values})


def test_records_come_back_whole_in_the_order_of_the_features() -> None:
    text = "\n".join(
        [
            line("begun", "b::1", feature="bakery", scenario="late"),
            line("observation", "b::1", name="second"),
            line("drill", "b::1", name="drill"),
            line("observation", "a::1", name="first"),
            line("criterion", "a::1", **asdict(MEASURED)),
            '{"kind": "criterion", "item": "a::2", "crit',
        ]
    )
    found = gathered(text, ["a::1", "a::2", "b::1"])
    assert found.measurements == [MEASURED]
    assert found.observations == [{"name": "first"}, {"name": "second"}]
    assert found.drills == [{"name": "drill"}]
    assert found.names == {"b::1": ("bakery", "late")}


def test_what_twins_say_alike_is_said_once() -> None:
    assert same_once([["a", "b"], ["b", "c"]]) == ["a", "b", "c"]
    by_twin = {"x-1": {"engine": "26", "mode": "vip"}, "x-2": {"engine": "26", "mode": "dnsrr"}}
    assert environments(by_twin) == {"engine": "26", "mode (x-1)": "vip", "mode (x-2)": "dnsrr"}
    assert environments({"x-1": {"only": "here"}, "x-2": {}}) == {"only": "here"}


@pytest.mark.parametrize(("worker", "name"), [("gw0", "default-1"), ("gw11", "default-12")])
def test_a_worker_has_a_twin_of_its_own_name(worker: str, name: str) -> None:
    assert twin_name("default", worker) == name
