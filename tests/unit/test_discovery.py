"""Service discovery: one test for each thing that a node can find wrong."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fixtures import progress, waiting
from fixtures.cluster.ssh import CommandFailed, Completed
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, RemoteTimeout, Unreachable
from tests.unit.builders import ROLES, Clock, FakeCluster, nodes, service, snapshot, task
from verify import discovery
from verify.discovery import Endpoint, Finding

WEB = Endpoint("web", "shop_web", 8080, "http")
A, B = "198.51.100.1", "198.51.100.2"


def running(*addresses: dict[str, str], **changed: Any) -> Snapshot:
    """The service web with a task on m1, m2, … at these addresses (network → address)."""
    tasks = [
        task("shop_web", slot, on=f"m{slot}", addresses=given)
        for slot, given in enumerate(addresses, 1)
    ]
    return snapshot(nodes(**changed), [service("web", len(tasks))], tasks)


def finding(*task_addresses: str, failures: Sequence[str] = (), name: str = "web") -> Finding:
    return Finding(name, task_addresses, task_addresses, tuple(failures))


def problems(found: Finding, seen: Snapshot) -> list[str]:
    return discovery.discovery_problems({"m1": [found]}, [WEB], seen)


def test_the_running_tasks_addresses_are_no_problem_in_any_order() -> None:
    assert problems(finding(B, A), running({"backend": A}, {"backend": B})) == []


def test_a_node_may_see_the_service_on_either_of_its_networks() -> None:
    both = running({"backend": A, "public": "203.0.113.1"}, {"backend": B, "public": "203.0.113.2"})
    assert problems(finding(A, B), both) == []
    assert problems(finding("203.0.113.1", "203.0.113.2"), both) == []


def test_each_failure_is_a_problem_with_its_place() -> None:
    found = finding(A, failures=["a:80 refused", "b:80 timed out"])
    assert problems(found, running({"backend": A})) == [
        "web from m1: a:80 refused",
        "web from m1: b:80 timed out",
    ]


def test_a_service_without_a_running_task_is_a_problem() -> None:
    assert problems(finding(A), running()) == ["web from m1: no task of it runs"]


@pytest.mark.parametrize(
    "found", [(A,), (A, B, "198.51.100.3"), (A, "203.0.113.2")], ids=["missing", "stale", "mixed"]
)
def test_other_addresses_than_the_tasks_are_a_problem(found: tuple[str, ...]) -> None:
    seen = running({"backend": A, "public": "203.0.113.1"}, {"backend": B, "public": "203.0.113.2"})
    (problem,) = problems(finding(*found), seen)
    assert problem.startswith(f"web from m1: resolves to {', '.join(found)}, its tasks have ")
    assert f"{A}, {B} on backend" in problem
    assert "203.0.113.1, 203.0.113.2 on public" in problem


def test_the_address_of_a_task_on_a_dead_node_is_stale() -> None:
    seen = running({"backend": A}, {"backend": B}, m2={"state": "down"})
    assert problems(finding(A), seen) == []
    assert len(problems(finding(A, B), seen)) == 1


def test_a_service_that_was_not_asked_is_a_problem() -> None:
    db = Endpoint("db", "shop_db", 5432, "postgres")
    seen = running({"backend": A})
    assert discovery.discovery_problems({"w1": [finding(A)]}, [WEB, db], seen) == [
        "db from w1: not asked"
    ]


def test_every_node_is_judged() -> None:
    found = {"m1": [finding(A)], "w1": [finding(A, failures=["refused"])], "m2": []}
    assert discovery.discovery_problems(found, [WEB], running({"backend": A})) == [
        "web from w1: refused",
        "web from m2: not asked",
    ]


def test_resolving_to_nothing_is_a_problem() -> None:
    assert problems(finding(), running({"backend": A})) != []


# --- asking


def netcheck_everywhere(*without: str) -> Snapshot:
    tasks = [task("shop_netcheck", None, on=name) for name in ROLES if name not in without]
    web = task("shop_web", on="m1", addresses={"backend": A})
    return snapshot(services=[service("netcheck", None), service("web")], tasks=[*tasks, web])


def answering(cluster: FakeCluster, *findings: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Let every node's container give `findings`; returns the list of what is asked."""
    asked: list[tuple[str, bytes]] = []

    def run(command: str, *, stdin: bytes, timeout: float) -> Completed:
        asked.append((command, stdin))
        return Completed(command, 0, json.dumps(findings), "")

    for one in cluster.nodes.values():
        one.runs = run
    return asked


