"""Failover: what counts as moved, when, and how surely."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fixtures import progress, waiting
from fixtures.cluster.inventory import load_inventory
from fixtures.cluster.power import Instant
from fixtures.cluster.swarm import Snapshot, SwarmNode, Task
from fixtures.errors import Unreachable
from signoff.outcome import Inconclusive
from signoff.recorder import Measure, Recorder
from steps.failover import was_in_role
from tests.unit.audit_builders import INVENTORY
from tests.unit.builders import Clock, FakeCluster, node, nodes, service, snapshot, task
from verify import failover
from verify.audit import ours
from verify.audit.nodes import nodes_of
from verify.failover import Failover, Seen, displaced_by, watch

FAULT = Instant(100.0, 0.0)
ON_W1 = task("shop_web", 1, on="w1")
ELSEWHERE = task("shop_web", 1, on="m2")
DOWN = nodes(w1={"state": "down"})


def lost(*displaced: Task, node: str = "w1", fault: Instant = FAULT, led: bool = False) -> Failover:
    return Failover(node, fault, displaced or (ON_W1,), led)


def seen(*tasks: Task, on: Sequence[SwarmNode] = DOWN) -> Snapshot:
    return snapshot(on, [service("web")], tasks)


def at(moment: float, error: float = 0.0) -> Instant:
    return Instant(moment, error)


# --- which tasks must move


def test_replicated_tasks_on_the_node_are_displaced() -> None:
    tasks = [ON_W1, task("shop_web", 2, on="m1"), task("shop_db", 1, on="w1")]
    cluster = snapshot(services=[service("web", 2), service("db")], tasks=tasks)
    assert displaced_by(cluster, "w1", []) == (tasks[0], tasks[2])


def test_global_services_are_not_displaced() -> None:
    cluster = snapshot(services=[service("agent", None)], tasks=[task("shop_agent", None, on="w1")])
    assert displaced_by(cluster, "w1", []) == ()


def test_a_job_ends_by_itself_and_is_not_displaced() -> None:
    cluster = snapshot(
        services=[service("job", is_job=True), service("web")],
        tasks=[task("shop_job", on="w1"), ON_W1],
    )
    assert displaced_by(cluster, "w1", []) == (ON_W1,)


def test_services_that_may_stay_down_are_not_displaced() -> None:
    cluster = snapshot(
        services=[service("web"), service("db")], tasks=[ON_W1, task("shop_db", on="w1")]
    )
    assert displaced_by(cluster, "w1", ["db"]) == (ON_W1,)


def test_what_a_stack_ties_to_its_node_is_not_displaced_and_the_rest_of_it_is() -> None:
    tied = service("tied", constraints=("node.hostname == w1",))
    tasks = [task("shop_tied", on="w1"), ON_W1]
    cluster = snapshot(services=[tied, service("web")], tasks=tasks)
    assert displaced_by(cluster, "w1", [], ["shop"]) == (ON_W1,)
    assert displaced_by(cluster, "w1", [], ["other"]) == tuple(tasks)


@pytest.mark.parametrize("change", [{"state": "failed"}, {"desired_state": "shutdown"}])
def test_tasks_that_do_not_run_are_not_displaced(change: dict[str, str]) -> None:
    cluster = snapshot(services=[service("web")], tasks=[task("shop_web", on="w1", **change)])
    assert displaced_by(cluster, "w1", []) == ()


# --- what counts as moved


def test_a_task_of_the_same_slot_on_another_ready_node_has_moved() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, ELSEWHERE), at(110))
    assert watched.stranded == []


def test_a_task_said_to_run_on_the_dead_node_has_not_moved() -> None:
    watched = lost()
    watched.observe(seen(ON_W1), at(110))
    assert watched.stranded == ["shop_web.1"]


def test_a_task_said_to_run_on_the_lost_node_has_not_moved_though_the_node_seems_ready() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, on=nodes()), at(110))
    assert watched.stranded == ["shop_web.1"]


def test_a_task_under_the_lost_nodes_other_entry_has_not_moved() -> None:
    """A node that left and joined again has two entries, the old one down."""
    twice = [*nodes(), node("w1", "worker", id="id-old", state="down")]
    watched = lost(task("shop_web", 1, on="old"))
    watched.observe(seen(ON_W1, task("shop_web", 1, on="old"), on=twice), at(110))
    assert watched.stranded == ["shop_web.1"]
    assert watched.detected is None


@pytest.mark.parametrize(
    "other",
    [
        task("shop_web", 2, on="m2"),
        task("shop_db", 1, on="m2"),
        task("shop_web", 1, on="m2", state="starting"),
        task("shop_web", 1, on="m2", desired_state="shutdown"),
        task("shop_web", 1, on="m2", state="failed"),
        task("shop_web", 1, on="m3"),
    ],
    ids=["another slot", "another service", "starting", "ending", "failed", "on a down node"],
)
def test_another_task_is_no_replacement(other: Task) -> None:
    watched = lost()
    both_down = nodes(w1={"state": "down"}, m3={"state": "down"})
    watched.observe(seen(ON_W1, other, on=both_down), at(110))
    assert watched.stranded == ["shop_web.1"]


def test_a_node_that_joined_again_is_down_only_when_both_entries_are() -> None:
    old = node("w1", "worker", id="id-old", state="down")
    watched = lost()
    watched.observe(seen(ON_W1, on=[old, *nodes()]), at(105))
    assert watched.detected is None
    watched.observe(seen(ON_W1, on=[old, *DOWN]), at(110))
    assert watched.detected is not None


def test_a_node_that_left_the_list_is_not_down() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, on=[n for n in nodes() if n.hostname != "w1"]), at(110))
    assert watched.detected is None


def test_a_leader_on_the_lost_node_is_not_a_new_leader() -> None:
    watched = lost(node="m1", led=True)
    watched.observe(seen(on=nodes()), at(105))
    assert watched.control_plane is None
    watched.observe(seen(on=nodes(m1={"leader": False})), at(106))
    assert watched.control_plane is None
    watched.observe(seen(on=nodes(m1={"leader": False}, m2={"leader": True})), at(110))
    assert watched.control_plane is not None
    assert list(watched.milestones()) == ["new leader answers"]


def test_killing_a_worker_makes_no_new_leader() -> None:
    watched = lost()
    watched.observe(seen(ON_W1), at(110))
    assert "new leader answers" not in watched.milestones()


# --- when, and how surely


def test_an_event_lies_between_the_look_before_and_the_look_that_saw_it() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, on=nodes()), at(110))
    watched.observe(seen(ON_W1), at(112))
    watched.observe(seen(ON_W1, ELSEWHERE), at(116))
    assert watched.milestones()["node reported Down"] == Seen(11.0, 1.0)
    assert watched.moved == {"shop_web.1": Seen(14.0, 2.0)}
    assert watched.rescheduled == Seen(14.0, 2.0)


def test_an_event_at_the_first_look_lies_between_the_fault_and_that_look() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, ELSEWHERE), at(104))
    assert watched.detected == Seen(2.0, 2.0)


def test_the_faults_own_error_is_added() -> None:
    watched = lost(fault=Instant(100.0, 0.5))
    watched.observe(seen(ON_W1), at(104))
    assert watched.detected == Seen(2.0, 2.5)


def test_the_end_of_a_slow_look_bounds_the_event() -> None:
    watched = lost()
    watched.observe(seen(ON_W1), at(104, error=1.0))
    assert watched.detected == Seen(2.5, 2.5)


def test_the_start_of_a_slow_look_before_bounds_the_event() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, on=nodes()), at(104, error=1.0))  # asked at 103, answered by 105
    watched.observe(seen(ON_W1), at(106, error=1.0))
    detected = watched.detected
    assert detected is not None
    assert detected.after - detected.error <= 3.0
    assert detected.after + detected.error >= 7.0


def test_what_was_seen_first_stays() -> None:
    watched = lost()
    watched.observe(seen(ON_W1, ELSEWHERE), at(104))
    first = (watched.control_plane, watched.detected, dict(watched.moved))
    watched.observe(seen(ON_W1, ELSEWHERE), at(120))
    assert (watched.control_plane, watched.detected, watched.moved) == first


def test_the_last_task_to_move_decides() -> None:
    second = task("shop_web", 2, on="w1")
    watched = lost(ON_W1, second)
    watched.observe(seen(ELSEWHERE), at(110))
    assert watched.rescheduled is None
    watched.observe(seen(ELSEWHERE, task("shop_web", 2, on="m3")), at(114))
    took = watched.time_to_move()
    assert (took.seconds, took.error, took.reason) == (12.0, 2.0, "")


def test_a_stranded_task_gives_the_time_watched_as_a_bound_and_is_named() -> None:
    watched = lost(ON_W1, task("shop_db", 3, on="w1"))
    watched.observe(seen(ELSEWHERE), at(110))
    watched.watched = 61.0
    took = watched.time_to_move()
    assert (took.seconds, took.error) == (61.0, 0.0)
    assert took.reason == "not seen running elsewhere: shop_db.3"


def test_a_node_that_ran_nothing_proves_nothing() -> None:
    watched = Failover("w1", FAULT, (), watched=61.0)
    assert watched.rescheduled is None
    assert "nothing ran on the node" in watched.time_to_move().reason


def test_the_plots_events_are_moments_of_the_clock() -> None:
    watched = lost(led=True)
    watched.observe(seen(ON_W1, on=nodes(m1={"leader": False})), at(104))
    assert watched.events() == []
    watched.observe(seen(ON_W1, on=nodes(m1={"leader": False}, w1={"state": "down"})), at(106))
    assert watched.events() == [("node reported Down", 105.0)]
    watched.observe(seen(ELSEWHERE), at(110))
    assert watched.events() == [
        ("new leader answers", 108.0),
        ("node reported Down", 105.0),
        ("all tasks elsewhere", 108.0),
    ]


# --- what Swarm may take at worst


@pytest.mark.parametrize(("heartbeat", "worst"), [(5.0, 53.0), (3.0, 39.8)])
def test_a_lost_leader_is_noticed_after_election_and_grace(heartbeat: float, worst: float) -> None:
    assert failover.worst_leader_detection(heartbeat) == pytest.approx(worst)


def test_a_shorter_heartbeat_is_the_remedy_only_beyond_the_limit() -> None:
    assert failover.heartbeat_remedy(5.0, 60.0) == ""
    assert failover.heartbeat_remedy(5.0, failover.worst_leader_detection(5.0)) == ""
    remedy = failover.heartbeat_remedy(10.0, 60.0)
    assert "the heartbeat is 10 s" in remedy
    assert "docker swarm update --dispatcher-heartbeat" in remedy


# --- watching


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock(100.0)
    for module in (waiting, progress, failover):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(failover, "_POLL_SECONDS", 0.25)
    progress.set_sink(lambda _line: None)
    yield clock
    progress.set_sink(None)


class SlowCluster(FakeCluster):
    """Each look takes `look` seconds on the test's clock."""

    def __init__(self, clock: Clock, look: float, says: Sequence[Snapshot | Unreachable]) -> None:
        super().__init__(says)
        self._clock = clock
        self._look = look

    def snapshot(self, **options: object) -> Snapshot:
        self._clock.pass_(self._look)
        return super().snapshot(**options)


