"""Stacks on demand: what is deployed, what is left as it stands, what goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.twin import on_demand
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings

IMAGES = {name: f"img/{name}" for name in catalogue.IMAGES.values()}


class Twin:
    """Remembers which images it gave to which nodes."""

    images = IMAGES

    def __init__(self) -> None:
        self.given: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def give_images(self, names: Any, nodes: list[str]) -> dict[str, str]:
        self.given.append((tuple(names), tuple(nodes)))
        return {name: f"img/{name}" for name in names}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return what is done to the Swarm, in words; nothing else is touched."""
    words: list[str] = []

    def note(word: str) -> Callable[..., None]:
        def noted(run: Any, what: Any, *rest: Any, **options: Any) -> None:
            listed = list(what)
            names = [one if isinstance(one, str) else one[0] for one in listed]
            words.extend(f"{word} {name}" for name in names)

        return noted

    for name in ("create_networks", "create_secrets", "deploy_together", "remove_stacks"):
        monkeypatch.setattr(on_demand, name, note(name.split("_")[0]))
    monkeypatch.setattr(on_demand, "remove_networks", note("drop"))
    monkeypatch.setattr(on_demand, "end_services", note("end"))
    monkeypatch.setattr(on_demand, "wait_stacks", note("await"))
    monkeypatch.setattr(on_demand, "runner", lambda node: None)
    monkeypatch.setattr(on_demand, "settings_for", lambda *_: Settings(images=IMAGES))
    monkeypatch.setattr(on_demand.keys, "backup_key", lambda folder: "key")
    monkeypatch.setattr(on_demand.keys, "host_key", lambda folder, name: "ssh-ed25519 A")
    monkeypatch.setattr(on_demand.folders, "cluster_folder", lambda name: tmp_path)
    return words


def stacks(twin: Twin | None = None) -> OnDemandStacks:
    leader = SimpleNamespace(run=lambda command: SimpleNamespace(stdout="2030-01-01T00:00:00Z\n"))
    cluster = SimpleNamespace(name="t", nodes={"n1": None, "n2": None}, leader=lambda: leader)
    return OnDemandStacks(twin or Twin(), cluster, None)  # type: ignore[arg-type]


TOGETHER = ("staging", "dev-databases")


def test_networks_and_secrets_are_made_before_the_stacks_and_all_is_awaited_once(
    done: list[str],
) -> None:
    since = stacks().stand_together(TOGETHER)
    assert since == "2030-01-01T00:00:00Z"
    assert done == [
        "create staging",
        "create development",
        "create development",
        "create dev_postgres_password",
        "deploy staging",
        "deploy dev-databases",
        "await staging",
        "await dev-databases",
    ]


def test_what_stands_is_left_as_it_is_by_this_process_and_the_next(done: list[str]) -> None:
    first = stacks()
    since = first.stand_together(TOGETHER)
    done.clear()
    assert first.stand_together(TOGETHER) == since
    second = stacks()
    assert second.stand_together(TOGETHER) == since
    assert done == []
    second.remove()
    assert done == [
        "remove staging",
        "remove dev-databases",
        "drop development",
        "drop staging",
    ]


def test_what_was_removed_or_is_deployed_otherwise_is_deployed_again(done: list[str]) -> None:
    one = stacks()
    one.stand_together(TOGETHER)
    one.remove()
    done.clear()
    one.stand_together(TOGETHER)
    assert "deploy staging" in done
    done.clear()
    one.stand_together(TOGETHER[:1])
    assert done[-1] == "await staging"


def test_what_needs_the_others_of_its_stack_leaves_first(done: list[str]) -> None:
    one = stacks()
    one.stand_together(("patroni",))
    done.clear()
    one.remove()
    first = [f"end patroni_patroni-{role}" for role in ("primary", "replica")]
    assert done == [*first, "remove patroni"]


def test_a_volume_that_stays_leaves_no_stack_for_standing(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stacks()
    one.stand_together(TOGETHER)

    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(one, "_forget", fail)
    with pytest.raises(RuntimeError):
        one.remove()
    done.clear()
    one.stand_together(TOGETHER)
    assert "deploy staging" in done


def test_a_deployment_that_broke_off_is_not_taken_for_one_that_stands(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stacks()
    with monkeypatch.context() as broken:

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError

        broken.setattr(on_demand, "wait_stacks", fail)
        with pytest.raises(RuntimeError):
            one.stand_together(TOGETHER)
    done.clear()
    one.stand("staging", ["n1"])
    assert "deploy staging" in done
    one.remove()
    assert "remove dev-databases" in done


def test_a_node_gets_the_images_of_all_its_stacks_at_once(done: list[str]) -> None:
    twin = Twin()
    stacks(twin).give_images(("mailcow", "appwrite-storage", "patroni"))
    assert twin.given == [
        (("influxdb", "mail", "mariadb", "standin"), ("hppavilion",)),
        (("patroni",), ("n1",)),
        (("patroni",), ("n2",)),
    ]