GOOD = {"name": "web", "addresses": [A], "task_addresses": [A], "failures": []}


def test_each_nodes_own_container_is_asked() -> None:
    cluster = FakeCluster(netcheck_everywhere())
    asked = answering(cluster, GOOD)
    found = discovery.look_from_every_node(cluster, "shop_netcheck", [WEB])
    assert found == {name: [finding(A)] for name in ROLES}
    words = [shlex.split(command) for command, _ in asked]
    assert sorted(w[3] for w in words) == sorted(f"c-shop_netcheck-None-{n}" for n in ROLES)
    assert json.loads(words[0][-1]) == [
        {"name": "web", "port": 8080, "protocol": "http", "path": "/health"}
    ]
    assert b"getaddrinfo" in asked[0][1]


def test_a_node_that_cannot_be_asked_is_refused_not_skipped() -> None:
    cluster = FakeCluster(netcheck_everywhere("m2", "w1"))
    answering(cluster, GOOD)
    with pytest.raises(CutoverError, match="service shop_netcheck: no task on m2, w1"):
        discovery.look_from_every_node(cluster, "shop_netcheck", [WEB])


def test_a_probe_that_fails_on_one_node_is_raised() -> None:
    cluster = FakeCluster(netcheck_everywhere())
    answering(cluster, GOOD)

    def run(command: str, **_: Any) -> Completed:
        raise CommandFailed("exit status 1")

    cluster.nodes["w1"].runs = run
    with pytest.raises(CommandFailed):
        discovery.look_from_every_node(cluster, "shop_netcheck", [WEB])


def test_the_probe_runs_in_the_service_called_netcheck() -> None:
    assert discovery.netcheck_service(FakeCluster(netcheck_everywhere())) == "shop_netcheck"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    progress.set_sink(lambda _line: None)
    yield
    progress.set_sink(None)


@pytest.mark.usefixtures("_quick")
def test_it_looks_until_there_is_no_problem() -> None:
    cluster = FakeCluster(netcheck_everywhere())
    answering(cluster, {**GOOD, "failures": ["refused"]})
    looks = 0

    def run(command: str, **_: Any) -> Completed:
        nonlocal looks
        looks += 1
        failures = ["refused"] if looks < 3 else []
        return Completed(command, 0, json.dumps([{**GOOD, "failures": failures}]), "")

    for name in ROLES:
        cluster.nodes[name].runs = lambda c, **_: Completed(c, 0, json.dumps([GOOD]), "")
    cluster.nodes["w1"].runs = run
    assert discovery.problems_within(cluster, [WEB], within=10) == []
    assert looks == 3


@pytest.mark.usefixtures("_quick")
def test_after_the_deadline_the_last_problems_are_returned() -> None:
    cluster = FakeCluster(netcheck_everywhere())
    answering(cluster, {**GOOD, "failures": ["refused"]})
    found = discovery.problems_within(cluster, [WEB], within=3)
    assert found == [f"web from {name}: refused" for name in ROLES]


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("silent", [RemoteTimeout("no answer in 90 s"), Unreachable("refused")])
def test_a_node_that_does_not_answer_is_looked_at_again_and_then_a_problem(
    silent: CutoverError,
) -> None:
    cluster = FakeCluster(netcheck_everywhere())
    answering(cluster, GOOD)
    looks = 0

    def run(command: str, **_: Any) -> Completed:
        nonlocal looks
        looks += 1
        if looks < well_at:
            raise silent
        return Completed(command, 0, json.dumps([GOOD]), "")

    cluster.nodes["w1"].runs = run
    well_at = 3
    assert discovery.problems_within(cluster, [WEB], within=10) == []
    looks, well_at = 0, 99
    assert discovery.problems_within(cluster, [WEB], within=3) == [str(silent)]


# --- what is asked


def test_an_endpoint_is_looked_up_in_the_catalogue() -> None:
    seen = snapshot(services=[service("ws-news", name="services_ws-news", stack="services")])
    assert discovery.endpoints_of(seen, ["ws-news"]) == [
        Endpoint("ws-news", "services_ws-news", 8080, "http", "/health")
    ]


def test_a_service_that_is_not_deployed_has_no_endpoint() -> None:
    with pytest.raises(CutoverError, match="0 services are called 'ws-news'"):
        discovery.endpoints_of(snapshot(), ["ws-news"])


def test_a_service_that_the_catalogue_does_not_have_is_the_users_mistake() -> None:
    with pytest.raises(CutoverError, match="absent"):
        discovery.endpoints_of(snapshot(services=[service("absent")]), ["absent"])