def test_it_watches_until_the_node_is_down_and_all_has_moved(clock: Clock) -> None:
    answers = [seen(ON_W1, on=nodes()), seen(ON_W1), seen(ON_W1), seen(ON_W1, ELSEWHERE)]
    watched = watch(FakeCluster(answers), lost(), within=60)
    assert watched.detected == Seen(0.125, 0.125)
    assert watched.time_to_move().seconds == pytest.approx(0.625)
    assert watched.time_to_move().error == pytest.approx(0.125)
    assert watched.watched == pytest.approx(0.75)


def test_it_goes_on_while_tasks_have_moved_but_the_node_is_not_yet_down(clock: Clock) -> None:
    cluster = FakeCluster([seen(ELSEWHERE, on=nodes()), seen(ELSEWHERE)])
    watched = watch(cluster, lost(), within=60)
    assert cluster.asked == 2
    assert watched.detected is not None


def test_looks_that_fail_widen_the_error(clock: Clock) -> None:
    silence = Unreachable("no leader")
    answers = [seen(ON_W1, on=nodes()), silence, silence, silence, seen(ON_W1, ELSEWHERE)]
    watched = watch(SlowCluster(clock, 1.0, answers), lost(), within=60)
    # The first look ended at 101, the last at 106.
    took = watched.time_to_move()
    assert took.seconds + took.error == pytest.approx(6.0)
    assert took.seconds - took.error <= 1.0


