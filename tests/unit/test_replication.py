"""Streaming replication: one test for each thing that can be wrong at either end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from fixtures import progress, waiting
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import Pending
from steps import replication as steps
from tests.unit.builders import Clock, FakeCluster, service, snapshot, task
from verify import replication
from verify.replication import Pair, Receiver, Sender, Server, Written, streaming_problems

ADDRESS = "198.51.100.9"
SENDER = Sender("db-replica", ADDRESS, "streaming", "async", 0)
RECEIVER = Receiver(True, "streaming", "db", "7001")


def problems(senders: Sequence[Sender] = (SENDER,), standby: Receiver = RECEIVER) -> list[str]:
    return streaming_problems(
        list(senders),
        standby,
        primary_identifier="7001",
        replica="db-replica",
        replica_addresses={ADDRESS, "203.0.113.9"},
    )


def test_a_streaming_pair_is_no_problem() -> None:
    assert problems() == []


def test_other_replicas_of_the_primary_do_not_matter() -> None:
    assert problems([Sender("backup", "192.0.2.1", "backup", "async", 5), SENDER]) == []


def test_a_primary_that_streams_to_nobody_is_a_problem() -> None:
    assert problems([]) == ["the primary streams to nobody, not to db-replica"]


def test_a_primary_that_streams_to_others_is_a_problem() -> None:
    assert problems([replace(SENDER, application_name="stranger")]) == [
        "the primary streams to stranger, not to db-replica"
    ]


@pytest.mark.parametrize("state", ["catchup", "startup", "backup", "stopping"])
def test_a_sender_in_another_state_is_a_problem(state: str) -> None:
    assert problems([replace(SENDER, state=state)]) == [f"the primary's sender is in state {state}"]


@pytest.mark.parametrize(("address", "shown"), [("192.0.2.66", "192.0.2.66"), ("", "nowhere")])
def test_somebody_else_under_the_replicas_name_is_a_problem(address: str, shown: str) -> None:
    (problem,) = problems([replace(SENDER, client_address=address)])
    assert problem.startswith(f"db-replica connects from {shown}, which is not an address")


def test_a_dead_connection_beside_the_living_one_is_a_problem() -> None:
    assert len(problems([SENDER, replace(SENDER, client_address="198.51.100.8")])) == 1


def test_a_replica_that_became_a_primary_is_a_problem() -> None:
    assert problems(standby=replace(RECEIVER, in_recovery=False)) == [
        "the replica is not in recovery: it is a primary of its own"
    ]


@pytest.mark.parametrize(
    ("status", "shown"), [("", "absent"), ("waiting", "waiting"), ("stopping", "stopping")]
)
def test_a_receiver_that_does_not_stream_is_a_problem(status: str, shown: str) -> None:
    assert problems(standby=replace(RECEIVER, status=status)) == [
        f"the replica's receiver is {shown}"
    ]


def test_a_copy_of_another_system_is_a_problem() -> None:
    assert problems(standby=replace(RECEIVER, system_identifier="7002")) == [
        "the replica is a copy of another database system"
    ]


def test_a_detached_replica_shows_at_both_ends() -> None:
    assert problems([], replace(RECEIVER, status="")) == [
        "the primary streams to nobody, not to db-replica",
        "the replica's receiver is absent",
    ]


# --- both ends, asked through a fake psycopg


class Rows(list[tuple[Any, ...]]):
    """A cursor that holds all its rows."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self[0] if self else None


Answer = Callable[[str], Sequence[tuple[Any, ...]]]


