"""Which processes and mounts are the private engine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.engine import places, processes
from fixtures.engine.host import mounts_below

FOLDERS = (Path("/s/engine"), Path("/c/engine"))


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("dockerd --data-root=/c/engine --exec-root=/s/engine/exec", True),
        ("/usr/bin/dockerd --data-root /c/engine", True),
        ("containerd --config /s/engine/exec/containerd/containerd.toml", True),
        ("/usr/bin/containerd-shim-runc-v2 -id 1 -address /s/engine/exec/containerd/c.sock", True),
        ("dockerd --data-root=/c/engine2", False),
        ("dockerd", False),
        ("tail -f /s/engine/dockerd.log", False),
        ("", False),
    ],
)
def test_a_program_is_ours_when_it_names_our_folders(line: str, ours: bool) -> None:
    assert processes.names_folder(line.split() or [""], FOLDERS) is ours


def test_descendants_come_with_their_roots() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert processes.with_descendants(parents, {10}) == {10, 11, 12}
    assert processes.with_descendants(parents, set()) == set()


def test_a_pidfile_that_names_another_process_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "run_folder", lambda: tmp_path)
    assert processes.daemon() is None
    for content in ("1", "4194305", "", "x"):
        places.pid_file().write_text(content)
        assert processes.daemon() is None


def test_mounts_come_innermost_first_and_only_ours() -> None:
    mounts = "\n".join(
        f"none {point} overlay rw 0 0"
        for point in ("/", "/c/engine", "/c/engine/o/m", "/c/engine2", r"/c/engine/with\040space")
    )
    assert mounts_below(Path("/c/engine"), mounts) == [
        "/c/engine/with space",
        "/c/engine/o/m",
        "/c/engine",
    ]


def test_sockets_fit_whatever_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", f"/tmp/{'x' * 150}")
    assert len(str(places.exec_root() / "containerd/containerd-debug.sock")) <= 107
    one = places.run_folder()
    monkeypatch.setenv("XDG_STATE_HOME", f"/tmp/{'y' * 150}")
    assert places.run_folder() != one
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/short")
    assert places.run_folder() == Path("/tmp/short/cutover/engine")
