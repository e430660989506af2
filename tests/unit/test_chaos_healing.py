"""Healing: in reverse, past what fails, as often as one likes, and nothing believed unproven."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.fault import NotHealed, Plan, Power, Step
from chaos.healing import Healing, heal
from chaos.ledger import Owner
from fixtures import waiting
from fixtures.cluster.power import Instant
from fixtures.cluster.ssh import Completed
from fixtures.errors import RemoteTimeout, Unreachable
from tests.unit.builders import Clock
from tests.unit.chaos_builders import ChaosCluster, SpyLedger, breaking, finished, quiet

BUSY = finished(1, stderr="device or resource busy")


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


def in_force(cluster: ChaosCluster, ledger: SpyLedger, label: str, *steps: Step) -> None:
    """Let a fault be in force of which only the ledger knows."""
    touches = frozenset(step.node for step in steps)
    ledger.intend(f"id-{label}", label, Plan(steps, touches), Owner(1, 1))
    for step in steps:
        if isinstance(step, Power):
            cluster.nodes[step.node].has_power = False
        else:
            cluster.broken.add(step.undo.removeprefix("MEND "))
    cluster.events.clear()


def healed(cluster: ChaosCluster, ledger: SpyLedger) -> Healing:
    return heal(cluster, ledger, ledger.open())  # type: ignore[arg-type]


def labels(ledger: SpyLedger) -> list[str]:
    return [entry.label for entry in ledger.open()]


def test_a_fault_is_undone_proven_gone_and_only_then_written_down(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    healing = healed(cluster, ledger)
    assert cluster.events == ["m1: MEND a", "m1: LOOK a", "ledger: healed"]
    assert healing.failures == []
    assert healing.proofs == {"id-one": "a is whole"}
    assert isinstance(healing.undone["id-one"], Instant)
    healing.raise_failures()


def test_faults_and_their_steps_are_undone_newest_first(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"), breaking("b", "m2"))
    in_force(cluster, ledger, "two", breaking("c", "w1"))
    healed(cluster, ledger)
    assert cluster.asked_for("MEND") == ["w1: MEND c", "m2: MEND b", "m1: MEND a"]
    assert labels(ledger) == []


def test_what_needs_the_others_is_undone_in_the_end(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    in_force(cluster, ledger, "two", replace(breaking("b", "m2"), last=True))
    in_force(cluster, ledger, "three", breaking("c", "w1"))
    healed(cluster, ledger)
    assert cluster.asked_for("MEND") == ["w1: MEND c", "m1: MEND a", "m2: MEND b"]
    assert labels(ledger) == []


def test_everything_is_undone_before_anything_is_waited_for(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    in_force(cluster, ledger, "two", breaking("b"))
    healed(cluster, ledger)
    assert [event.split()[1] for event in cluster.asked_for("m1")] == ["MEND"] * 2 + ["LOOK"] * 2


def test_an_undo_that_fails_stops_no_other_and_is_named(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    for label, thing in (("one", "a"), ("two", "b"), ("three", "c")):
        in_force(cluster, ledger, label, breaking(thing))
    cluster.instead["m1: MEND b"] = BUSY
    healing = healed(cluster, ledger)
    assert cluster.broken == {"b"}
    assert labels(ledger) == ["two"]
    [failure] = healing.failures
    assert failure.startswith("two: ")
    assert "device or resource busy" in failure
    assert set(healing.undone) == {"id-one", "id-three"}
    with pytest.raises(NotHealed, match=r"two: .*busy.*python -m chaos heal"):
        healing.raise_failures()


def test_a_second_heal_finishes_the_first(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    in_force(cluster, ledger, "two", breaking("b"))
    cluster.instead["m1: MEND b"] = BUSY
    healed(cluster, ledger)
    cluster.instead.clear()
    cluster.events.clear()
    assert healed(cluster, ledger).failures == []
    assert cluster.broken == set()
    assert labels(ledger) == []
    assert cluster.asked_for("MEND") == ["m1: MEND b"]


def test_a_step_that_cannot_be_undone_stops_no_other_of_its_fault(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"), breaking("b"), breaking("c"))
    cluster.instead["m1: MEND b"] = BUSY
    healing = healed(cluster, ledger)
    assert cluster.broken == {"b"}
    assert labels(ledger) == ["one"]
    assert len(healing.failures) == 1
    assert "ledger: healed" not in cluster.events


def test_an_error_that_nobody_thought_of_stops_no_other(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    in_force(cluster, ledger, "two", breaking("b"))
    cluster.instead["m1: MEND b"] = ZeroDivisionError("surprise")
    healing = healed(cluster, ledger)
    assert cluster.broken == {"b"}
    assert labels(ledger) == ["two"]
    assert "surprise" in healing.failures[0]


def test_healing_twice_does_no_harm(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a"), Power("w1"))
    entries = ledger.open()
    for _ in range(2):
        assert heal(cluster, ledger, entries).failures == []  # type: ignore[arg-type]
    assert cluster.broken == set()
    assert cluster.nodes["w1"].has_power
    assert labels(ledger) == []


def test_with_nothing_open_nothing_is_done(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    assert healed(cluster, ledger).undone == {}
    assert cluster.events == []
    assert not ledger.file.exists()


def test_what_was_never_done_is_undone_all_the_same(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"), breaking("b"))
    cluster.broken = {"a"}
    assert healed(cluster, ledger).failures == []
    assert cluster.asked_for("MEND") == ["m1: MEND b", "m1: MEND a"]


@pytest.mark.parametrize("dead", [Unreachable("refused"), RemoteTimeout("no answer in 90 s")])
def test_a_dead_node_is_waited_for_and_does_not_stop_the_heal(
    cluster: ChaosCluster, ledger: SpyLedger, clock: Clock, dead: Exception
) -> None:
    in_force(cluster, ledger, "one", breaking("a", "m2"))
    in_force(cluster, ledger, "two", breaking("b", "w1"))
    cluster.nodes["w1"].refusal = dead
    began = clock.now
    healing = healed(cluster, ledger)
    assert 30 <= clock.now - began < 31
    assert labels(ledger) == ["two"]
    assert cluster.broken == {"b"}
    assert str(dead) in healing.failures[0]


def test_a_node_that_boots_meanwhile_is_undone(
    cluster: ChaosCluster, ledger: SpyLedger, clock: Clock
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))

    def boots() -> None:
        if clock.now < 110:
            raise Unreachable("still booting")

    cluster.instead["m1: MEND a"] = boots
    assert healed(cluster, ledger).failures == []
    assert cluster.broken == set()


def test_a_node_that_is_in_no_inventory_any_more_does_not_stop_the_heal(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    in_force(cluster, ledger, "two", breaking("b", "m9"))
    healing = healed(cluster, ledger)
    assert cluster.broken == {"b"}
    assert labels(ledger) == ["two"]
    assert "m9" in healing.failures[0]


def test_a_fault_whose_effect_does_not_end_stays_open(
    cluster: ChaosCluster, ledger: SpyLedger, clock: Clock
) -> None:
    in_force(cluster, ledger, "one", breaking("a", gone_within=7.0))
    in_force(cluster, ledger, "two", breaking("b"))
    cluster.instead["m1: MEND a"] = finished()  # says that it did, and did not
    began = clock.now
    healing = healed(cluster, ledger)
    assert 7 <= clock.now - began < 8
    assert labels(ledger) == ["one"]
    [failure] = healing.failures
    assert "one: not gone" in failure
    assert "still in force: a is broken" in failure


def test_an_effect_that_ends_slowly_is_waited_for(
    cluster: ChaosCluster, ledger: SpyLedger, clock: Clock
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    cluster.instead["m1: LOOK a"] = lambda: finished(0 if clock.now < 120 else 1, "tasks run")
    assert healed(cluster, ledger).proofs == {"id-one": "tasks run"}
    assert clock.now >= 120


def test_gone_is_asked_where_and_how_the_step_says(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a", gone="LOOK whole", gone_at="m3"))
    cluster.instead["m3: LOOK whole"] = finished(0, "2/2 tasks run")
    assert healed(cluster, ledger).proofs == {"id-one": "2/2 tasks run"}
    assert "m1: LOOK a" not in cluster.events


def test_a_step_without_an_undo_is_only_looked_at(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a", undo=""))
    cluster.broken.clear()
    assert healed(cluster, ledger).failures == []
    assert cluster.events == ["m1: LOOK a", "ledger: healed"]


def test_every_step_of_a_fault_must_be_gone(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a"), breaking("b"))
    cluster.instead["m1: MEND b"] = finished()
    assert "b is broken" in healed(cluster, ledger).failures[0]
    assert labels(ledger) == ["one"]


@pytest.mark.parametrize(("frozen", "verb"), [(False, "on"), (True, "resume")])
def test_a_node_gets_back_what_was_taken_from_it(
    cluster: ChaosCluster, ledger: SpyLedger, frozen: bool, verb: str
) -> None:
    in_force(cluster, ledger, "one", Power("w1", frozen=frozen))
    assert healed(cluster, ledger).proofs == {"id-one": "w1 answers"}
    assert cluster.events == [f"w1: {verb}", "w1: true", "ledger: healed"]


def test_a_node_with_power_that_does_not_answer_is_not_back(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", Power("w1", gone_within=5.0))
    cluster.instead["w1: true"] = Unreachable("connection refused")
    assert "connection refused" in healed(cluster, ledger).failures[0]
    assert labels(ledger) == ["one"]


def test_what_lay_on_a_node_is_undone_after_its_power_is_back(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a", "w1"))
    in_force(cluster, ledger, "two", Power("w1"))
    healed(cluster, ledger)
    assert cluster.asked_for("w1: on", "MEND") == ["w1: on", "w1: MEND a"]


def test_what_each_undo_did_is_said(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    said: list[str] = []
    heal(cluster, ledger, ledger.open(), say=said.append)  # type: ignore[arg-type]
    assert any("undone: one" in text for text in said)


# -- whichever manager answers ---------------------------------------------------------------------


def at_a_manager(cluster: ChaosCluster, ledger: SpyLedger) -> None:
    in_force(cluster, ledger, "one", breaking("a", "@manager"))


def test_an_undo_at_a_manager_goes_to_the_first_that_can(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    at_a_manager(cluster, ledger)
    cluster.nodes["m1"].has_power = False
    cluster.instead["m2: MEND a"] = finished(1, stderr="no leader")
    assert healed(cluster, ledger).failures == []
    assert cluster.asked_for("MEND") == ["m2: MEND a", "m3: MEND a"]


def test_when_no_manager_can_each_ones_words_are_told(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    at_a_manager(cluster, ledger)
    for name in ("m1", "m2", "m3"):
        cluster.instead[f"{name}: MEND a"] = finished(1, stderr=f"{name} has no quorum")
    [failure] = healed(cluster, ledger).failures
    assert all(f"{name} has no quorum" in failure for name in ("m1", "m2", "m3"))


def test_an_undo_that_finds_no_leader_waits_for_what_other_faults_took(
    cluster: ChaosCluster, ledger: SpyLedger, clock: Clock
) -> None:
    """The older fault is the partition: in strict reverse the newer one waited for it in vain."""
    in_force(cluster, ledger, "partition", breaking("a", "m3"))
    in_force(cluster, ledger, "drain", breaking("b", "@manager"))

    def without_a_leader() -> Completed:
        if "a" in cluster.broken or clock.now < 140:  # and an election takes its time
            return finished(1, stderr="The swarm does not have a leader")
        cluster.broken.discard("b")
        return finished()

    for name in ("m1", "m2", "m3"):
        cluster.instead[f"{name}: MEND b"] = without_a_leader
    began = clock.now
    partition_healed: list[float] = []
    cluster.instead["m3: MEND a"] = lambda: partition_healed.append(clock.now)
    healing = healed(cluster, ledger)
    assert healing.failures == []
    assert set(healing.undone) == {"id-partition", "id-drain"}
    assert labels(ledger) == []
    assert partition_healed == [began], "it was healed at once, not after a wait for a leader"


def test_without_a_manager_with_power_that_is_said(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    at_a_manager(cluster, ledger)
    for node in cluster.managers:
        node.has_power = False
    assert "no manager has power" in healed(cluster, ledger).failures[0]


def test_the_nodes_own_timer_ends_with_the_undo_and_never_before(
    cluster: ChaosCluster, ledger: SpyLedger
) -> None:
    in_force(cluster, ledger, "one", breaking("a"))
    healed(cluster, ledger)
    undo = next(script for node, script in cluster.scripts if "MEND" in script)
    assert undo.index("MEND a") < undo.index("|| exit 1") < undo.index("CUTOVER_TIMER=id-one")
    assert "rm -rf /run/cutover/id-one.0\n" in undo
