"""Source against restored, recovery time against size, and what the fingerprints' parsers read."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.errors import CutoverError
from verify.backups import postgres, redis, volumes
from verify.backups.comparing import Fingerprint, compare, some
from verify.backups.extrapolation import Point, extrapolate
from verify.backups.subjects import compared

SOURCE: Fingerprint = {
    ("rows", "items"): 10,
    ("checksum", "items"): "abc",
    ("password", "app"): "d1",
}


def test_equal_is_equal() -> None:
    found = compare(SOURCE, SOURCE, SOURCE)
    assert found.problems == []
    assert found.compared.total() == 3
    assert found.blind == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({("rows", "items"): 0}, "rows of items: 0 where the source has 10"),
        ({("checksum", "items"): "abd"}, "checksum of items: abd where the source has abc"),
        ({("password", "app"): "d2"}, "password of app: it differs"),
    ],
)
def test_each_difference_is_told(changed: Fingerprint, told: str) -> None:
    assert compare(SOURCE, SOURCE, {**SOURCE, **changed}).problems == [told]


@pytest.mark.parametrize("gone", list(SOURCE))
def test_each_loss_is_told(gone: tuple[str, str]) -> None:
    restored = {key: value for key, value in SOURCE.items() if key != gone}
    assert compare(SOURCE, SOURCE, restored).problems == [
        f"{gone[0]} of {gone[1]}: the restored has none"
    ]


@pytest.mark.parametrize(("rows", "right"), [(9, False), (10, True), (15, True), (21, False)])
def test_a_number_that_changed_must_lie_between(rows: int, right: bool) -> None:
    after = {**SOURCE, ("rows", "items"): 20}
    found = compare(SOURCE, after, {**SOURCE, ("rows", "items"): rows})
    assert (found.problems == []) == right


def test_of_a_text_that_changed_nothing_is_said_and_that_is_said() -> None:
    found = compare(SOURCE, {**SOURCE, ("checksum", "items"): "new"}, SOURCE)
    assert found.problems == []
    assert found.blind == ["checksum"]


def test_a_quiet_table_does_not_excuse_one_that_changed() -> None:
    source: Fingerprint = {**SOURCE, ("checksum", "busy"): "1", ("role", "app"): "x"}
    after = {**source, ("checksum", "busy"): "2", ("role", "app"): "y"}
    found = compare(source, after, source)
    assert found.unseen == [("checksum", "busy")]


def test_that_the_marks_were_written_to_takes_nothing_from_the_comparison() -> None:
    source: Fingerprint = {("checksum", f"public.{postgres.MARKS}"): "1", **SOURCE}
    after = {key: f"{value} more" for key, value in source.items()}
    subject: Any = SimpleNamespace(tolerance={}, excused=lambda *_: ())
    restored: Any = SimpleNamespace(complaints=["it complained"], fingerprint=lambda: source)
    found = compared(subject, source, after, restored, datetime.now(UTC))
    assert found.unseen == [("checksum", "items")]
    assert found.problems == ["it complained"]


def test_what_changed_must_still_be_there() -> None:
    after = {**SOURCE, ("checksum", "items"): "new"}
    restored = {key: value for key, value in SOURCE.items() if key[0] != "checksum"}
    assert compare(SOURCE, after, restored).problems == ["checksum of items: the restored has none"]


def test_what_came_or_went_meanwhile_may_be_there_or_not() -> None:
    after = {**SOURCE, ("rows", "new"): 1}
    assert compare(SOURCE, after, SOURCE).problems == []
    assert compare(SOURCE, after, after).problems == []
    assert compare(after, SOURCE, after).problems == []


def test_what_only_the_restored_has_may_have_come_and_gone() -> None:
    found = compare(SOURCE, SOURCE, {**SOURCE, ("rows", "more"): 1})
    assert found.problems == []
    assert found.extra == [("rows", "more")]
    assert found.incomparable["rows"] == 1


def test_of_many_names_the_first_are_told() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_tolerance_is_for_its_kind_only() -> None:
    facts: Fingerprint = {("mtime", "f"): 10.0, ("rows", "f"): 10}
    off: Fingerprint = {("mtime", "f"): 10.9, ("rows", "f"): 11}
    found = compare(facts, facts, off, tolerance={"mtime": 1.0})
    assert found.problems == ["rows of f: 11 where the source has 10"]


def test_what_is_excused_is_not_looked_at() -> None:
    assert compare(SOURCE, SOURCE, {}, excused=SOURCE.keys()).problems == []


def test_two_sizes_give_fixed_and_rate_and_the_error_grows_with_the_distance() -> None:
    found = extrapolate([Point(10, 3, 0.1), Point(30, 5, 0.1)], 1000)
    assert (found.fixed, found.rate) == (pytest.approx(2), pytest.approx(0.1))
    assert found.seconds == pytest.approx(102)
    # Both times wrong by 0.1 in opposite ways: 0.01 a byte, over the 980 bytes beyond the mean.
    assert found.error == pytest.approx(0.1 * 980 / 10)


def test_within_the_measured_sizes_the_error_is_the_measuring_one() -> None:
    points = [Point(10, 3, 0.1), Point(30, 5, 0.1)]
    assert extrapolate(points, 20).error == pytest.approx(0.1)


def test_times_that_are_no_line_have_the_larger_error() -> None:
    straight = [Point(10, 1, 0.01), Point(20, 2, 0.01), Point(30, 3, 0.01)]
    bent = [Point(10, 1, 0.01), Point(20, 2.6, 0.01), Point(30, 3, 0.01)]
    assert extrapolate(bent, 100).error > 10 * extrapolate(straight, 100).error


@pytest.mark.parametrize("points", [[], [Point(5, 1, 0)], [Point(5, 1, 0), Point(5, 2, 0)]])
def test_fewer_than_two_sizes_are_no_line(points: list[Point]) -> None:
    with pytest.raises(CutoverError, match="two sizes"):
        extrapolate(points, 100)


def test_psql_s_facts_are_read_and_none_is_an_error() -> None:
    printed = '["rows", "public.items", 3]\n["role", "app", "[true]"]\n'
    assert postgres.parse_fingerprint(printed) == {
        ("rows", "public.items"): 3,
        ("role", "app"): "[true]",
    }
    with pytest.raises(CutoverError, match="nothing"):
        postgres.parse_fingerprint("")


def test_only_the_superuser_who_is_there_already_is_no_complaint() -> None:
    stderr = (
        'ERROR:  role "postgres" already exists\n'
        'ERROR:  role "app" does not exist\n'
        "NOTICE:  nothing\n"
        "gzip: stdin: unexpected end of file\n"
    )
    assert postgres.complaints_of(stderr) == [
        'ERROR:  role "app" does not exist',
        "gzip: stdin: unexpected end of file",
    ]


def test_many_complaints_are_counted() -> None:
    found = postgres.complaints_of("ERROR:  x\n" * 9)
    assert len(found) == 6
    assert found[-1] == "and 4 more"


def test_redis_keys_are_read_with_any_bytes() -> None:
    printed = "0 6120ff string -1 d1\n0 6120ff string -1 d1\n3 62 hash 1700000000123 d2\nend\n"
    assert redis.parse_fingerprint(printed) == {
        ("type", "0:a \\xff"): "string",
        ("value", "0:a \\xff"): "d1",
        ("expiry in ms", "0:a \\xff"): -1,
        ("type", "3:b"): "hash",
        ("value", "3:b"): "d2",
        ("expiry in ms", "3:b"): 1700000000123,
    }


@pytest.mark.parametrize("printed", ["", "0 61 string -1 d1\n", "(error) no\nend\n"])
def test_an_unfinished_look_at_redis_is_an_error_and_not_empty(printed: str) -> None:
    with pytest.raises(CutoverError):
        redis.parse_fingerprint(printed)


def test_keys_that_expire_before_the_look_are_excused_and_no_others() -> None:
    facts = redis.parse_fingerprint(
        "0 61 string 1700000000000 d\n0 62 string -1 d\n0 63 string 1800000000000 d\nend\n"
    )
    names = {name for _, name in redis.expiring(facts, datetime(2024, 1, 1, tzinfo=UTC))}
    assert names == {"0:a"}


WHOLE = """[offset 0] Checking RDB file /tmp/dump.rdb
[offset 26] AUX FIELD redis-ver = '8.0.2'
[offset 52] AUX FIELD ctime = '1700000000'
[offset 125] Checksum OK
[offset 125] \\o/ RDB looks OK! \\o/
[info] 3 keys read
"""


def test_a_whole_dump_says_when_it_was_made() -> None:
    found = redis.parse_check(0, WHOLE)
    assert found.problem == ""
    assert found.keys == 3
    assert found.made == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rc", "printed"),
    [(1, WHOLE), (0, ""), (1, "--- RDB ERROR DETECTED ---\n[offset 9] Unexpected EOF\n")],
)
def test_a_dump_that_is_not_whole_says_why(rc: int, printed: str) -> None:
    assert redis.parse_check(rc, printed).problem


def test_a_tree_is_read_with_links_and_odd_names() -> None:
    entries = ["d", "755", "0", "0", "9.5", "", "", "f", "640", "33", "44", "8.25", "", "a\nb"]
    entries += ["l", "777", "0", "0", "7.0", "../x", "lnk"]
    printed = "\0".join(entries) + "\0sha256\0" + "abcd  ./a\nb\0"
    assert volumes.parse_tree(printed, "v") == {
        ("type", "v/"): "d",
        ("owner", "v/"): "0:0",
        ("mode", "v/"): "755",
        ("type", "v/a\nb"): "f",
        ("owner", "v/a\nb"): "33:44",
        ("mode", "v/a\nb"): "640",
        ("mtime", "v/a\nb"): 8.25,
        ("data", "v/a\nb"): "abcd",
        ("type", "v/lnk"): "l ../x",
        ("owner", "v/lnk"): "0:0",
    }


def test_a_volume_that_is_not_there_has_no_facts_and_a_cut_tree_is_an_error() -> None:
    assert volumes.parse_tree("", "v") == {}
    with pytest.raises(CutoverError, match="unfinished"):
        volumes.parse_tree("d\000755\0", "v")
