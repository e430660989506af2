"""The one door through which anything is broken: in what order, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos import session
from chaos.fault import NotHealed, NotInForce, Plan, Power
from chaos.guard import Permission, Refused
from chaos.ledger import Ledger, Owner
from chaos.session import Chaos, Event, heal_earlier
from fixtures import waiting
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import Pending
from tests.unit.builders import Clock
from tests.unit.chaos_builders import (
    Broken,
    ChaosCluster,
    SpyLedger,
    breaking,
    broken,
    finished,
    power,
    quiet,
)

BUSY = finished(1, stderr="device or resource busy")


@dataclass
class FakeWatchdog:
    """Records that it was started and dismissed."""

    source: str
    owner: Owner
    events: list[str]
    alive: bool = True

    def __post_init__(self) -> None:
        self.events.append("watchdog: starts")

    def dismiss(self, *, still_open: bool = False) -> None:
        self.events.append(f"watchdog: dismissed{', still open' if still_open else ''}")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(waiting, "time", made)
    with quiet():
        yield made


@pytest.fixture
def cluster() -> ChaosCluster:
    return ChaosCluster()


@pytest.fixture
def ledger(cluster: ChaosCluster, tmp_path: Path) -> SpyLedger:
    return SpyLedger(cluster, tmp_path / "faults.jsonl")


@pytest.fixture
def watchdogs(cluster: ChaosCluster, monkeypatch: pytest.MonkeyPatch) -> list[FakeWatchdog]:
    made: list[FakeWatchdog] = []

    def start(source: str, owner: Owner) -> FakeWatchdog:
        made.append(FakeWatchdog(source, owner, cluster.events))
        return made[-1]

    monkeypatch.setattr(session, "Watchdog", start)
    return made


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def chaos(
    cluster: ChaosCluster, ledger: SpyLedger, watchdogs: list[FakeWatchdog], told: list[Event]
) -> Chaos:
    return Chaos(cluster, ledger, steady=lambda: True, on_event=told.append)  # type: ignore[arg-type]


def nth(number: int, then: Exception | type[BaseException]) -> Callable[[], Any]:
    """Raise `then` at the call of that number, from 1; before and after do the usual."""
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise then

    return call


# -- injecting -------------------------------------------------------------------------------------


def test_the_order_in_which_a_fault_is_injected(chaos: Chaos, cluster: ChaosCluster) -> None:
    chaos.begin(broken("a", "b"))
    assert cluster.events == [
        "m1: LOOK a",
        "m1: LOOK b",
        "watchdog: starts",
        "ledger: intent a+b",
        "m1: BREAK a",
        "m1: BREAK b",
        "m1: LOOK a",
        "m1: LOOK b",
        "ledger: in force (a is broken; b is broken)",
    ]


def test_the_order_in_which_it_is_undone(chaos: Chaos, cluster: ChaosCluster) -> None:
    started = chaos.begin(broken("a", "b"))
    cluster.events.clear()
    chaos.end(started)
    assert cluster.asked_for("MEND", "healed") == ["m1: MEND b", "m1: MEND a", "ledger: healed"]
    # Looked at before, whether it was in force to its end, and after, whether it is gone.
    assert cluster.events[0] == "m1: LOOK a"
    assert cluster.events[-2] == "m1: LOOK b"
    assert cluster.broken == set()


def test_what_is_known_of_a_fault_in_force(chaos: Chaos) -> None:
    assert not chaos.happened
    started = chaos.begin(broken("a"))
    assert chaos.happened
    assert chaos.in_force == [started]
    assert started.proof == "a is broken"
    assert started.instant.at <= started.proven
    assert chaos.windows() == [("a", started.instant.at, None)]
    chaos.end(started)
    assert chaos.in_force == []
    assert started.healed is not None
    assert started.gone is not None
    assert chaos.windows() == [("a", started.instant.at, started.healed.at)]
    assert chaos.happened


def test_what_happened_is_told(chaos: Chaos, told: list[Event]) -> None:
    with chaos.inject(broken("a")):
        pass
    assert [(event.what, event.proof) for event in told] == [
        ("inject", ""),
        ("in force", "a is broken"),
        ("heal", ""),
        ("gone", "a is whole"),
    ]
    assert len({event.id for event in told}) == 1


def test_the_undo_lies_on_the_node_with_a_timer_before_anything_is_done(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    chaos.at_most = 77
    started = chaos.begin(broken("a"))
    do = next(script for _, script in cluster.scripts if "BREAK" in script)
    assert do.index("MEND a") < do.index("sleep 77") < do.index("BREAK a")
    assert f"/run/cutover/{started.id}.0/undo" in do
    assert do.startswith("set -e\n")


@pytest.mark.parametrize("changed", [{"timer": False}, {"on": "@manager"}])
def test_a_step_without_a_timer_is_done_as_it_is(
    chaos: Chaos, cluster: ChaosCluster, changed: dict[str, Any]
) -> None:
    chaos.plan = lambda fault, _: Plan(fault.steps, frozenset({"m1"}))  # type: ignore[method-assign]
    chaos.begin(broken("a", **changed))
    assert ("m1", "BREAK a") in cluster.scripts


def test_the_faults_id_is_put_into_every_script(chaos: Chaos, cluster: ChaosCluster) -> None:
    words = {"do": "BREAK a @ID@", "undo": "MEND a @ID@", "in_force": "LOOK a @ID@"}
    started = chaos.begin(broken("a", **words))
    chaos.end(started)
    assert len(cluster.scripts) == 6
    for _, script in cluster.scripts[1:]:
        assert "@ID@" not in script
        assert started.id in script


def test_two_faults_have_two_ids(chaos: Chaos) -> None:
    assert chaos.begin(broken("a")).id != chaos.begin(broken("b")).id


# -- not in force ----------------------------------------------------------------------------------


def test_a_fault_that_is_not_in_force_is_undone_at_once(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger, told: list[Event], clock: Clock
) -> None:
    cluster.duds = {"a"}
    began = clock.now
    with pytest.raises(NotInForce, match=r"a: the fault was not in force.*last seen: a is whole"):
        chaos.begin(broken("a", within=4.0))
    assert 4 <= clock.now - began < 5
    assert cluster.asked_for("MEND", "ledger") == [
        "ledger: intent a",
        "m1: MEND a",
        "ledger: healed",
    ]
    assert ledger.open() == []
    assert chaos.in_force == []
    assert [event.what for event in told] == ["inject", "failed", "heal", "gone"]


def test_one_step_that_is_not_in_force_undoes_all(chaos: Chaos, cluster: ChaosCluster) -> None:
    cluster.duds = {"b"}
    with pytest.raises(NotInForce, match="b is whole"):
        chaos.begin(broken("a", "b", "c"))
    assert cluster.broken == set()
    assert cluster.asked_for("MEND") == ["m1: MEND c", "m1: MEND b", "m1: MEND a"]


def test_an_effect_that_shows_late_is_waited_for(
    chaos: Chaos, cluster: ChaosCluster, clock: Clock
) -> None:
    cluster.instead["m1: LOOK a"] = lambda: finished(0 if clock.now > 105 else 1, "seen at last")
    assert chaos.begin(broken("a")).proof == "seen at last"


def test_a_node_that_cannot_be_asked_for_a_moment_is_asked_again(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    cluster.instead["m1: LOOK a"] = nth(2, Unreachable("refused"))
    assert chaos.begin(broken("a")).proof == "a is broken"


def test_an_effect_that_is_there_before_is_refused(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    cluster.broken = {"b"}
    with pytest.raises(NotInForce, match=r"a\+b: its effect is there before .*: b is broken"):
        chaos.begin(broken("a", "b"))
    assert cluster.events == ["m1: LOOK a", "m1: LOOK b"]
    assert not ledger.file.exists()
    assert not chaos.happened
    assert chaos.in_force == []


def test_a_step_that_fails_in_the_middle_undoes_all_in_reverse(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    cluster.instead["m1: BREAK b"] = BUSY
    with pytest.raises(NotInForce, match=r"m1: exit status 1: device or resource busy"):
        chaos.begin(broken("a", "b", "c"))
    assert cluster.asked_for("BREAK", "MEND") == [
        "m1: BREAK a",
        "m1: BREAK b",
        "m1: MEND c",
        "m1: MEND b",
        "m1: MEND a",
    ]
    assert cluster.broken == set()
    assert ledger.open() == []


def test_a_node_that_dies_while_it_is_broken_is_undone_too(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    cluster.instead["m1: BREAK a"] = Unreachable("connection lost")
    with pytest.raises(Unreachable, match="connection lost"):
        chaos.begin(broken("a"))
    assert cluster.asked_for("MEND") == ["m1: MEND a"]
    assert ledger.open() == []


def test_when_the_undo_fails_as_well_both_are_told_and_it_stays_open(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    cluster.instead = {"m1: BREAK b": BUSY, "m1: MEND a": finished(1, stderr="read-only")}
    with pytest.raises(NotInForce) as caught:
        chaos.begin(broken("a", "b"))
    assert "busy" in str(caught.value)
    assert "could not be undone" in caught.value.__notes__[0]
    assert "read-only" in caught.value.__notes__[0]
    assert [entry.label for entry in ledger.open()] == ["a+b"]
    assert [fault.fault.label for fault in chaos.in_force] == ["a+b"]


@pytest.mark.parametrize("word", ["m1: BREAK a", "m1: BREAK b", "m1: LOOK a", "m1: LOOK b"])
def test_ctrl_c_at_any_moment_undoes(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger, word: str
) -> None:
    # The first look is the one before the injection.
    cluster.instead[word] = nth(2 if "LOOK" in word else 1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        chaos.begin(broken("a", "b"))
    assert cluster.broken == set()
    assert cluster.asked_for("MEND") == ["m1: MEND b", "m1: MEND a"]
    assert ledger.open() == []


def test_a_fault_that_cannot_be_written_down_is_not_injected(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(ledger, "intend", fail)
    with pytest.raises(OSError, match="no space left"):
        chaos.begin(broken("a"))
    assert cluster.asked_for("BREAK") == []
    assert chaos.in_force == []


# -- the guard -------------------------------------------------------------------------------------


def test_an_unsteady_cluster_is_waited_for_and_then_refused(
    chaos: Chaos, cluster: ChaosCluster, clock: Clock
) -> None:
    chaos.steady = lambda: Pending("node w1 is down")
    began = clock.now
    with pytest.raises(Refused, match=r"not steady: .*last seen: node w1 is down"):
        chaos.begin(broken("a"))
    assert 30 <= clock.now - began < 31
    assert cluster.events == []


def test_a_cluster_that_becomes_steady_in_time_is_let_pass(chaos: Chaos, clock: Clock) -> None:
    chaos.steady = lambda: clock.now > 120 or Pending("booting")
    chaos.begin(broken("a"))


def test_with_a_fault_of_ours_in_force_the_steady_state_is_not_asked(chaos: Chaos) -> None:
    chaos.begin(broken("a"))
    chaos.steady = lambda: Pending("of course not")
    chaos.begin(broken("b"))
    assert chaos.situation().unsteady == ""


def test_the_guard_sees_what_other_processes_have_in_force(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    other = Plan((breaking("z", "w1"),), frozenset({"w1"}), frozenset({"m2"}))
    Ledger(ledger.file, "x").intend("id-z", "theirs", other, Owner(1, 1))
    situation = chaos.situation()
    assert situation.touched == ["w1"]
    assert situation.lost == ["m2"]
    with pytest.raises(Refused, match="m2, w1 is broken already"):
        chaos.begin(broken("a"))
    with pytest.raises(Refused, match="only 1 of 3 managers"):
        chaos.begin(power("m1"), Permission(several_domains=True))
    assert cluster.asked_for("BREAK", "off") == []


def test_a_cluster_that_is_no_twin_is_refused_before_it_is_asked_anything(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    class Asks(Broken):
        def plan(self, view: object) -> Plan:
            raise AssertionError("asked")

    cluster.is_twin = False
    chaos.steady = lambda: Pending("asked")
    with pytest.raises(Refused, match="twin-test is not a twin"):
        chaos.begin(Asks("a", ()))
    with pytest.raises(Refused, match="twin-test is not a twin"):
        chaos.permit()
    chaos.allowed_cluster = "another"
    with pytest.raises(Refused):
        chaos.permit()


def test_servers_that_were_named_can_be_broken(chaos: Chaos, cluster: ChaosCluster) -> None:
    cluster.is_twin = False
    chaos.allowed_cluster = "twin-test"
    chaos.begin(broken("a"))
    assert cluster.broken == {"a"}


def test_a_plan_touches_nothing(chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger) -> None:
    assert chaos.plan(broken("a")).steps[0].node == "m1"
    assert cluster.events == []
    assert not ledger.file.exists()


# -- the watchdog ----------------------------------------------------------------------------------


def test_one_watchdog_watches_over_all_faults(
    chaos: Chaos, cluster: ChaosCluster, watchdogs: list[FakeWatchdog]
) -> None:
    chaos.begin(broken("a"))
    chaos.begin(broken("b"))
    assert cluster.asked_for("watchdog", "intent") == [
        "watchdog: starts",
        "ledger: intent a",
        "ledger: intent b",
    ]
    assert watchdogs[0].source == "twin:test"
    assert watchdogs[0].owner == Owner.me()


def test_a_watchdog_that_died_is_replaced_before_the_next_intent(
    chaos: Chaos, cluster: ChaosCluster, watchdogs: list[FakeWatchdog]
) -> None:
    chaos.begin(broken("a"))
    watchdogs[0].alive = False
    chaos.begin(broken("b"))
    assert cluster.asked_for("watchdog", "intent")[2:] == ["watchdog: starts", "ledger: intent b"]


# -- putting right ---------------------------------------------------------------------------------


def test_a_scenario_that_fails_is_undone_and_its_own_failure_is_told(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    with pytest.raises(ZeroDivisionError), chaos.inject(broken("a")):
        raise ZeroDivisionError
    assert cluster.broken == set()


def test_faults_compose_and_are_undone_from_the_inside(chaos: Chaos, cluster: ChaosCluster) -> None:
    with chaos.inject(broken("a")), chaos.inject(broken("b")):
        assert cluster.broken == {"a", "b"}
    assert cluster.asked_for("MEND") == ["m1: MEND b", "m1: MEND a"]


def test_all_is_healed_newest_first_and_twice_does_no_harm(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    for thing in ("a", "b", "c"):
        chaos.begin(broken(thing))
    chaos.heal()
    chaos.heal()
    assert cluster.asked_for("MEND") == ["m1: MEND c", "m1: MEND b", "m1: MEND a"]
    assert chaos.healed_at is not None


def test_ending_twice_does_no_harm(chaos: Chaos, cluster: ChaosCluster) -> None:
    started = chaos.begin(broken("a"))
    assert chaos.end(started) == chaos.end(started)
    assert len(cluster.asked_for("MEND")) == 1


def test_an_end_that_fails_says_so_and_can_be_repeated(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    started = chaos.begin(broken("a"))
    cluster.instead["m1: MEND a"] = BUSY
    with pytest.raises(NotHealed, match="device or resource busy"):
        chaos.end(started)
    assert chaos.in_force == [started]
    assert len(ledger.open()) == 1
    cluster.instead.clear()
    chaos.end(started)
    assert chaos.in_force == []
    assert ledger.open() == []


def test_only_the_one_that_is_named_is_undone(chaos: Chaos, cluster: ChaosCluster) -> None:
    first, second = chaos.begin(broken("a")), chaos.begin(broken("b"))
    chaos.end(first)
    assert cluster.broken == {"b"}
    assert chaos.in_force == [second]


def test_what_other_processes_have_in_force_is_left_alone(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    other = Plan((breaking("z"),), frozenset({"m1"}))
    Ledger(ledger.file, "x").intend("id-z", "theirs", other, Owner(1, 1))
    chaos.begin(broken("a"))
    chaos.close()
    assert "m1: MEND z" not in cluster.events
    assert [entry.id for entry in ledger.open()] == ["id-z"]


def test_a_fault_that_another_process_healed_is_not_undone_again(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    started = chaos.begin(broken("a"))
    cluster.broken.clear()
    Ledger(ledger.file, "x").healed(started.id)
    with pytest.raises(NotInForce, match=r"not in force any more .*: a: a is whole"):
        chaos.end(started)
    assert cluster.asked_for("MEND") == []
    assert chaos.in_force == []
    assert started.slipped == "a is whole"
    chaos.close()


def test_a_fault_that_ended_by_itself_is_told_after_it_was_undone(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    started = chaos.begin(broken("a"))
    cluster.broken.clear()
    with pytest.raises(NotInForce, match="proves nothing"):
        chaos.end(started)
    assert cluster.asked_for("MEND") == ["m1: MEND a"]
    assert ledger.open() == []


def test_a_fault_that_does_not_last_may_have_ended(chaos: Chaos, cluster: ChaosCluster) -> None:
    started = chaos.begin(broken("a", lasting=False))
    cluster.broken.clear()
    chaos.end(started)
    assert started.slipped == ""


def test_a_node_that_cannot_be_asked_at_the_end_is_not_held_against_the_fault(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    started = chaos.begin(broken("a"))
    cluster.instead["m1: LOOK a"] = nth(1, Unreachable("off"))
    chaos.end(started)
    assert started.slipped == ""


def test_closing_undoes_all_forgets_the_ledger_and_lets_the_watchdog_go(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    chaos.begin(broken("a"))
    chaos.close()
    assert cluster.events[-2:] == ["ledger: healed", "watchdog: dismissed"]
    assert cluster.broken == set()
    assert not ledger.file.exists()
    chaos.close()
    assert cluster.asked_for("dismissed") == ["watchdog: dismissed"]


def test_closing_with_something_left_leaves_it_to_the_watchdog(
    chaos: Chaos, cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    chaos.begin(broken("a"))
    cluster.instead["m1: MEND a"] = BUSY
    with pytest.raises(NotHealed):
        chaos.close()
    assert cluster.events[-1] == "watchdog: dismissed, still open"
    assert len(ledger.open()) == 1


def test_closing_without_a_fault_starts_no_watchdog(
    chaos: Chaos, watchdogs: list[FakeWatchdog]
) -> None:
    chaos.close()
    assert watchdogs == []


# -- power -----------------------------------------------------------------------------------------


def test_a_node_that_was_taken_away_is_lost_until_it_is_given_back(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    started = chaos.begin(power("w1"))
    assert started.proof == "w1 is without power"
    assert chaos.lost == ("w1",)
    assert chaos.situation().lost == ["w1"]
    chaos.end(started)
    assert cluster.nodes["w1"].done == ["off", "on"]
    assert chaos.lost == ()


def test_a_node_can_be_frozen(chaos: Chaos, cluster: ChaosCluster) -> None:
    started = chaos.begin(power("w1", frozen=True))
    assert started.proof == "w1 is frozen"
    chaos.end(started)
    assert cluster.nodes["w1"].done == ["pause", "resume"]


def test_a_node_whose_power_comes_back_at_once_is_cut_and_given_back(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    started = chaos.begin(power("w1", then_on=True))
    assert cluster.nodes["w1"].done == ["off", "on"]
    chaos.end(started)
    assert started.slipped == ""


def test_a_node_that_got_its_power_back_by_itself_was_no_fault_any_more(
    chaos: Chaos, cluster: ChaosCluster
) -> None:
    started = chaos.begin(power("w1"))
    cluster.nodes["w1"].has_power = True
    with pytest.raises(NotInForce, match="w1 has power and runs"):
        chaos.end(started)


def test_power_that_does_not_go_is_not_in_force(
    chaos: Chaos, cluster: ChaosCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = cluster.nodes["w1"]
    monkeypatch.setattr(node, "power_off", lambda: node._act("off"))
    with pytest.raises(NotInForce, match="w1 has power and runs"):
        chaos.begin(power("w1"))
    assert node.done == ["off", "on"]


# -- what an earlier run left ----------------------------------------------------------------------


def left(ledger: SpyLedger, cluster: ChaosCluster, owner: Owner) -> None:
    ledger.intend("id-z", "theirs", Plan((breaking("z"), Power("w1")), frozenset({"m1"})), owner)
    cluster.broken.add("z")


def test_where_nothing_was_left_nothing_is_healed(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    assert heal_earlier(cluster, ledger) is None  # type: ignore[arg-type]
    assert cluster.events == []


def test_what_a_dead_run_left_is_healed(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    left(ledger, cluster, Owner(Owner.me().pid, 1))
    healing = heal_earlier(cluster, ledger)  # type: ignore[arg-type]
    assert healing is not None
    assert healing.failures == []
    assert cluster.broken == set()
    assert ledger.open() == []


def test_what_a_living_run_has_in_force_is_a_reason_to_stop(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    left(ledger, cluster, Owner.me())
    with pytest.raises(CutoverError, match=rf"process {Owner.me().pid} has faults in force"):
        heal_earlier(cluster, ledger)  # type: ignore[arg-type]
    assert cluster.asked_for("MEND") == []


def test_on_demand_a_living_runs_faults_are_healed_as_well(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    left(ledger, cluster, Owner.me())
    heal_earlier(cluster, ledger, only_dead=False)  # type: ignore[arg-type]
    assert cluster.broken == set()


def test_a_line_that_could_not_be_read_is_said(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    left(ledger, cluster, Owner(1, 1))
    with ledger.file.open("ab") as file:
        file.write(b'{"event": "int')
    with quiet() as said:
        heal_earlier(cluster, ledger)  # type: ignore[arg-type]
    assert any("line 2 cannot be read" in text for text in said)
    assert cluster.broken == set()
