"""What is asked of the whole plan: containers, memory, a lost server, staging's isolation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.cluster.swarm import Service, Snapshot, Task, parse_service, parse_task
from fixtures.errors import CutoverError
from tests.unit.builders import node, task
from verify.plan import answers, containers, expected, isolation, memory
from verify.plan.answers import Asked, Said, answer_problems, askers, how_asked
from verify.plan.containers import Container
from verify.plan.lost_server import lose
from verify.plan.memory import GB, Server

MB = 1 << 20
NODES = (
    node("core", labels={"production": "true", "tier": "core"}),
    node("data", labels={"production": "true"}),
    node("stage", "worker", labels={"staging": "true"}),
)
SERVERS = [Server("core", 10 * GB, 6 * GB), Server("data", 10 * GB, 6 * GB)]
PRODUCTION = ("node.labels.production == true",)
CORE = ("node.labels.tier == core",)


def service(name: str, stack: str = "s", **changed: Any) -> Service:
    values: dict[str, Any] = {
        "id": name,
        "name": f"{stack}_{name}",
        "stack": stack,
        "replicas": 1,
        "constraints": (),
        "networks": (),
        "update_state": "",
        "labels": {},
        "memory_limit": 600 * MB,
        "memory_reserved": 300 * MB,
    }
    return Service(**{**values, **changed})


def container(of: Task, **changed: Any) -> Container:
    values: dict[str, Any] = {
        "id": of.container_id,
        "service": of.service,
        "node": of.node_id.removeprefix("id-"),
        "state": "running",
        "health": "healthy",
        "restarts": 0,
        "started_at": "2030-01-01T00:00:00Z",
        "memory_limit": 600 * MB,
        "pid": 7,
    }
    return Container(**{**values, **changed})


def view(services: list[Service], tasks: list[Task]) -> Snapshot:
    return Snapshot(NODES, tuple(services), tuple(tasks))


# -- what Swarm and the engines say


def test_a_service_s_memory_and_secrets_are_read() -> None:
    found = parse_service(
        {
            "ID": "i",
            "UpdatedAt": "2030-01-01T00:00:00.5Z",
            "Spec": {
                "Name": "s_a",
                "TaskTemplate": {
                    "Resources": {"Limits": {"MemoryBytes": 5}, "Reservations": {"MemoryBytes": 3}},
                    "ContainerSpec": {"Secrets": [{"SecretName": "p"}]},
                },
            },
        }
    )
    assert (found.memory_limit, found.memory_reserved, found.secrets) == (5, 3, ("p",))
    assert found.updated_at.startswith("2030")
    bare = parse_service({"ID": "i", "Spec": {"Name": "a", "TaskTemplate": {"Resources": None}}})
    assert (bare.memory_limit, bare.memory_reserved, bare.secrets) == (0, 0, ())


def test_a_task_s_age_is_read() -> None:
    assert parse_task({"ID": "t", "CreatedAt": "2030-01-01T00:00:00Z"}, {}).created_at[:4] == "2030"


def test_containers_are_read() -> None:
    state = {"Status": "running", "StartedAt": "2030-01-01T00:00:00Z", "Pid": 42}
    checked = {**state, "Health": {"Status": "healthy", "Log": [{"Output": "a|b\n"}]}}
    lines = "".join(f"abc|s_a|2|1048576|{json.dumps(one)}\n" for one in (state, checked))
    unchecked, healthy = containers.parse(lines, "core")
    assert healthy == Container(
        "abc", "s_a", "core", "running", "healthy", 2, "2030-01-01T00:00:00Z", MB, 42
    )
    assert unchecked.health == ""
    for odd in ("odd\n", "a|b|1|2|not JSON\n"):
        with pytest.raises(CutoverError, match="cannot read"):
            containers.parse(odd, "core")


# -- health, restarts, failures


def health(tasks: list[Task], found: list[Container], **changed: Any) -> list[str]:
    return containers.health_problems(view([service("a", **changed)], tasks), ["s_a"], found)


def test_a_service_that_is_well() -> None:
    one = task("s_a", on="core")
    assert health([one], [container(one)]) == []
    assert health([one], [container(one, health="")]) == [], "nothing checks it"


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"health": "unhealthy"}, "is unhealthy"), ({"state": "paused"}, "is paused")],
)
def test_a_container_that_is_unwell(changed: dict[str, str], told: str) -> None:
    one = task("s_a", on="core")
    (problem,) = health([one], [container(one, **changed)])
    assert told in problem


def test_swarm_s_word_for_a_container_that_is_gone() -> None:
    (problem,) = health([task("s_a", on="core")], [])
    assert "no such container" in problem


def test_a_service_scaled_to_nothing_runs_nowhere() -> None:
    assert health([], [], replicas=0) == ["s_a: 0 of 1 tasks run"]


def test_a_service_that_is_not_there() -> None:
    assert containers.health_problems(view([], []), ["s_a"], []) == ["s_a is not deployed"]


def test_containers_that_came_went_or_were_started_anew() -> None:
    one, other = task("s_a", 1), task("s_a", 2)
    first = [container(one), container(other)]
    assert containers.restart_problems(first, first, ["s_a"]) == []
    again = [container(one, started_at="2030-01-01T00:00:09Z"), container(task("s_a", 3))]
    assert containers.restart_problems(first, again, ["s_a"]) == [
        "a container of s_a ended",
        "a container of s_a came",
        "a container of s_a was restarted",
    ]
    assert containers.restart_problems(first, again, ["s_b"]) == [], "not of the plan"


def failures(since: str, **changed: Any) -> list[str]:
    values = {"created_at": "2030-01-01T10:00:00.5Z", "updated_at": "2030-01-01T10:30:00Z"}
    old = task("s_a", state="failed", error="exit 1", **{**values, **changed})
    services = [service("a", updated_at="2030-01-01T09:00:00.1Z")]
    problems, checked = containers.failure_problems(view(services, [old]), ["s_a"], since)
    assert checked == 1
    return problems


def test_a_task_that_failed_since_the_deployment() -> None:
    assert failures("2030-01-01T10:00:00.000000000Z") == ["s_a.1 failed: exit 1"]
    assert failures("") == ["s_a.1 failed: exit 1"], "servers: since the service was changed"
    assert failures("2030-01-01T11:00:00Z") == [], "an earlier scenario's"
    assert failures("", desired_state="shutdown") == ["s_a.1 failed: exit 1"]


def test_a_task_from_before_that_failed_since_then() -> None:
    later = {"updated_at": "2030-01-01T11:30:00Z"}
    assert failures("2030-01-01T11:00:00Z", **later) == ["s_a.1 failed: exit 1"]
    # One that an update replaced may end with a code, and that is none of its failures.
    replaced = {"created_at": "2030-01-01T08:00:00Z", **later}
    assert failures("2030-01-01T08:30:00Z", **replaced) == []


# -- places


def test_rows_name_several_services() -> None:
    rows = [{"stack": "s", "services": "a, b", "place": "node core"}]
    assert [one.full_name for one in expected.expected(rows)] == ["s_a", "s_b"]
    with pytest.raises(CutoverError, match="s_a twice"):
        expected.expected([*rows, {"stack": "s", "services": "a", "place": "node data"}])


def test_a_container_on_another_server_and_a_service_that_nobody_expects() -> None:
    plan = expected.expected([{"stack": "s", "services": "a", "place": "node core"}])
    seen = view([service("a"), service("b"), service("c", "other")], [task("s_a", on="data")])
    assert expected.place_problems(seen, plan) == (["a runs on data, not on node core"], 1)
    assert [s.name for s in expected.unknown(seen, plan, {"s"})] == ["s_b"]


# -- answers


def test_how_a_service_is_asked() -> None:
    labelled = service("a", labels={"cutover.answers": "smtp 25"})
    assert how_asked(labelled) == Asked("s_a", "a", "smtp", 25)
    known = service("gibd-redis", "data")
    assert how_asked(known) == Asked("data_gibd-redis", "gibd-redis", "redis", 6379)
    edge = how_asked(service("edge", "edge"))
    assert edge is not None
    assert edge.protocol == "http:/edge-version"
    assert how_asked(service("gibd-redis", "theirs")) is None, "another stack's of that name"
    assert how_asked(service("backup")) is None


def problems_of(said: Said | None, protocol: str = "http") -> list[str]:
    seen = view([service("a")], [task("s_a", on="core", addresses={"n": "10.0.0.5"})])
    told = {} if said is None else {"s_a": said}
    return answer_problems(seen, [Asked("s_a", "a", protocol, 1)], told)


def test_a_service_that_answers_as_itself() -> None:
    for words in ("a", "s_a"):
        assert problems_of(Said(("10.0.0.5",), (words,))) == []
    assert problems_of(Said(("10.0.0.5",), ("redis",)), "redis") == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said(("10.0.0.5",), ("b",)), "answers as 'b'"),
        (Said(("10.0.0.9",), ("a",)), "leads to 10.0.0.9"),
        (Said((), ()), "leads nowhere"),
        (Said(("10.0.0.5",), (), "ConnectionRefusedError: x"), "ConnectionRefusedError"),
        (None, "could not be asked"),
    ],
)
def test_a_service_that_does_not(said: Said | None, told: str) -> None:
    (problem,) = problems_of(said)
    assert told in problem


def test_one_task_a_network_asks_and_none_asks_itself() -> None:
    one = task("s_a", on="core", addresses={"n": "10.0.0.5"})
    other = task("s_b", on="core", addresses={"n": "10.0.0.6"})
    idle = task("netcheck_netcheck", on="data", addresses={"n": "10.0.0.7"})
    lonely = task("s_c", on="core", addresses={"m": "10.0.1.5"})
    asked = [Asked(f"s_{name}", name, "http", 1) for name in "abc"]
    tasks = [one, other, lonely]
    chosen = askers(view([], tasks), asked, [container(t) for t in tasks])
    assert chosen == {other.container_id: [asked[0]], one.container_id: [asked[1]]}
    tasks.append(idle)
    chosen = askers(view([], tasks), asked, [container(t) for t in tasks])
    assert chosen == {idle.container_id: asked[:2]}
    assert {"http"} <= answers.NAMING


# -- memory


def test_figures_are_the_plan_s() -> None:
    share = memory.share_of(service("a"), 8)
    assert (share.limit, share.reserved) == (4800 * MB, 2400 * MB)
    undivided = service("a", labels={"cutover.memory": "plan"})
    assert memory.share_of(undivided, 8).limit == 600 * MB


def test_what_runs_is_added_up_where_it_runs_and_where_the_plan_has_it() -> None:
    services = [
        service("pinned", constraints=("node.hostname == data",)),
        service("free", constraints=PRODUCTION, replicas=2),
        service("agent", replicas=None),
        service("netcheck", "netcheck"),
    ]
    tasks = [
        task("s_pinned", on="data"),
        task("s_free", 1, on="data"),
        task("s_free", 2, on="core"),
        task("s_agent", None, on="stage"),
        task("netcheck_netcheck", on="data"),
    ]
    seen = view(services, tasks)
    running = memory.as_they_run(seen, 1)
    assert running.limits("data") == 1200 * MB
    assert running.reserved("core") == 300 * MB
    layout = memory.as_laid_out(seen, 1, "core")
    assert [layout.limits(n) / MB for n in ("core", "data", "stage")] == [1800, 1200, 600]


def test_a_server_over_its_budget() -> None:
    big = service("big", memory_reserved=7 * 1024 * MB, memory_limit=11 * 1024 * MB)
    ledger = memory.as_they_run(view([big], [task("s_big", on="core")]), 1)
    (problem,) = memory.over(
        ledger, {s.name: s.budget for s in SERVERS}, what="reserved", of="budget"
    )
    assert problem.startswith("core: 7.00 GB are above its budget of 6 GB; the largest: s_big")
    assert memory.over(ledger, {"core": 11 * GB}, what="limits", of="memory") == []
    assert memory.over(ledger, {"core": 10 * GB}, what="limits", of="memory") != []


def test_a_server_that_nobody_gave_a_budget() -> None:
    seen = view([service("a")], [task("s_a", on="core"), task("s_a", 2, on="data")])
    ledger = memory.as_they_run(seen, 1)
    assert memory.outside(ledger, ["core", "data"]) == []
    assert memory.outside(ledger, ["core"]) == ["data runs 1 tasks, and is not in the table"]


def test_a_missing_limit_in_the_specification_or_in_a_container() -> None:
    one = task("s_a", on="core")
    seen = view([service("a")], [one])
    assert memory.unlimited(seen, [container(one)]) == ([], 1)
    assert memory.unlimited(seen, [container(one, memory_limit=0)])[0] == [
        "a container of s_a on core has no memory limit"
    ]
    none = view([service("a", memory_limit=0)], [one])
    assert memory.unlimited(none, [])[0] == ["s_a has no memory limit"]
    assert memory.unreserved(view([service("a", memory_reserved=0)], [])) == ["s_a"]


# -- a lost server


def test_what_moves_what_is_pinned_and_what_finds_no_room() -> None:
    services = [
        service("free", constraints=PRODUCTION),
        service("home", constraints=CORE),
        service("huge", constraints=PRODUCTION, memory_reserved=10 * 1024 * MB),
        service("agent", replicas=None),
    ]
    tasks = [
        *(task(f"s_{name}", on="core") for name in ("free", "home", "huge")),
        task("s_agent", None, on="core"),
    ]
    loss = lose(view(services, tasks), "core", SERVERS, 1)
    assert loss.moved == [("s_free", "data")]
    assert loss.pinned == ["s_home"]
    assert loss.no_room == ["s_huge"]
    assert loss.problems(["s_free"]) == []
    assert loss.problems(["s_free", "s_home", "s_huge"]) == [
        "without core s_huge finds no room",
        "without core s_home may not move",
    ]
    assert "1 may run nowhere else (s_home)" in loss.story()
    assert lose(view(services, tasks), "data", SERVERS, 1).moved == []


def test_room_is_used_up_as_tasks_move_and_limits_may_exceed_the_memory() -> None:
    wide = {"memory_reserved": 4 * 1024 * MB, "memory_limit": 6 * 1024 * MB}
    services = [service(name, constraints=PRODUCTION, **wide) for name in "abc"]
    tasks = [task(f"s_{name}", on="core") for name in "abc"]
    loss = lose(view(services, tasks), "core", SERVERS, 1)
    assert [name for name, _ in loss.moved] == ["s_a", "s_b"]
    assert loss.no_room == ["s_c"]
    assert loss.overcommitted == {"data": 12 * GB}
    assert "add up to 12.0 GB" in loss.story()


def test_a_task_goes_where_its_service_has_fewest() -> None:
    nodes = (*NODES[:2], node("third", labels={"production": "true"}))
    services = [service("a", constraints=PRODUCTION, replicas=2), service("b", replicas=3)]
    tasks = [
        task("s_a", 1, on="core"),
        task("s_a", 2, on="third"),
        *(task("s_b", slot, on="data") for slot in (1, 2, 3)),
    ]
    servers = [*SERVERS, Server("third", 10 * GB, 6 * GB)]
    seen = Snapshot(nodes, tuple(services), tuple(tasks))
    assert lose(seen, "core", servers, 1).moved == [("s_a", "data")]


# -- isolation


SIDES = isolation.Sides(frozenset({"staging_web"}), frozenset({"s_db"}))


def test_sides_are_told_by_stack() -> None:
    seen = view([service("web", "staging"), service("db"), service("agent", replicas=None)], [])
    assert isolation.sides(seen, {"staging"}) == SIDES


@pytest.mark.parametrize(
    ("web", "db", "problems"),
    [
        ("stage", "data", []),
        ("data", "data", ["staging_web runs on data"]),
        ("stage", "stage", ["s_db runs on stage"]),
    ],
)
def test_each_side_on_its_servers(web: str, db: str, problems: list[str]) -> None:
    seen = view([], [task("staging_web", on=web), task("s_db", on=db)])
    assert isolation.node_problems(seen, SIDES, "stage") == (problems, 2)


def test_a_shared_network() -> None:
    def seen(network: str) -> Snapshot:
        web = task(
            "staging_web", on="stage", addresses={"staging": "10.1.0.2", network: "10.0.0.3"}
        )
        return view([], [web, task("s_db", on="data", addresses={"database": "10.0.0.2"})])

    assert isolation.network_problems(seen("other"), SIDES) == ([], 2)
    problems, _ = isolation.network_problems(seen("database"), SIDES)
    assert problems == ["staging_web and production's s_db are both on database"]


def test_a_shared_secret_by_name_or_by_value() -> None:
    web, db = service("web", "staging"), service("db", secrets=("p",))
    assert isolation.secret_problems([web, db], SIDES, {}) == ([], 1)
    named = service("web", "staging", secrets=("p",))
    problems, _ = isolation.secret_problems([named, db], SIDES, {})
    assert problems == ["staging_web has the secret p of s_db"]
    copied = service("web", "staging", secrets=("q",))
    values = {"staging_web": ["d1"], "s_db": ["d1"]}
    problems, count = isolation.secret_problems([copied, db], SIDES, values)
    assert problems == ["staging_web has a secret of s_db's under another name"]
    assert count == 2


def test_secrets_that_could_not_be_read_are_not_other_ones() -> None:
    web = service("web", "staging", secrets=("q",))
    db = service("db", secrets=("p", "p", "r"))
    none = service("none", replicas=0, secrets=("s",))
    of = isolation.Sides(SIDES.staging, frozenset({"s_db", "s_none"}))

    def unread(*lines: str) -> list[str]:
        return isolation.unread([web, db, none], of, isolation.parse_digests(lines))

    # Two secrets may hold the same; a second task has the same files.
    every = ("staging_web d1 q", "s_db d2 p", "s_db d2 r", "s_db d2 r")
    assert unread(*every) == []
    assert unread(*every[1:]) == ["0 of 1 secrets of staging_web"]
    assert unread("staging_web d1 q", "s_db d2 p", "s_db d2 p") == ["1 of 2 secrets of s_db"]


def test_every_way_to_a_database() -> None:
    db = service("gibd-redis", "data", virtual_addresses=("10.0.0.9",))
    seen = view([db], [task("data_gibd-redis", on="data", addresses={"database": "10.0.0.2"})])
    ways = isolation.doors(seen, ["gibd-redis"])
    assert ways.names == ("gibd-redis", "data_gibd-redis", "tasks.gibd-redis")
    assert {address for address, _ in ways.targets} == {"10.0.0.2", "10.0.0.9", "192.0.2.1"}
    assert {port for _, port in ways.targets} == {6379}


def test_a_database_that_production_does_not_reach_either_proves_nothing() -> None:
    """As one that listens on another port than it was tried at, beside one that was reached."""
    cache, db = service("gibd-redis", "data"), service("mysql", "mailcow")
    tasks = [
        task(one.name, on="data", addresses={"database": address})
        for one, address in ((cache, "10.0.0.2"), (db, "10.0.0.3"))
    ]
    ways = isolation.doors(view([cache, db], tasks), ["gibd-redis", "mysql"])
    names = {"gibd-redis": ["10.0.0.2"], "mysql": ["10.0.0.3"]}
    seen = [{"found": names, "open": [["10.0.0.2", 6379]]}]
    assert isolation.blind(ways, seen) == ["mysql"]
    assert isolation.blind(ways, [{"found": {}, "open": []}]) == ["gibd-redis", "mysql"]
    reached = [*seen, {"found": {}, "open": [["10.0.0.3", 0]]}]
    assert isolation.blind(ways, reached) == []


def test_what_staging_reaches_is_told() -> None:
    found = {"found": {"postgres": ["10.0.0.2"]}, "open": [["10.0.0.2", 5432]]}
    assert isolation.reach_problems("staging_web", found) == [
        "staging_web finds postgres at 10.0.0.2",
        "staging_web connects to 10.0.0.2 port 5432",
    ]
    assert isolation.reach_problems("staging_web", {"found": {}, "open": []}) == []


def test_few_containers_stand_in_all_networks_of_a_side() -> None:
    one = task("s_a", on="core", addresses={"x": "1", "y": "1"})
    two = task("s_b", on="core", addresses={"x": "2"})
    three = task("s_c", on="core", addresses={"z": "3"})
    there = {t.container_id: container(t) for t in (one, two, three)}
    chosen = isolation.one_a_network(view([], [one, two, three]), {"s_a", "s_b", "s_c"}, there)
    assert [c.service for c in chosen] == ["s_a", "s_c"]
