"""A drill's course, with a fake of everything that it touches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.drills import command, live
from chaos.drills.conditions import Condition
from chaos.drills.journal import Journal
from chaos.drills.plan import Criteria, Drill, Entry, Planned, entries
from chaos.drills.runner import Outcome, Runner, agenda
from chaos.fault import NotHealed, NotInForce
from chaos.guard import Permission, Refused
from chaos.session import Event
from fixtures.cluster.power import Instant
from fixtures.errors import Unreachable
from fixtures.waiting import Pending, Waited
from load.samples import Sample
from signoff import timeline
from tests.unit.builders import Clock, FakeCluster, nodes, snapshot

KILL = {"fault": "task.kill", "with": {"service": "canary"}}


def drill(**changed: Any) -> Drill:
    values: dict[str, Any] = {
        "name": "test",
        "steady_within": 0.01,
        "schedule": [
            Planned.model_validate({"at": 0.0, "for": 0.05, **KILL}),
            Planned.model_validate({"at": 0.1, "for": 0.05, **KILL}),
        ],
    }
    return Drill.model_validate({**values, **changed})


@dataclass
class FakeChaos:
    """Says what was begun and ended; `fails` is raised at that beginning."""

    fails: dict[int, Exception] = field(default_factory=dict)
    heal_fails: Exception | None = None
    waits: float = 0.0
    ended: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    on_event: Any = None

    def begin(self, fault: Any, permission: Permission) -> Any:
        number = len(self.faults)
        if number in self.fails:
            raise self.fails[number]
        self.told.append(f"begin {number}")
        self.permissions.append(permission)
        time.sleep(self.waits)
        made = SimpleNamespace(
            number=number,
            healed=None,
            instant=Instant(time.monotonic(), 0.0),
            plan=SimpleNamespace(takes_away=frozenset({"hpr"})),
        )
        self.faults.append(made)
        self.on_event(Event("inject", fault.label, str(number), 1.0, 0.1))
        return made

    def end(self, fault: Any) -> None:
        self.told.append(f"end {fault.number}")
        self.ended.append(time.monotonic())
        fault.healed = Instant(1.0, 0.0)

    def heal(self) -> float:
        self.told.append("heal")
        if self.heal_fails:
            raise self.heal_fails
        return 1.0


class FakeClients:
    def __init__(self, bad: bool = False, none: str = "") -> None:
        self.bad, self.none = bad, none

    def good_before(self, n: int) -> str:
        return self.none

    def new_requests(self) -> list[dict[str, Any]]:
        return [{"target": "edge", "due": 1.0, "latency": 0.1, "ok": not self.bad}] * 10


class FakeWatch:
    def __init__(self, down: Sequence[str] = ()) -> None:
        self.down = down
        self.lost: list[Sequence[str]] = []

    def observed(self, lost: Sequence[str]) -> tuple[Sequence[str], bool | None, float]:
        self.lost.append(list(lost))
        return self.down, None, 0.0


def run(
    folder: Path,
    chaos: FakeChaos,
    *,
    of: Drill | None = None,
    clients: FakeClients | None = None,
    watch: FakeWatch | None = None,
    steady: Any = lambda: True,
) -> tuple[Outcome, list[dict[str, Any]]]:
    wanted = of or drill()
    with Journal(folder / "j.jsonl") as journal:
        journal.drill("test", 1, [], "again", 0.0)
        found = Runner(
            drill=wanted,
            entries=entries(wanted, 1),
            chaos=chaos,  # type: ignore[arg-type]
            clients=clients or FakeClients(),
            watch=watch or FakeWatch(),
            steady=steady,
            journal=journal,
        ).run()
    return found, timeline.read(folder / "j.jsonl")


def test_every_fault_begins_and_ends_in_turn_and_all_is_in_the_journal(tmp_path: Path) -> None:
    chaos = FakeChaos()
    outcome, lines = run(tmp_path, chaos)
    assert chaos.told == ["begin 0", "end 0", "begin 1", "end 1", "heal"]
    assert (outcome.verdict, outcome.reason) == ("met", "")
    assert outcome.steady_after is not None
    kinds = [line["kind"] for line in lines]
    assert kinds.count("action") == 2
    assert kinds[-1] == "end"
    assert {"request", "steady"} <= set(kinds)
    assert chaos.permissions == [Permission(False, False)] * 2


def test_a_fault_that_waited_for_the_steady_state_has_its_time_all_the_same(tmp_path: Path) -> None:
    chaos = FakeChaos(waits=0.2)
    run(tmp_path, chaos)
    lasted = [end - fault.instant.at for fault, end in zip(chaos.faults, chaos.ended, strict=True)]
    assert min(lasted) >= 0.05


def test_what_the_drill_allows_reaches_the_guard(tmp_path: Path) -> None:
    chaos = FakeChaos()
    run(tmp_path, chaos, of=drill(quorum_may_be_lost=True, several_domains=True))
    assert chaos.permissions == [Permission(True, True)] * 2


def test_nothing_is_broken_on_a_cluster_that_is_not_steady(tmp_path: Path) -> None:
    chaos = FakeChaos()
    outcome, _ = run(tmp_path, chaos, steady=lambda: Pending("a task is missing"))
    assert chaos.told == ["heal"]
    assert outcome.verdict == "inconclusive"
    assert "not steady before the first fault" in outcome.reason
    assert "a task is missing" in outcome.reason


def test_nothing_is_broken_without_good_traffic(tmp_path: Path) -> None:
    chaos = FakeChaos()
    outcome, _ = run(tmp_path, chaos, clients=FakeClients(none="edge: 3 of 20 good"))
    assert chaos.told == ["heal"]
    assert (outcome.verdict, outcome.cause) == ("inconclusive", "measuring")
    assert "too little good traffic" in outcome.reason


def test_a_violated_condition_aborts_and_heals_at_once(tmp_path: Path) -> None:
    chaos = FakeChaos()
    wanted = drill(abort=[Condition(bad_requests_in_a_row=15)])
    outcome, lines = run(tmp_path, chaos, of=wanted, clients=FakeClients(bad=True))
    assert (outcome.verdict, outcome.cause) == ("aborted", "system")
    assert "requests in a row failed" in outcome.reason
    assert chaos.told[-1] == "heal"
    assert "begin 1" not in chaos.told
    assert [line["proof"] for line in lines if line.get("action") == "abort"] == [outcome.reason]


def test_bad_requests_before_the_first_fault_spend_no_budget(tmp_path: Path) -> None:
    # `new_requests` gives 10 bad ones at each look; those of the steady state do not count.
    wanted = drill(
        abort=[Condition(error_budget_percent=99)],
        schedule=[Planned.model_validate({"at": 0.0, "for": 0.01, **KILL})],
    )
    outcome, _ = run(tmp_path, FakeChaos(), of=wanted, clients=FakeClients(bad=True))
    assert outcome.verdict == "met"


def test_nodes_that_the_drill_took_away_are_told_to_the_watch(tmp_path: Path) -> None:
    watch = FakeWatch()
    run(tmp_path, FakeChaos(), watch=watch)
    assert watch.lost[0] == []
    assert ["hpr"] in watch.lost


def test_a_node_that_somebody_else_lost_aborts(tmp_path: Path) -> None:
    outcome, _ = run(
        tmp_path,
        FakeChaos(),
        of=drill(abort=[Condition(nodes_down=1)]),
        watch=FakeWatch(["wsasus"]),
    )
    assert (outcome.verdict, "wsasus" in outcome.reason) == ("aborted", True)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NotInForce("no effect"), "fault"),
        (NotHealed("still there"), "harness"),
        (Refused("too much"), "harness"),
    ],
)
def test_three_failures_are_told_apart(tmp_path: Path, error: Exception, cause: str) -> None:
    chaos = FakeChaos(fails={1: error})
    outcome, _ = run(tmp_path, chaos)
    assert (outcome.verdict, outcome.cause) == ("inconclusive", cause)
    assert str(error) in outcome.reason
    assert chaos.told[-1] == "heal"


def test_what_cannot_be_restored_is_the_harness_failure_whatever_came_before(
    tmp_path: Path,
) -> None:
    outcome, _ = run(tmp_path, FakeChaos(heal_fails=NotHealed("a rule is left")))
    assert (outcome.verdict, outcome.cause) == ("inconclusive", "harness")


def test_a_cluster_that_does_not_come_back_is_the_systems_failure(tmp_path: Path) -> None:
    looks = iter([True])
    outcome, lines = run(tmp_path, FakeChaos(), steady=lambda: next(looks, Pending("hpr is down")))
    assert (outcome.verdict, outcome.cause) == ("missed", "system")
    assert "hpr is down" in outcome.reason
    assert lines[-1]["verdict"] == "missed"


def test_the_agenda_ends_a_fault_before_the_next_begins_at_that_moment() -> None:
    first, second = Entry(0, "a", {}, 10), Entry(10, "b", {}, 5)
    assert agenda([first, second]) == [(0, 0, True), (10, 0, False), (10, 1, True), (15, 1, False)]


def judged(monkeypatch: pytest.MonkeyPatch, share: float, **outcome: Any) -> tuple[str, str, str]:
    wanted = drill(criteria=Criteria(availability_percent=99, recovered_within=30))
    done = SimpleNamespace(
        outcome=Outcome(**{"verdict": "met", "reason": "", "steady_after": 5.0, **outcome}),
        probe=SimpleNamespace(targets=[SimpleNamespace(name="edge")]),
    )
    monkeypatch.setattr(command, "spoiled", lambda _: [])
    monkeypatch.setattr(command, "served", lambda _, target: (share, 1000))
    return command.judge(done, wanted)  # type: ignore[arg-type]


def test_a_drill_is_judged_by_its_own_criteria(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, 99.0) == ("met", "", "")
    assert judged(monkeypatch, 98.9)[0] == "missed"
    assert judged(monkeypatch, 99.5, steady_after=31.0)[0] == "missed"
    assert judged(monkeypatch, 0.0, verdict="aborted", reason="x") == ("aborted", "x", "")


def test_a_late_generator_makes_a_drill_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, 0.0)
    monkeypatch.setattr(command, "spoiled", lambda _: ["edge: late"])
    done = SimpleNamespace(outcome=Outcome("met", ""), probe=SimpleNamespace(targets=[]))
    assert command.judge(done, drill()) == ("inconclusive", "edge: late", "measuring")  # type: ignore[arg-type]


def test_numbers_of_a_part_are_those_of_the_whole() -> None:
    whole = [Entry(0, "a", {}, 1), Entry(0, "a", {}, 1), Entry(2, "b", {}, 1)]
    assert command.numbers(whole, [whole[1], whole[2]]) == [1, 2]


def test_the_longest_outage_counts_from_the_first_fault(monkeypatch: pytest.MonkeyPatch) -> None:

    def sample(seq: int, ok: bool) -> Sample:
        return Sample("edge", seq, seq, seq, seq + 0.1, ok, {})

    states = [
        False,
        True,
        True,
        True,
        True,
        True,
        True,
        False,
        False,
        *[True] * 6,
        False,
        *[True] * 6,
    ]
    samples = [sample(seq, ok) for seq, ok in enumerate(states)]
    done = SimpleNamespace(
        outcome=Outcome("met", "", began=2.0), probe=SimpleNamespace(samples=lambda _: samples)
    )
    worst = live.longest_outage(done, "edge")  # type: ignore[arg-type]
    assert worst.seconds == pytest.approx(2.0)
    assert worst.reason == ""
    samples.append(sample(len(samples), False))
    endless = live.longest_outage(done, "edge")  # type: ignore[arg-type]
    assert endless.reason == "not served again for good"
    samples[:] = [sample(seq, True) for seq in range(9)]
    assert live.longest_outage(done, "edge") == Waited(0.0, 0.0)  # type: ignore[arg-type]


def test_each_fault_waits_for_the_steady_state_as_long_as_the_drill_allows(tmp_path: Path) -> None:
    looks: list[int] = []
    chaos = FakeChaos()

    def steady() -> bool | Pending:
        # Asked before the first, before the first again, and for long before the second.
        looks.append(len(chaos.told))
        return Pending("no leader") if looks.count(2) in range(1, 3) else True

    run(tmp_path, chaos, of=drill(steady_within=10), steady=steady)
    assert looks.count(2) == 3, "the second fault did not wait"
    assert chaos.told == ["begin 0", "end 0", "begin 1", "end 1", "heal"]


def test_a_node_that_is_called_down_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new leader calls living nodes down until their agents have found it."""
    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    answering = FakeCluster(snapshot(nodes(w1={"state": "down"})))
    silent = FakeCluster(snapshot(nodes(w1={"state": "down"})))
    monkeypatch.setattr(answering.nodes["w1"], "ask", lambda question, timeout: True)
    silent.nodes["w1"].swarm_state = Unreachable("refused")

    def first_down(cluster: FakeCluster) -> float:
        watch = live.LiveWatch(cluster, replica_matters=False, _leader_seen=clock.now)  # type: ignore[arg-type]
        began = clock.now
        while "w1" not in watch.observed([])[0]:
            clock.pass_(1)
        return clock.now - began

    assert first_down(silent) == live.DOWN_FOR_SECONDS
    assert first_down(answering) == live.MISTAKEN_FOR_SECONDS
