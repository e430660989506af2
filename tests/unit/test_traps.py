"""Tasks that run twice, names that lead to the dead: what is found, and what is not held for it."""

from __future__ import annotations

import pytest

from fixtures.errors import CutoverError
from fixtures.waiting import Pending
from tests.unit.builders import nodes, service, snapshot, task
from verify import discovery, traps
from verify.discovery import Endpoint, Finding
from verify.traps import doubles

HERE, THERE = task("shop_web", 1, "m1", id="here"), task("shop_web", 1, "w1", id="there")


def test_a_slot_with_containers_on_two_nodes_runs_twice() -> None:
    seen = snapshot(tasks=[HERE, THERE])
    assert doubles(seen, {"m1": {"here"}, "w1": {"there"}}) == ["shop_web.1 on m1 and w1"]


def test_the_engines_are_believed_not_the_managers() -> None:
    # Swarm says Running of both; only one has a container.
    assert doubles(snapshot(tasks=[HERE, THERE]), {"m1": {"here"}, "w1": set()}) == []
    # Swarm wants the old one gone; its container runs on.
    old = task("shop_web", 1, "w1", id="there", desired_state="shutdown", state="shutdown")
    found = doubles(snapshot(tasks=[HERE, old]), {"m1": {"here"}, "w1": {"there"}})
    assert found == ["shop_web.1 on m1 and w1"]


def test_other_slots_and_global_services_are_no_doubles() -> None:
    second = task("shop_web", 2, "w1", id="there")
    assert doubles(snapshot(tasks=[HERE, second]), {"m1": {"here"}, "w1": {"there"}}) == []
    everywhere = [task("shop_log", None, on, id=on) for on in ("m1", "w1")]
    assert doubles(snapshot(tasks=everywhere), {"m1": {"m1"}, "w1": {"w1"}}) == []
    both_here = task("shop_web", 1, "m1", id="again")
    assert doubles(snapshot(tasks=[HERE, both_here]), {"m1": {"here", "again"}}) == []


class FakeCluster:
    name = "fake"

    def __init__(self, **states: str) -> None:
        self.seen = snapshot(nodes(**{n: {"state": s} for n, s in states.items()}), [service("x")])

    def snapshot(self) -> object:
        return self.seen


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    answers = {"m1": [Finding("web", (), ("192.0.2.7",), ())]}
    monkeypatch.setattr(discovery, "netcheck_service", lambda _: "netcheck")
    monkeypatch.setattr(
        discovery, "endpoints_of", lambda *_: [Endpoint("web", "shop_web", 80, "http")]
    )
    monkeypatch.setattr(discovery, "look_from_every_node", lambda *_, **__: answers)
    return answers


def test_names_are_wrong_only_while_the_node_is_called_ready(
    found: dict[str, list[Finding]],
) -> None:
    assert traps.names_wrong(FakeCluster(), ["web"], "w1") == "1: web from m1: no task of it runs"  # type: ignore[arg-type]
    with pytest.raises(CutoverError, match="w1: is down"):
        traps.names_wrong(FakeCluster(w1="down"), ["web"], "w1")  # type: ignore[arg-type]
    with pytest.raises(CutoverError, match="is gone"):
        traps.names_wrong(FakeCluster(), ["web"], "nobody")  # type: ignore[arg-type]


def test_an_address_is_forgotten_when_it_is_not_given_any_more(
    found: dict[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    still = traps.address_forgotten(cluster, "web", "192.0.2.7", "m1")  # type: ignore[arg-type]
    assert isinstance(still, Pending)
    assert traps.address_forgotten(cluster, "web", "192.0.2.8", "m1") is True  # type: ignore[arg-type]

    found["m1"] = [Finding("web", (), (), ("does not resolve",))]
    assert isinstance(
        traps.address_forgotten(cluster, "web", "192.0.2.8", "m1"),  # type: ignore[arg-type]
        Pending,
    )

    def broken(*_: object, **__: object) -> None:
        raise CutoverError("no task on m1")

    monkeypatch.setattr(discovery, "look_from_every_node", broken)
    unknown = traps.address_forgotten(cluster, "web", "192.0.2.8", "m1")  # type: ignore[arg-type]
    assert isinstance(unknown, Pending)