def test_it_gives_up_at_the_deadline_with_a_bound_above_it(clock: Clock) -> None:
    watched = watch(SlowCluster(clock, 0.5, [seen(ON_W1)]), lost(), within=60)
    took = watched.time_to_move()
    assert took.seconds > 60
    assert took.error == 0.0
    assert "shop_web.1" in took.reason
    assert watched.detected is not None


def test_a_control_plane_that_never_answers_leaves_everything_unseen(clock: Clock) -> None:
    watched = watch(FakeCluster(Unreachable("no leader")), lost(), within=60)
    assert watched.milestones() == {}
    assert watched.stranded == ["shop_web.1"]
    assert watched.watched >= 60


def test_the_time_watched_counts_from_the_fault(clock: Clock) -> None:
    watched = watch(FakeCluster([seen(ELSEWHERE)]), lost(fault=Instant(93.0, 0.0)), within=60)
    assert watched.watched == pytest.approx(7.0)


@pytest.mark.parametrize("feature", ["failover/node_loss", "traps/isolation"])
def test_whatever_the_plan_ties_to_one_server_may_stay_down_with_it(feature: str) -> None:
    """Or the loss of a server is missed as soon as the whole plan stands."""
    text = (ours.ROOT / "features" / f"{feature}.feature").read_text(encoding="utf-8")
    named = set(re.findall(r"^\s*\| ([\w-]+) +\|$", text, re.MULTILINE))
    plan = nodes_of(load_inventory(INVENTORY))
    tied = {
        service.name: stack.name
        for stack in ours.stacks()
        for service in stack.services
        if not service.is_global and len(plan.fitting(service)) == 1
    }
    assert len(tied) > 60
    assert {n for n, stack in tied.items() if stack not in named and n not in named} == set()


@pytest.mark.parametrize("led", [True, False])
@pytest.mark.parametrize("role", ["the leader", "a manager that is not the leader"])
def test_the_loss_of_another_node_than_the_row_names_proves_nothing(
    tmp_path: Path, role: str, led: bool
) -> None:
    measure = Measure(Recorder(tmp_path / "m.jsonl"), feature="f", scenario="s")
    seen = lost(node="m1", led=led)
    if led == (role == "the leader"):
        was_in_role(seen, role, measure)
    else:
        with pytest.raises(Inconclusive, match="m1"):
            was_in_role(seen, role, measure)
