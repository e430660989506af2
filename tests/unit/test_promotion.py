"""Who accepts writes, where a stopped server ended, and the acts of the runbook."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.fault import A_MANAGER, Plan, Shell, from_json, to_json
from chaos.faults.data import ReplicaPromoted
from chaos.faults.promotion import Fenced, OldPrimaryFollows
from chaos.runbook import Runbook
from fixtures import waiting
from fixtures.cluster.cluster import NoControlPlane
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError
from tests.unit.builders import Clock, nodes, service, snapshot, task
from tests.unit.chaos_builders import FakeView, Placed, quiet
from verify import discovery, promotion
from verify.discovery import Finding
from verify.promotion import Asked, ask_containers, read_answers, read_controldata

CONTROLDATA = """pg_control version number:            1700
Database cluster state:               {state}
pg_control last modified:             Thu Jan  1 00:00:00 2030
Latest checkpoint location:           0/{position}
Latest checkpoint's REDO location:    0/3000028
"""


def test_one_that_accepts_writes_is_no_problem() -> None:
    asked = read_answers({"m1": "shop_db yes\n", "m2": "shop_db-replica no\n", "w1": ""})
    assert asked.problems() == []
    assert (asked.answered, asked.silent) == (2, ())


def test_two_that_accept_writes_are_named_with_their_nodes() -> None:
    asked = read_answers({"m1": "shop_db yes\n", "m2": "shop_db-replica yes\n"})
    assert asked.problems() == ["2 accept writes: shop_db on m1, shop_db-replica on m2"]


def test_two_containers_of_one_service_on_a_node_are_two() -> None:
    asked = read_answers({"m1": "shop_db yes\nshop_db yes\n"})
    assert len(asked.writable) == 2


def test_nobody_that_accepts_writes_is_a_problem() -> None:
    assert read_answers({"m1": "shop_db no\n"}).problems() == ["0 accept writes: none"]


def test_a_node_that_cannot_be_asked_is_named() -> None:
    assert read_answers({"m1": "none", "m2": "shop_db yes\n"}).silent == ("m1",)


def test_one_that_neither_writes_nor_refuses_is_no_standby() -> None:
    asked = read_answers({"m1": "shop_db yes\n", "m2": "shop_db-replica unsure\n"})
    assert asked.problems() == []
    assert not asked.clear, "it may accept writes a moment later"
    assert asked.unsure == ("shop_db-replica on m2",)


@pytest.mark.parametrize(
    ("psql", "answer"),
    [
        ("exit 0", "yes"),
        ("echo 'ERROR: cannot execute CREATE TABLE in a read-only transaction'; exit 3", "no"),
        ("echo 'FATAL: sorry, too many clients already'; exit 2", "unsure"),
        ("echo 'FATAL: the database system is starting up'; exit 2", "unsure"),
        ("exit 124", "unsure"),
    ],
)
def test_only_a_standby_s_refusal_is_a_no(tmp_path: Path, psql: str, answer: str) -> None:
    done = asked_with(tmp_path, f'case "$1" in ps) echo c1 ;; exec) {psql} ;; esac')
    assert (done.returncode, done.stdout) == (0, f"shop_db {answer}\n")


def test_an_engine_that_is_dead_gives_no_answer(tmp_path: Path) -> None:
    assert asked_with(tmp_path, "exit 1").returncode == 9


def asked_with(folder: Path, engine: str) -> subprocess.CompletedProcess[str]:
    """Run what nodes are asked by, with a `docker` of ours."""
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{engine}\n")
    docker.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", ask_containers(["shop_db"])],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_clean_end_says_where_it_was() -> None:
    text = CONTROLDATA.format(state="shut down", position="3000060")
    assert read_controldata(text) == "0/3000060"


@pytest.mark.parametrize("state", ["in production", "shut down in recovery", "shutting down"])
def test_another_end_is_not_the_end_of_what_was_written(state: str) -> None:
    with pytest.raises(CutoverError, match=state):
        read_controldata(CONTROLDATA.format(state=state, position="3000060"))


def test_no_answer_is_no_clean_end() -> None:
    with pytest.raises(CutoverError, match="says nothing"):
        read_controldata("")


VIEW = FakeView(
    tasks_by_service={"db": [Placed("m1", "c-db", 1, {})]}, answers={}, capabilities=set()
)
ACTS = pytest.mark.parametrize("act", [Fenced("db", "m1"), OldPrimaryFollows("db", "m1")])


@ACTS
def test_an_act_can_be_written_down_and_its_scripts_are_shell(
    act: Fenced | OldPrimaryFollows,
) -> None:
    plan = act.plan(VIEW)
    for step in plan.steps:
        assert isinstance(step, Shell)
        assert from_json(to_json(step)) == replace(step, do="")  # the ledger undoes only
        for script in (step.do, step.undo, step.in_force, step.gone):
            subprocess.run(["sh", "-n"], input=script.encode(), check=True, timeout=10)


@ACTS
def test_an_act_belongs_to_its_node_and_takes_none_away(act: Fenced | OldPrimaryFollows) -> None:
    assert act.plan(VIEW) == Plan(act.plan(VIEW).steps, frozenset({"m1"}))


def test_a_fence_is_at_the_managers_where_it_outlives_the_node() -> None:
    (step,) = Fenced("db", "m1").plan(VIEW).steps
    assert step.node == A_MANAGER


def test_what_follows_leads_again_when_it_is_undone() -> None:
    start, follow = OldPrimaryFollows("db", "m1").plan(VIEW).steps
    assert isinstance(start, Shell)
    assert isinstance(follow, Shell)
    assert (start.undo, "pg_promote" in follow.undo) == ("", True)


def test_an_operator_waits_until_somebody_leads() -> None:
    done: list[object] = []
    chaos = SimpleNamespace(
        cluster=SimpleNamespace(led=lambda: done.append("led")),
        begin=lambda act, _: done.append(act),
    )
    Runbook(chaos, "db", "m1", "replica", "m2").fence()  # type: ignore[arg-type]
    assert done == ["led", Fenced("db", "m1")]


def test_an_operator_promotes_what_the_new_leader_has_heard_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then every node is unknown, and no task is one that could be promoted."""
    clock, done = Clock(), []
    monkeypatch.setattr(waiting, "time", clock)
    running = [task("shop_replica", on="m2")]

    def look(**_: Any) -> Snapshot:
        if clock.now < 103:
            raise NoControlPlane("no leader")
        state = "unknown" if clock.now < 110 else "ready"
        return snapshot(nodes(m2={"state": state}), [service("replica")], running)

    chaos: Any = SimpleNamespace(
        cluster=SimpleNamespace(snapshot=look),
        begin=lambda act, _: done.append((act, round(clock.now))),
    )
    with quiet():
        Runbook(chaos, "db", "m1", "replica", "m2").promote()
    assert done == [(ReplicaPromoted("replica"), 110)]


