"""How far a replica is behind its primary, in bytes and in seconds; right on an idle primary too.

Bytes: `pg_current_wal_lsn()` of the primary less `pg_last_wal_replay_lsn()` of the replica, each
asked of the server itself (PostgreSQL manual, 26.2.5.2 and 9.27.4); not `pg_stat_replication`,
which knows only what the replica last reported. Seconds: a heartbeat, as Percona's pt-heartbeat has
it: the primary writes its own time into a row, and the lag is its time now less the time that the
replica shows. One clock alone is read, so clocks that differ do not matter. What lies in use:
`now() - pg_last_xact_replay_timestamp()` grows while nobody writes; called 0 where received equals
replayed, it is 0 with a dead receiver too; `replay_lag` is NULL when idle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from verify.replication import Pair, connected

# Fixed names: what a killed run left is taken away by the next.
_BEAT: Final = "cutover_lag_beat"
_LOAD: Final = "cutover_lag_load"
_BEAT_SECONDS: Final = 0.1
_LOAD_SECONDS: Final = 0.1
#: Of one row of load: 30 times a md5 and PostgreSQL's overhead, below what it would compress.
_ROW_BYTES: Final = 1000

_Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat that was committed: its number, and the primary's time in it."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind at one look: `seconds` ± `error`, and at most so many `bytes`."""

    seconds: float
    error: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Watched:
    """All looks of one watch, and how much WAL the primary wrote meanwhile, in bytes."""

    looks: tuple[Lag, ...]
    written: int
    seconds: float

    @property
    def oldest(self) -> Lag:
        """The look with the most seconds that it may have been."""
        return max(self.looks, key=lambda look: look.seconds + look.error)

    @property
    def furthest(self) -> Lag:
        """The look with the most bytes."""
        return max(self.looks, key=lambda look: look.bytes)

    @property
    def rate(self) -> float:
        """WAL written, in bytes a second."""
        return self.written / self.seconds


def lag_seconds(beats: Sequence[Beat], seen: int | None, now: datetime) -> tuple[float, float]:
    """Return the lag and its error at `now` of a replica that shows beat `seen` (None: none).

    What was written just before the first beat that it lacks may be there or not: the lag is
    between the age of that beat and the age of the one it shows.
    """
    missing = [beat.at for beat in beats if seen is None or beat.number > seen]
    shown = [beat.at for beat in beats if seen is not None and beat.number <= seen]
    low = (now - missing[0]).total_seconds() if missing else 0.0
    high = (now - shown[-1]).total_seconds() if shown else low
    return (low + high) / 2, abs(high - low) / 2


def watch(cluster: Cluster, pair: Pair, *, seconds: float, load: float = 0.0) -> Watched:
    """Look again and again for `seconds`, while `load` bytes a second are written to the primary.

    Raises `CutoverError` when one of the servers cannot be asked.
    """
    looks: list[Lag] = []
    beats: list[Beat] = []
    with _tables(cluster, pair), connected(cluster, pair.primary) as source:
        first = _position(source)
        began = time.monotonic()
        with _writing(cluster, pair, load), connected(cluster, pair.replica) as copy:

            def look() -> bool | Pending:
                beats.append(_beat(source))
                looks.append(_look(source, copy, beats))
                return time.monotonic() - began >= seconds or Pending(f"{looks[-1].bytes} bytes")

            eventually(
                look, within=seconds + 30, every=_BEAT_SECONDS, what=f"{pair.name} is watched"
            )
        took = time.monotonic() - began
        return Watched(tuple(looks), _behind(source, first), took)


def usual_formula(cluster: Cluster, pair: Pair) -> float:
    """Return what `now() - pg_last_xact_replay_timestamp()` calls the lag, in seconds."""
    with connected(cluster, pair.replica) as copy:
        row = copy.execute(
            "select extract(epoch from now() - pg_last_xact_replay_timestamp())::float"
        ).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


@contextmanager
def _tables(cluster: Cluster, pair: Pair) -> Iterator[None]:
    drop = f"drop table if exists {_BEAT}, {_LOAD}"
    with connected(cluster, pair.primary) as source:
        source.execute(drop)
        source.execute(f"create table {_BEAT} (number bigint, at timestamptz)")
        source.execute(f"insert into {_BEAT} values (0, clock_timestamp())")  # noqa: S608 - constant
        source.execute(f"create table {_LOAD} (body text)")
    try:
        yield
    finally:
        with suppress(CutoverError), connected(cluster, pair.primary) as source:
            source.execute(drop)


@contextmanager
def _writing(cluster: Cluster, pair: Pair, rate: float) -> Iterator[None]:
    """Write `rate` bytes a second into the primary while entered; re-raises what ended it."""
    if rate <= 0:
        yield
        return
    stop = threading.Event()
    failures: list[CutoverError] = []
    rows = max(1, round(rate * _LOAD_SECONDS / _ROW_BYTES))
    insert = (
        f"insert into {_LOAD} select repeat(md5(random()::text), 30)"  # noqa: S608 - constant
        " from generate_series(1, %s)"
    )

    def write() -> None:
        try:
            with connected(cluster, pair.primary) as source:
                due = time.monotonic()
                while not stop.wait(max(0.0, due - time.monotonic())):
                    source.execute(insert, [rows])
                    due += _LOAD_SECONDS
        except CutoverError as error:
            failures.append(error)

    thread = threading.Thread(target=write, name="write load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
    if failures:
        raise failures[0]


def _beat(source: _Connection) -> Beat:
    row = source.execute(
        f"update {_BEAT} set number = number + 1, at = clock_timestamp()"  # noqa: S608 - constant
        " returning number, at"
    ).fetchone()
    assert row is not None
    return Beat(*row)


def _look(source: _Connection, copy: _Connection, beats: Sequence[Beat]) -> Lag:
    """The replica first, then the primary: what is written in between counts as lag."""
    replayed = _value(copy, "select pg_last_wal_replay_lsn()::text")
    try:
        seen = _value(copy, f"select number from {_BEAT}")  # noqa: S608 - constant
    except psycopg.errors.UndefinedTable:
        seen = None
    behind = _behind(source, str(replayed))
    now = _value(source, "select clock_timestamp()")
    seconds, error = lag_seconds(beats, seen, now)
    return Lag(seconds, error, behind)


def _position(source: _Connection) -> str:
    return str(_value(source, "select pg_current_wal_lsn()::text"))


def _behind(source: _Connection, lsn: str) -> int:
    row = source.execute(
        "select pg_wal_lsn_diff(pg_current_wal_lsn(), %s::pg_lsn)::bigint", [lsn]
    ).fetchone()
    assert row is not None
    return max(0, int(row[0]))


def _value(connection: _Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
