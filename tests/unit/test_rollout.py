"""Updates as they are written, watched and put back, against a Swarm that is told what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures import folders, progress, waiting
from fixtures.cluster import deployment
from fixtures.cluster.power import Instant
from fixtures.errors import CannotProve, CutoverError, Unreachable
from fixtures.waiting import NeverTrue, Pending, Waited
from tests.unit.builders import Clock, FakeCluster
from verify import rollout
from verify.rollout import Change, Json, Rollout, Rollouts, change_called, changed, unlike

NAME = "shop_web"


def specification(*env: str, **container: Any) -> Json:
    return {
        "Name": NAME,
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "web:1",
                "Env": list(env or ("A=b=c", "WEB_VERSION=1")),
                "Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 30, "Retries": 3},
                **container,
            },
            "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": {"Parallelism": 2, "FailureAction": "rollback", "Order": "start-first"},
        "SomethingNew": {"that": "nobody here knows"},
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    for module in (waiting, rollout):
        monkeypatch.setattr(module, "time", found)
    progress.set_sink(lambda _: None)
    yield found
    progress.set_sink(None)


class Swarm:
    """Takes specifications. `tasks_follow`: its tasks become what was written.

    `refusals` are raised by the next writes, one each; `statuses` is what becomes of the
    UpdateStatus at each look after a write.
    """

    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.index = 7
        self.written: list[Json] = []
        self.refusals: list[Exception] = []
        self.statuses: list[str] = []
        self.tasks_follow = True
        self._tasks = self._made()

    def _made(self) -> list[Json]:
        return [task_of(self.spec)] * self.spec["Mode"]["Replicated"]["Replicas"]

    def read(self, name: str) -> Json:
        assert name == NAME
        status = self.statuses.pop(0) if self.statuses else ""
        return {
            "ID": "id",
            "Version": {"Index": self.index},
            "Spec": copy.deepcopy(self.spec),
            **({"UpdateStatus": {"State": status, "Message": f"is {status}"}} if status else {}),
        }

    def tasks(self, name: str) -> list[Json]:
        return self._tasks

    def write(self, service: Json, spec: Json) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        assert service["Version"]["Index"] == self.index
        self.index += 1
        self.spec = copy.deepcopy(spec)
        self.written.append(self.spec)
        if self.tasks_follow:
            self._tasks = self._made()


def task_of(spec: Mapping[str, Any], /, state: str = "running", desired: str = "running") -> Json:
    return {
        "Status": {"State": state},
        "DesiredState": desired,
        "Spec": copy.deepcopy(spec["TaskTemplate"]),
    }


def steady() -> None:
    pass


# --- what is asked for


def test_only_what_was_asked_for_is_changed() -> None:
    before = specification()
    kept = copy.deepcopy(before)
    new = changed(
        before,
        Change({"WEB_VERSION": "2", "NEW": "x"}, "web:2", 5.0, order="stop-first", parallelism=1),
    )
    assert before == kept
    container = new["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["A=b=c", "WEB_VERSION=2", "NEW=x"]
    assert container["Image"] == "web:2"
    assert container["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "StartPeriod": 5_000_000_000,
        "Retries": 1,
    }
    assert new["UpdateConfig"] == {
        "Parallelism": 1,
        "FailureAction": "rollback",
        "Order": "stop-first",
    }
    assert new["SomethingNew"] == kept["SomethingNew"]


def test_nothing_asked_for_is_nothing_changed() -> None:
    assert changed(specification(), Change()) == specification()


@pytest.mark.parametrize(
    ("spec", "change", "problem"),
    [
        (specification(), Change(order="first-come"), "'first-come' is no update order"),
        (specification(Healthcheck=None), Change(start_seconds=1), "has no health check"),
    ],
)
def test_what_cannot_be_asked_for(spec: Json, change: Change, problem: str) -> None:
    with pytest.raises(CutoverError, match=problem):
        changed(spec, change)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("a new version", Change({"WEB_VERSION": "2"})),
        (
            "an image that does not exist",
            Change({"WEB_VERSION": "2"}, image=rollout.ABSENT_IMAGE),
        ),
        (
            "a version that is not healthy within 2.5 seconds",
            Change({"WEB_VERSION": "2", "WEB_PORT": rollout.WRONG_PORT}, start_seconds=2.5),
        ),
    ],
)
def test_updates_have_names(words: str, change: Change) -> None:
    assert change_called(specification(), words) == change


def test_an_update_of_no_known_name() -> None:
    with pytest.raises(CutoverError, match=r"'the moon' is no update.*There are: a new version"):
        change_called(specification(), "the moon")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (specification("PATH=/bin"), "a new version"),
        (specification("EDGE_VERSION=1"), "a version that is not healthy within 3 seconds"),
    ],
)
def test_a_service_that_cannot_show_it_is_unproven(spec: Json, words: str) -> None:
    with pytest.raises(CannotProve, match="shop_web"):
        change_called(spec, words)


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("9", "10"), ("v1", "v1-next")])
def test_the_next_version_is_another(old: str, new: str) -> None:
    assert rollout.next_version(old) == new


# --- whether the tasks are what they are to be

SPEC = specification()
OTHER = specification("WEB_VERSION=2")
FORCED = {**SPEC, "TaskTemplate": {**SPEC["TaskTemplate"], "ForceUpdate": 1}}


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ([task_of(SPEC), task_of(SPEC)], ""),
        ([task_of(SPEC), task_of(SPEC), task_of(OTHER, "shutdown", "shutdown")], ""),
        ([task_of(SPEC)], "1 of 2 tasks run"),
        ([task_of(SPEC), task_of(SPEC, "starting")], "1 of 2 tasks run"),
        ([task_of(SPEC), task_of(OTHER)], "1 tasks of another specification run"),
        ([task_of(SPEC), task_of(FORCED)], "1 tasks of another specification run"),
        (
            [task_of(SPEC), task_of(SPEC), task_of(OTHER, desired="shutdown")],
            "1 tasks of another specification run",
        ),
    ],
)
def test_tasks_unlike_the_specification(tasks: list[Json], problem: str) -> None:
    assert unlike(tasks, SPEC) == problem


def test_a_global_service_has_no_number_of_tasks() -> None:
    assert unlike([task_of(SPEC)], {**SPEC, "Mode": {"Global": {}}}) == ""


# --- watching


def watched(swarm: Swarm, *statuses: str, within: float = 60.0) -> Rollout:
    with Rollouts(swarm, steady) as rollouts:
        begun = rollouts.begin(NAME, Change({"WEB_VERSION": "2"}))
        swarm.statuses = list(statuses)
        rollouts.watch(begun, within=within)
        swarm.statuses = []
    return begun


@pytest.mark.parametrize("end", ["completed", "paused", "rollback_completed", "rollback_paused"])
def test_an_update_is_watched_to_its_end(clock: Clock, end: str) -> None:
    seen = watched(Swarm(specification()), "", "updating", "updating", end, "nothing more")
    assert (seen.state, seen.message, seen.took.reason) == (end, f"is {end}", "")
    assert (seen.old, seen.new, seen.replicas) == ("1", "2", 2)
    assert seen.took.seconds == pytest.approx(0.5)
    assert seen.ended.at == pytest.approx(seen.began.at + 0.5)
    assert [name for name, _ in seen.events()] == [
        "update begins",
        "updating",
        end.replace("_", " "),
    ]


def test_an_update_without_an_end(clock: Clock) -> None:
    seen = watched(Swarm(specification()), *["updating"] * 20, within=2)
    assert seen.took.seconds > 2
    assert "last seen: updating: is updating" in seen.problems("completed")[0]


def test_an_update_that_never_begins(clock: Clock) -> None:
    seen = watched(Swarm(specification()), within=1)
    assert "last seen: not begun" in seen.problems("completed")[0]


@pytest.mark.parametrize(
    ("state", "wanted", "problems"),
    [
        ("completed", "completed", []),
        ("rollback_completed", "completed", ["ended as rollback_completed: why"]),
        ("completed", "rollback_completed", ["ended as completed: why"]),
        ("paused", "rollback_completed", ["ended as paused: why"]),
    ],
)
def test_an_end_that_was_not_wanted(state: str, wanted: str, problems: list[str]) -> None:
    ended = Rollout(NAME, "1", "2", 2, Instant(0, 0), Waited(1, 0), state, "why")
    assert ended.problems(wanted) == problems


def test_it_began_no_later_than_it_was_first_asked_for(clock: Clock) -> None:
    swarm = Swarm(specification())
    swarm.refusals = [Unreachable("update out of sequence")] * 2
    with Rollouts(swarm, steady) as rollouts:
        begun = rollouts.begin(NAME, Change({"WEB_VERSION": "2"}))
    assert begun.began.at - begun.began.error == pytest.approx(100.0)
    assert begun.began.at + begun.began.error == pytest.approx(100.4)


# --- putting back


def leave_changed(swarm: Swarm, ending: Callable[[], None] = steady) -> None:
    with Rollouts(swarm, steady) as rollouts:
        rollouts.begin(NAME, Change({"WEB_VERSION": "2"}, "web:2", 5, "stop-first", 1))
        assert swarm.spec != specification()
        ending()


def test_it_is_put_back_word_by_word(clock: Clock) -> None:
    swarm = Swarm(specification())
    leave_changed(swarm)
    assert swarm.spec == specification()


def test_it_is_put_back_all_tasks_at_once_and_without_a_way_back(clock: Clock) -> None:
    swarm = Swarm(specification())
    leave_changed(swarm)
    _, quick, last = swarm.written
    assert quick["TaskTemplate"] == last["TaskTemplate"]
    assert quick["UpdateConfig"]["Parallelism"] == 0
    assert quick["UpdateConfig"]["FailureAction"] == "continue"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, AssertionError])
def test_it_is_put_back_however_it_ended(clock: Clock, error: type[BaseException]) -> None:
    swarm = Swarm(specification())

    def fail() -> None:
        raise error

    with pytest.raises(error):
        leave_changed(swarm, fail)
    assert swarm.spec == specification()


def test_an_update_that_rolled_back_by_itself_is_put_back_too(clock: Clock) -> None:
    swarm = Swarm(specification())

    def roll_back() -> None:
        swarm.spec = changed(specification(), Change(order="stop-first"))

    leave_changed(swarm, roll_back)
    assert swarm.spec == specification()


def test_of_several_changes_the_first_former_state_counts(clock: Clock) -> None:
    swarm = Swarm(specification())
    with Rollouts(swarm, steady) as rollouts:
        rollouts.begin(NAME, Change({"WEB_VERSION": "2"}))
        rollouts.begin(NAME, Change({"WEB_VERSION": "3"}))
    assert swarm.spec == specification()


def test_what_was_only_looked_at_is_not_written(clock: Clock) -> None:
    swarm = Swarm(specification())
    proven: list[bool] = []
    with Rollouts(swarm, lambda: proven.append(True)) as rollouts:
        rollouts.spec(NAME)
    assert (swarm.written, proven) == ([], [])


def test_what_is_refused_is_not_written(clock: Clock) -> None:
    swarm = Swarm(specification())
    with (
        pytest.raises(CutoverError, match="no update order"),
        Rollouts(swarm, steady) as rollouts,
    ):
        rollouts.begin(NAME, Change({"WEB_VERSION": "2"}, order="at once"))
    assert swarm.written == []


def test_steady_is_proven_after_it_was_put_back(clock: Clock) -> None:
    swarm = Swarm(specification())
    seen: list[Json] = []
    with Rollouts(swarm, lambda: seen.append(swarm.spec)) as rollouts:
        rollouts.begin(NAME, Change({"WEB_VERSION": "2"}))
    assert seen == [specification()]


def test_tasks_that_do_not_come_back_are_an_error_that_says_what_to_do(clock: Clock) -> None:
    swarm = Swarm(specification())

    def stand_still() -> None:
        swarm.tasks_follow = False

    with pytest.raises(CutoverError, match=r"another specification.*rollback shop_web"):
        leave_changed(swarm, stand_still)


def test_a_specification_that_somebody_changed_meanwhile_is_an_error(clock: Clock) -> None:
    swarm = Swarm(specification())
    write = swarm.write

    def meddled(service: Json, spec: Json) -> None:
        write(service, {**spec, "Labels": {"theirs": "yes"}})

    def meddle() -> None:
        swarm.write = meddled  # type: ignore[method-assign]

    with pytest.raises(CutoverError, match="is not what it was before"):
        leave_changed(swarm, meddle)


def test_a_change_of_any_kind_waits_for_its_tasks(clock: Clock) -> None:
    swarm = Swarm(specification())
    with Rollouts(swarm, steady, within=5) as rollouts:
        rollouts.apply(NAME, lambda spec: {**spec, "Mode": {"Replicated": {"Replicas": 1}}})
        assert len(swarm.tasks(NAME)) == 1
        swarm.tasks_follow = False
        with pytest.raises(NeverTrue, match="another specification"):
            rollouts.apply(NAME, lambda spec: changed(spec, Change(image="web:2")))
        swarm.tasks_follow = True
    assert swarm.spec == specification()


def test_looking_at_a_service_without_a_status_is_pending() -> None:
    begun = Rollout(NAME, "1", "2", 2, Instant(0, 0))
    assert begun.look({}) == Pending("not begun")


# --- the next run


def test_stacks_are_deployed_again_unless_they_were_put_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    cluster: Any = FakeCluster()
    record = folders.cluster_folder(cluster.name) / "deployed"
    record.write_text("digest")
    with deployment.stacks_changed(cluster):
        assert not record.exists(), "a harness that is killed now leaves no word of it"
    assert record.read_text() == "digest"
    with pytest.raises(RuntimeError), deployment.stacks_changed(cluster):
        raise RuntimeError
    assert not record.exists()
    with deployment.stacks_changed(cluster):
        pass
    assert not record.exists()