class FakeConnection:
    """Answers a query by its text; an answer may raise."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.closed = False

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def execute(self, query: Any, _values: Sequence[Any] = ()) -> Rows:
        text = query if isinstance(query, str) else query.as_string(None)
        return Rows(self._answer(text))


class Database(FakeCluster):
    """A primary on m1 and its replica on m2, reached through sockets named after the service."""

    def __init__(self, primary: Answer, replica: Answer) -> None:
        super().__init__(both_run())
        self.answers = {"shop_db": primary, "shop_db-replica": replica}
        self.passwords_read: list[str] = []
        self.opened: list[FakeConnection] = []
        self.options: dict[str, Any] = {}

    def in_task(self, service_name: str, command: list[str]) -> str:
        assert command == ["cat", "/run/secrets/postgres_password"]
        self.passwords_read.append(service_name)
        return "s3cret\n"

    @contextmanager
    def reach(self, service_name: str, port: int, *, socket_name: str) -> Iterator[Path]:
        yield Path("/sockets", service_name, socket_name)

    def connect(self, **options: Any) -> FakeConnection:
        self.options = options
        connection = FakeConnection(self.answers[Path(options["host"]).name])
        self.opened.append(connection)
        return connection


def both_run() -> Snapshot:
    return snapshot(
        services=[service("db"), service("db-replica")],
        tasks=[
            task("shop_db", on="m1"),
            task("shop_db-replica", on="m2", addresses={"database": ADDRESS}),
            task(
                "shop_db-replica",
                on="m3",
                state="failed",
                desired_state="shutdown",
                addresses={"database": "198.51.100.8"},
            ),
        ],
    )


PAIR = Pair(
    Server("shop_db", "shop_db"), Server("shop_db-replica", "shop_db-replica"), "db-replica"
)


def primary(query: str) -> Sequence[tuple[Any, ...]]:
    if "pg_stat_replication" in query:
        return [("db-replica", ADDRESS, "streaming", "async", 0)]
    assert "pg_control_system" in query
    return [("7001",)]


def replica(query: str) -> Sequence[tuple[Any, ...]]:
    if "pg_stat_wal_receiver" in query:
        return [("streaming", "db")]
    assert "pg_is_in_recovery" in query
    return [(True, "7001")]


def with_answers(
    monkeypatch: pytest.MonkeyPatch, one: Answer = primary, other: Answer = replica
) -> Database:
    database = Database(one, other)
    monkeypatch.setattr(psycopg, "connect", database.connect)
    return database


def test_both_ends_of_a_streaming_pair_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    database = with_answers(monkeypatch)
    assert PAIR.problems(database) == []
    assert [c.closed for c in database.opened] == [True, True]


def test_the_replica_is_opened_with_the_primarys_password(monkeypatch: pytest.MonkeyPatch) -> None:
    database = with_answers(monkeypatch)
    with replication.connected(database, PAIR.replica):
        pass
    assert database.passwords_read == ["shop_db-replica"]
    assert database.options["password"] == "s3cret"
    assert database.options["host"] == "/sockets/shop_db-replica"


def test_every_statement_and_connection_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    database = with_answers(monkeypatch)
    with replication.connected(database, PAIR.primary):
        pass
    assert database.options["connect_timeout"] <= 10
    assert "statement_timeout=10s" in database.options["options"]


def test_a_replica_without_a_receiver_is_read_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def detached(query: str) -> Sequence[tuple[Any, ...]]:
        return [] if "pg_stat_wal_receiver" in query else replica(query)

    assert PAIR.problems(with_answers(monkeypatch, other=detached)) == [
        "the replica's receiver is absent"
    ]


def test_the_address_of_a_past_task_is_not_the_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(query: str) -> Sequence[tuple[Any, ...]]:
        if "pg_stat_replication" in query:
            return [("db-replica", "198.51.100.8", "streaming", "async", 0)]
        return primary(query)

    (problem,) = PAIR.problems(with_answers(monkeypatch, stale))
    assert "connects from 198.51.100.8" in problem


def test_a_server_that_refuses_the_connection_is_a_problem_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = with_answers(monkeypatch)

    def refuse(**_: Any) -> None:
        raise psycopg.OperationalError("connection failed:\n  the database is starting up")

    monkeypatch.setattr(psycopg, "connect", refuse)
    assert PAIR.problems(database) == [
        "service shop_db: connection failed: the database is starting up"
    ]


def test_a_server_that_dies_during_a_query_is_a_problem_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dying(query: str) -> Sequence[tuple[Any, ...]]:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    (problem,) = PAIR.problems(with_answers(monkeypatch, other=dying))
    assert "closed the connection" in problem


def test_a_pair_is_found_by_its_names_in_the_stack_files() -> None:
    found = replication.pair_of(FakeCluster(both_run()), primary="db", replica="db-replica")
    assert found == PAIR


@pytest.mark.parametrize("names", [("absent", "db-replica"), ("db", "absent")])
def test_a_pair_that_is_not_deployed_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(CutoverError, match="0 services are called 'absent'"):
        replication.pair_of(FakeCluster(both_run()), primary=names[0], replica=names[1])


def test_the_sync_states_are_those_of_this_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(query: str) -> Sequence[tuple[Any, ...]]:
        return [("backup", "", "streaming", "sync", 0), *primary(query)]

    assert replication.sync_states(with_answers(monkeypatch, two), PAIR) == ["async"]


STARTED = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (datetime(2029, 12, 31, tzinfo=UTC), True),
        (STARTED, "db-replica has not been started anew"),
        (datetime(2030, 1, 2, tzinfo=UTC), "db-replica has not been started anew"),
    ],
    ids=["started since", "the same start", "an older start"],
)
def test_a_new_start_is_one_after_the_last(
    monkeypatch: pytest.MonkeyPatch, before: datetime, expected: object
) -> None:
    def started(query: str) -> Sequence[tuple[Any, ...]]:
        return [(STARTED,)] if "pg_postmaster_start_time" in query else replica(query)

    database = with_answers(monkeypatch, other=started)
    outcome = replication.streams_from_new_start(database, PAIR, before)
    assert (outcome.reason if isinstance(outcome, Pending) else outcome) == expected


def test_a_new_start_that_does_not_stream_yet_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(query: str) -> Sequence[tuple[Any, ...]]:
        if "pg_stat_wal_receiver" in query:
            return []
        return [(STARTED,)] if "pg_postmaster_start_time" in query else replica(query)

    database = with_answers(monkeypatch, other=started)
    outcome = replication.streams_from_new_start(database, PAIR, datetime(2029, 1, 1, tzinfo=UTC))
    assert outcome == Pending("the replica's receiver is absent")


def test_a_replica_that_is_away_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    database = with_answers(monkeypatch)

    def away(service_name: str, command: list[str]) -> str:
        raise Unreachable("no running task", where=f"service {service_name}")

    database.in_task = away
    outcome = replication.streams_from_new_start(database, PAIR, STARTED)
    assert outcome == Pending("service shop_db-replica: no running task")


def refusing(error: Exception) -> Answer:
    def answer(query: str) -> Sequence[tuple[Any, ...]]:
        if "create table" in query:
            raise error
        return []

    return answer


def test_the_refusal_of_a_write_is_told_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    error = psycopg.errors.ReadOnlySqlTransaction("cannot execute CREATE TABLE")
    database = with_answers(monkeypatch, other=refusing(error))
    assert replication.refuses_writes(database, PAIR) == replication.READ_ONLY


def test_another_error_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    error = psycopg.errors.InsufficientPrivilege("permission denied")
    database = with_answers(monkeypatch, other=refusing(error))
    assert replication.refuses_writes(database, PAIR) not in {"", replication.READ_ONLY}


def test_an_accepted_write_is_no_refusal_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []

    def accepts(query: str) -> Sequence[tuple[Any, ...]]:
        queries.append(query)
        return []

    assert replication.refuses_writes(with_answers(monkeypatch, other=accepts), PAIR) == ""
    assert [q.split("(")[0].strip() for q in queries] == [
        "create table cutover_must_not_exist",
        "drop table cutover_must_not_exist",
    ]


# --- tokens


@pytest.mark.parametrize(
    ("found", "expected"),
    [(3, True), (2, "2 of 3 are on the replica"), (4, "4 of 3 are on the replica")],
)
def test_all_tokens_means_every_one(
    monkeypatch: pytest.MonkeyPatch, found: int, expected: object
) -> None:
    database = with_answers(monkeypatch, other=lambda _query: [(found,)])
    outcome = Written("t", 3).all_on_replica(database, PAIR)
    assert (outcome.reason if isinstance(outcome, Pending) else outcome) == expected


def test_a_table_that_has_not_arrived_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(query: str) -> Sequence[tuple[Any, ...]]:
        raise psycopg.errors.UndefinedTable('relation "t" does not exist')

    database = with_answers(monkeypatch, other=missing)
    assert isinstance(Written("t", 3).all_on_replica(database, PAIR), Pending)


def test_each_token_is_a_row_of_a_new_table(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []

    def accepts(query: str) -> Sequence[tuple[Any, ...]]:
        queries.append(query)
        return []

    database = with_answers(monkeypatch, accepts)
    written = replication.write_tokens(database, PAIR, 3)
    replication.drop_tokens(database, PAIR, written)
    assert written.count == 3
    assert queries[1:] == [
        f'create table "{written.table}" (token text primary key)',
        *[f'insert into "{written.table}" values (%s)'] * 3,
        f'drop table if exists "{written.table}"',
    ]
    assert database.options["autocommit"] is True


def test_tables_that_killed_runs_left_are_removed_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_ago, now = (f"cutover_token_{int(time.time()) - age:08x}_0a1b2c3d" for age in (7200, 60))
    dropped: list[str] = []

    def left(query: str) -> Sequence[tuple[Any, ...]]:
        if query.startswith("drop"):
            dropped.append(query)
        return [(long_ago,), (now,), ("cutover_token_of_somebody",)] if "pg_class" in query else []

    replication.write_tokens(with_answers(monkeypatch, left), PAIR, 1)
    assert dropped == [f'drop table if exists "{long_ago}"']


def test_the_tokens_go_though_their_step_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []

    def accepts(query: str) -> Sequence[tuple[Any, ...]]:
        queries.append(query)
        return []

    undo: list[Callable[[], object]] = []
    request: Any = SimpleNamespace(addfinalizer=undo.append)
    written = steps.write_meanwhile(with_answers(monkeypatch, accepts), PAIR, request, 1)
    for step in undo:
        step()
    assert queries[-1] == f'drop table if exists "{written.table}"'


def test_tokens_that_cannot_be_removed_now_are_left_for_a_later_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(query: str) -> Sequence[tuple[Any, ...]]:
        raise psycopg.OperationalError("server closed the connection")

    replication.drop_tokens(with_answers(monkeypatch, lost), PAIR, Written("t", 1))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    progress.set_sink(lambda _line: None)
    yield clock
    progress.set_sink(None)


class LaggingPair:
    """The n-th token is readable on the replica `lags[n]` seconds after its commit."""

    def __init__(self, clock: Clock, lags: Sequence[float]) -> None:
        self._clock = clock
        self._lags = list(lags)
        self._readable = 0.0
        self.created = False
        self.dropped = False

    def primary(self, query: str) -> Sequence[tuple[Any, ...]]:
        self.created |= query.startswith("create table")
        if query.startswith("insert"):
            assert self.created
            self._readable = self._clock.now + self._lags.pop(0)
        self.dropped |= query.startswith("drop")
        return []

    def replica(self, query: str) -> Sequence[tuple[Any, ...]]:
        return [(1,)] if self._clock.now >= self._readable else []


def test_the_lag_is_that_of_the_slowest_token(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    pair = LaggingPair(clock, [0.0, 0.5, 0.1])
    database = with_answers(monkeypatch, pair.primary, pair.replica)
    took = replication.token_lag(database, PAIR, tokens=3, within=2)
    assert took.seconds == pytest.approx(0.5, abs=0.011)
    assert took.error == pytest.approx(0.005)
    assert took.reason == ""
    assert pair.dropped


def test_a_table_that_arrives_later_than_its_token_was_written_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    pair = LaggingPair(clock, [0.5])

    def late(query: str) -> Sequence[tuple[Any, ...]]:
        if clock.now < 100.3:
            raise psycopg.errors.UndefinedTable("relation does not exist")
        return pair.replica(query)

    database = with_answers(monkeypatch, pair.primary, late)
    took = replication.token_lag(database, PAIR, tokens=1, within=2)
    assert took.seconds == pytest.approx(0.5, abs=0.011)


def test_a_token_that_does_not_arrive_ends_it_with_a_bound(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    pair = LaggingPair(clock, [0.0, 99.0])
    database = with_answers(monkeypatch, pair.primary, pair.replica)
    took = replication.token_lag(database, PAIR, tokens=5, within=2)
    assert took.seconds > 2
    assert "the token is not on the replica" in took.reason
    assert pair.dropped


def test_streaming_is_looked_for_until_it_is_there(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def late(query: str) -> Sequence[tuple[Any, ...]]:
        return [] if "receiver" in query and clock.now < 104 else replica(query)

    database = with_answers(monkeypatch, other=late)
    assert PAIR.problems_within(database, 10) == []
    assert clock.now == 104


def test_after_the_deadline_the_last_look_is_told(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def detached(query: str) -> Sequence[tuple[Any, ...]]:
        return [] if "receiver" in query else replica(query)

    database = with_answers(monkeypatch, other=detached)
    assert PAIR.problems_within(database, 3) == ["the replica's receiver is absent"]
    assert clock.now == 103
