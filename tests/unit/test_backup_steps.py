"""Which verdict a backup step gives: a check that cannot fail, or fails wrongly, is a defect."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.errors import CannotProve, CutoverError
from signoff.measurement import Verdict
from signoff.outcome import Inconclusive, Missed
from signoff.recorder import Measure, Recorder
from steps import backups, recovery_time, remote_copies
from steps import retention as retention_steps
from tests.unit.builders import Clock
from tests.unit.local_machine import LocalConnection
from verify.backups import jobs, newest, places, recovery, retention
from verify.backups.comparing import Comparison, Fingerprint
from verify.backups.extrapolation import Point
from verify.backups.freshness import Age
from verify.backups.names import Backup, Kind, Tier, tier_path
from verify.backups.observed import Watched
from verify.backups.retention import Rule
from verify.backups.store import Store
from verify.backups.subjects import Found

HERE = Machine("here", LocalConnection())  # type: ignore[arg-type]
NOW = datetime.now(UTC)
NODE = SimpleNamespace(name="n", has_power=True, run=lambda *_, **__: SimpleNamespace(rc=0))
CLUSTER: Any = SimpleNamespace(nodes={"n": NODE})


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module may have been imported half an hour ago."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    return Measure(Recorder(tmp_path / "m.jsonl"), feature="f", scenario="s")


@dataclass
class Thing:
    """A Redis that is backed up, as told."""

    facts: Fingerprint = field(default_factory=lambda: {("value", "a"): "1"})
    found: Found = field(default_factory=lambda: Found([]))
    kind: Kind = Kind.REDIS
    database: str = ""

    def home(self) -> None:
        return None

    def image(self) -> str:
        return "redis"

    def fingerprint(self) -> Fingerprint:
        return self.facts

    def look(self, *_: object, **__: object) -> Found:
        return self.found


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    (tmp_path / "redis").mkdir()
    store = Store(HERE, str(tmp_path))
    monkeypatch.setitem(backups.STORES, "data node", lambda cluster: store)
    thing: Any = Thing()
    return Watched(thing, store, period=20.0, since=NOW)


def put(watched: Watched, taken: datetime) -> None:
    path = Path(watched.local.path) / f"redis/redis-{taken:%Y%m%d-%H%M%S}.rdb"
    path.write_bytes(b"")
    os.utime(path, (1, 1))


def test_a_backup_that_does_not_come_is_missed(
    watched: Watched, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("fixtures.waiting.time", clock)
    monkeypatch.setattr("verify.backups.observed.time", clock)
    put(watched, NOW - timedelta(seconds=30))
    with pytest.raises(Missed, match="no redis backup"):
        backups.taken(CLUSTER, [watched], "data node", 2, measure)


def test_a_store_that_is_not_there_is_missed(
    watched: Watched, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("fixtures.waiting.time", clock)
    monkeypatch.setattr("verify.backups.observed.time", clock)
    gone = Store(HERE, f"{watched.local.path}/gone")
    monkeypatch.setitem(backups.STORES, "data node", lambda cluster: gone)
    with pytest.raises(Missed, match="NothingThere"):
        backups.taken(CLUSTER, [watched], "data node", 2, measure)
    watched.backup = Backup(NOW, Kind.REDIS, "redis/x")
    with pytest.raises(Missed, match="there is no backup"):
        backups.fresh(CLUSTER, [watched], "data node", 2, measure)


def test_a_backup_that_came_is_met(watched: Watched, measure: Measure) -> None:
    put(watched, NOW + timedelta(seconds=1))
    backups.taken(CLUSTER, [watched], "data node", 2, measure)
    assert watched.backup is not None
    assert watched.after


@pytest.mark.parametrize(
    ("problems", "made_before", "told"),
    [
        (["it is cut"], None, "it is cut"),
        ([], timedelta(hours=1), "it was made 3600 s before it was begun"),
    ],
)
def test_one_that_is_not_whole_is_missed(
    watched: Watched,
    measure: Measure,
    problems: list[str],
    made_before: timedelta | None,
    told: str,
) -> None:
    watched.backup = Backup(NOW, Kind.REDIS, "redis/x")
    found = Found(problems, NOW - made_before if made_before else None)
    watched.subject.found = found  # type: ignore[attr-defined]
    with pytest.raises(Missed, match=told):
        backups.whole(CLUSTER, [watched], "data node", measure)


def test_an_old_one_is_missed_and_a_fresh_one_met(watched: Watched, measure: Measure) -> None:
    put(watched, NOW - timedelta(seconds=90))
    with pytest.raises(Missed):
        backups.fresh(CLUSTER, [watched], "data node", 2, measure)
    put(watched, NOW)
    backups.fresh(CLUSTER, [watched], "data node", 2, measure)


def test_a_broken_one_is_not_fresh(watched: Watched, measure: Measure) -> None:
    put(watched, NOW - timedelta(seconds=1))
    watched.subject.found = Found(["it is cut"])  # type: ignore[attr-defined]
    with pytest.raises(Missed, match="it is cut"):
        backups.fresh(CLUSTER, [watched], "data node", 2, measure)


def test_one_that_is_being_written_is_not_yet_the_newest(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    put(watched, now - timedelta(seconds=30))
    put(watched, now)
    newest = Path(watched.local.path) / f"redis/redis-{now:%Y%m%d-%H%M%S}.rdb"
    os.utime(newest)

    def look(_store: Store, backup: Backup, *_: object, **__: object) -> Found:
        return Found(["it is cut"] if backup.path.endswith(newest.name) else [])

    monkeypatch.setattr(watched.subject, "look", look)
    node: Any = None
    assert 1 < watched.age(watched.local, node=node).periods < 3


@pytest.mark.parametrize(("seconds", "mark"), [(1, "m"), (-9, "")])
def test_the_mark_is_looked_for_in_what_was_begun_after_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, seconds: int, mark: str
) -> None:
    put(watched, NOW + timedelta(seconds=seconds))
    watched.mark = "m"
    asked: list[object] = []

    def look(*_: object, **options: object) -> Found:
        asked.append(options["mark"])
        return Found([])

    monkeypatch.setattr(watched.subject, "look", look)
    node: Any = None
    watched.age(watched.local, node=node)
    assert asked == [mark]


SOUND = Comparison([], Counter(rows=3), Counter())


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (replace(SOUND, problems=["rows of a: 0"]), Missed),
        (Comparison(["it does not start"]), Missed),
        (replace(SOUND, incomparable=Counter(checksum=1)), Inconclusive),
        (replace(SOUND, problems=["x"], incomparable=Counter(checksum=1)), Missed),
        (replace(SOUND, unseen=[("checksum", "busy")]), Inconclusive),
        (replace(SOUND, problems=["x"], unseen=[("checksum", "busy")]), Missed),
        (replace(SOUND, extra=[("rows", "more")]), Inconclusive),
        (replace(SOUND, problems=["x"], extra=[("rows", "more")]), Missed),
        (replace(SOUND, extra=[("value", f"0:{n}") for n in range(11)]), Inconclusive),
        (Comparison(), Inconclusive),
    ],
    ids=["differs", "nothing there", "all checksums changed", "differs all the same",
         "a table changed", "differs though a table changed", "a table too many",
         "differs though a table too many", "many keys too many", "no facts"],
)  # fmt: skip
def test_a_restore_is_judged(measure: Measure, found: Comparison, end: type[Exception]) -> None:
    with pytest.raises(end):
        backups.judge_restore(measure, "restored", found)


def test_a_restore_of_which_some_changed_meanwhile_is_met(measure: Measure) -> None:
    backups.judge_restore(measure, "restored", replace(SOUND, incomparable=Counter(rows=1)))
    backups.judge_restore(measure, "restored", replace(SOUND, unseen=[("value", "0:a")]))
    backups.judge_restore(measure, "restored", replace(SOUND, extra=[("value", "0:a")]))
    assert measure.recorded[-1].n == 3


def newest_is(monkeypatch: pytest.MonkeyPatch, found: newest.Restored) -> None:
    thing: Any = Thing()
    monkeypatch.setattr(places, "data_node", lambda cluster: NODE)
    monkeypatch.setattr(backups, "subject_called", lambda *_, **__: thing)
    monkeypatch.setattr(newest, "restored", lambda *_, **__: found)
    periods = {"redis-backup": 10.0, jobs.REMOTE: 40.0}
    monkeypatch.setattr(jobs, "period_of", lambda cluster, job: periods[job])
    for place in ("data node", "backup host"):
        monkeypatch.setitem(backups.STORES, place, lambda cluster: None)


def look_at_newest(measure: Measure, place: str = "data node") -> None:
    backups.newest_restores(CLUSTER, "keys of x", place, 3, "redis-backup", measure)


WELL = newest.Restored([], 1, Age(2.0, 0.1, "redis/x"))


@pytest.mark.parametrize(
    ("error", "end"),
    [(CannotProve("no image", where="n"), CannotProve), (CutoverError("slow"), Inconclusive)],
)
def test_each_of_the_newest_is_judged_whatever_becomes_of_the_others(
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
    error: CutoverError,
    end: type[Exception],
) -> None:
    newest_is(monkeypatch, WELL)

    def restored(subject: Any, store: Any, node: Any, **_: Any) -> newest.Restored:
        if store == "broken":
            raise error
        return WELL

    monkeypatch.setattr(newest, "restored", restored)
    monkeypatch.setitem(backups.STORES, "data node", lambda cluster: "broken")
    table = [["source", "job", "place"]]
    table += [["keys of x", "redis-backup", place] for place in ("data node", "backup host")]
    with pytest.raises(end):
        backups.newest_restore(CLUSTER, 3, table, measure)
    met = [m.criterion for m in measure.recorded if m.verdict is Verdict.MET]
    assert "newest backup restores: keys of x on the backup host" in met


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (replace(WELL, age=Age(3.2, 0.1, "redis/x")), Missed),
        (replace(WELL, age=Age(3.0, 0.1, "redis/x")), Inconclusive),
        (replace(WELL, age=Age(math.inf, 0.0, "of the future")), Missed),
        (replace(WELL, problems=["the table a is empty in it"]), Missed),
        (replace(WELL, unsure=["the table a has 1 rows in it"]), Inconclusive),
        (replace(WELL, problems=["x"], unsure=["y"]), Missed),
        (replace(WELL, checked=0), Inconclusive),
    ],
    ids=["too old", "too old or not", "of the future", "empty", "a few", "empty and a few", "none"],
)
def test_the_newest_is_judged_by_its_age_and_by_what_it_holds(
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
    found: newest.Restored,
    end: type[Exception],
) -> None:
    newest_is(monkeypatch, found)
    with pytest.raises(end):
        look_at_newest(measure)


def test_a_remote_copy_may_be_older_by_a_period_of_its_own(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest_is(monkeypatch, WELL)
    look_at_newest(measure)
    newest_is(monkeypatch, replace(WELL, age=Age(6.5, 0.1, "redis/x")))
    look_at_newest(measure, "backup host")
    with pytest.raises(Missed):
        look_at_newest(measure)


@pytest.mark.parametrize(
    ("slow", "error", "end"), [(100.0, 0.1, Missed), (40.0, 9.0, Inconclusive)]
)
def test_a_recovery_that_takes_too_long_or_cannot_be_told(
    measure: Measure, slow: float, error: float, end: type[Exception]
) -> None:
    megabyte = recovery.MEGABYTE
    points = [Point(10 * megabyte, 10.0, error), Point(20 * megabyte, slow, error)]
    with pytest.raises(end):
        recovery_time.recovery_time(points, 1, 3600, measure)


def test_a_line_that_does_not_rise_is_no_line(measure: Measure) -> None:
    megabyte = recovery.MEGABYTE
    points = [Point(size * megabyte, 5.0 - size / 100, 0.1) for size in (20, 50, 80)]
    with pytest.raises(Inconclusive, match="too small"):
        recovery_time.recovery_time(points, 10, 3600, measure)


def test_dumps_without_any_kept_copy_are_missed_and_not_unknown() -> None:
    path = f"postgres/last/gibd-{NOW:%Y%m%d}-000000.sql.gz"
    found, checked = retention.problems_since_first([path], "gibd", Rule(7, 4, 6), today=NOW.date())
    assert len(found) == len(Tier)
    assert checked > 0
    kept = [path, *(tier_path(tier, "gibd", NOW.date()) for tier in Tier)]
    assert retention.problems_since_first(kept, "gibd", Rule(7, 4, 6), today=NOW.date())[0] == []


@pytest.mark.parametrize(
    ("is_twin", "since", "end"),
    [
        (False, None, Inconclusive),
        (False, NOW.date(), None),
        (False, NOW.date() - timedelta(days=60), Missed),
        (True, None, None),
    ],
    ids=["nobody says since when", "since today", "since long ago", "a twin"],
)
def test_a_store_that_is_younger_than_the_rule(
    watched: Watched,
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
    is_twin: bool,
    since: date | None,
    end: type[Exception] | None,
) -> None:
    for tier in Tier:
        path = Path(watched.local.path) / tier_path(tier, "gibd", datetime.now(UTC).date())
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 100)
    told: Any = SimpleNamespace(since=since)
    cluster: Any = SimpleNamespace(is_twin=is_twin, inventory=SimpleNamespace(backups=told))
    monkeypatch.setattr(places, "local", lambda cluster: watched.local)
    with pytest.raises(end) if end else contextlib.nullcontext():
        retention_steps.kept(cluster, "gibd", 7, 4, 6, measure)


def test_empty_files_are_no_copies_that_are_kept(
    watched: Watched, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tier in Tier:
        path = Path(watched.local.path) / tier_path(tier, "gibd", datetime.now(UTC).date())
        path.parent.mkdir(parents=True)
        path.write_bytes(b"" if tier is Tier.MONTHLY else b"x" * 100)
    told: Any = SimpleNamespace(since=None)
    cluster: Any = SimpleNamespace(is_twin=True, inventory=SimpleNamespace(backups=told))
    monkeypatch.setattr(places, "local", lambda cluster: watched.local)
    with pytest.raises(Missed, match="no monthly copy"):
        retention_steps.kept(cluster, "gibd", 7, 4, 6, measure)


def test_no_copy_of_before_the_damage_anywhere_is_missed(
    watched: Watched, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.backup = Backup(NOW, Kind.REDIS, "redis/x")
    watched.subject.found = Found(["it is noise"])  # type: ignore[attr-defined]
    monkeypatch.setattr(places, "remote_snapshots", lambda cluster: [watched.local])
    with pytest.raises(Missed, match="it is noise"):
        remote_copies.survives(CLUSTER, [watched], measure)
