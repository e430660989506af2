"""What `Twin.up` does when the engine refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from fixtures import folders
from fixtures.cluster.twin.blueprint import UNDERLAY_COUNT
from fixtures.cluster.twin.provision import Twin, _free_ports, twins_left, twins_on_record
from fixtures.errors import CutoverError
from tests.unit.chaos_builders import quiet


def test_a_refusal_of_the_engine_names_twin_and_remedy_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nobody: Any = None
    twin = Twin("refused", nobody)
    done: list[str] = []

    def build(*_: object) -> None:
        done.append("built")
        raise APIError("400", explanation="network cutover-refused is ambiguous")

    monkeypatch.setattr(twin, "containers", list)
    monkeypatch.setattr(twin, "_remove", lambda: done.append("removed"))
    monkeypatch.setattr(twin, "_build", build)
    with quiet(), pytest.raises(CutoverError, match=r"twin refused: .* ambiguous.*make down"):
        twin.up("image")
    assert done == ["removed", "built", "removed"]


def test_a_question_about_a_twin_puts_none_on_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    asked, standing = folders.cluster_folder("twin-asked"), folders.cluster_folder("twin-stands")
    assert asked.is_dir()
    (standing / "inventory.yml").touch()
    assert twins_on_record() == ["twin-stands"]


def test_twins_that_come_up_at_once_never_choose_the_same_port() -> None:
    chosen = [port for index in range(UNDERLAY_COUNT) for port in _free_ports(index, 9)]
    assert len(set(chosen)) == 9 * UNDERLAY_COUNT


def test_a_twin_of_which_only_a_volume_is_left_is_found() -> None:
    """A kill while its images were linked: no node's container was made yet."""

    def listed(*names: str) -> Any:
        made = [SimpleNamespace(attrs={"Labels": {"cutover": name}}) for name in names]
        return SimpleNamespace(list=lambda **_: made)

    containers = [SimpleNamespace(labels={"cutover": "whole", "cutover.node": "hpr"})]
    client: Any = SimpleNamespace(
        containers=SimpleNamespace(list=lambda **_: containers),
        volumes=listed("whole", "half"),
        networks=listed("less"),
    )
    assert twins_left(client) == ["half", "less", "whole"]
