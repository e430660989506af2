"""What `Twin.up` does when the engine refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from fixtures.cluster.twin.provision import Twin
from fixtures.errors import CutoverError
from tests.unit.chaos_builders import quiet


def test_a_refusal_of_the_engine_names_twin_and_remedy_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nobody: Any = None
    twin = Twin("refused", nobody)
    done: list[str] = []

    def build(_: str) -> None:
        done.append("built")
        raise APIError("400", explanation="network cutover-refused is ambiguous")

    monkeypatch.setattr(twin, "containers", list)
    monkeypatch.setattr(twin, "_remove", lambda: done.append("removed"))
    monkeypatch.setattr(twin, "_build", build)
    with quiet(), pytest.raises(CutoverError, match=r"twin refused: .* ambiguous.*make down"):
        twin.up("image")
    assert done == ["removed", "built", "removed"]