def seconds_of_looking(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[float], Asked]
) -> tuple[tuple[list[str], int], float]:
    clock = Clock(0.0)
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(promotion, "time", clock)
    monkeypatch.setattr(promotion, "who_accepts_writes", lambda *_: answers(clock.monotonic()))
    with quiet():
        found = promotion.second_writers(None, None, seconds=15)  # type: ignore[arg-type]
    return found, clock.now


def test_a_server_that_leads_after_its_wait_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(now: float) -> Asked:
        if now < 10:
            return Asked(("db on m2",), (), 1)
        if now < 40:
            return Asked(("db on m2",), (), 2, ("db on m1",))
        return Asked(("db on m2", "db on m1"), (), 2)

    (problems, looks), took = seconds_of_looking(monkeypatch, answers)
    assert looks
    assert problems
    assert took >= 40


def test_a_look_that_stays_unclear_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(now: float) -> Asked:
        return Asked(("db on m2",), (), 2, ("db on m1",) if now > 10 else ())

    assert seconds_of_looking(monkeypatch, answers)[0] == ([], 0)


def test_clear_looks_end_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    (problems, looks), took = seconds_of_looking(monkeypatch, lambda _: Asked(("db on m2",), (), 2))
    assert (problems, looks > 10) == ([], True)
    assert 15 <= took < 17


def test_the_peer_s_name_is_waited_for_on_the_node_of_the_old_primary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    answers = iter(
        [
            CutoverError("no task on m1"),
            Finding("db-r", (), (), ("does not resolve",)),
            Finding("db-r", (), (), ()),
            Finding("db-r", ("10.0.0.2",), ("10.0.0.2",), ("10.0.0.2:5432 timed out",)),
            Finding("db-r", ("10.0.0.2",), ("10.0.0.2",), ()),
        ]
    )

    def look(*_: object, nodes: list[str]) -> dict[str, list[Finding]]:
        answer = next(answers)
        if isinstance(answer, CutoverError):
            raise answer
        return {nodes[0]: [answer]}

    monkeypatch.setattr(discovery, "endpoints_of", lambda *_: [])
    monkeypatch.setattr(discovery, "netcheck_service", lambda _: "netcheck")
    monkeypatch.setattr(discovery, "look_from_every_node", look)
    cluster: Any = SimpleNamespace(snapshot=lambda: snapshot(services=[service("db-r")]))
    server: Any = SimpleNamespace(service="shop_db-r")
    with quiet():
        promotion.await_known(cluster, server, "m1", within=60)
    assert next(answers, None) is None
