"""Choosing the engine that Docker's own client would use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.engine import install, locate
from fixtures.errors import CutoverError


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(locate, "_DEFAULT_SOCKET", f"unix://{tmp_path}/docker.sock")


def test_without_any_engine_there_is_none() -> None:
    assert locate.answering_engine() is None


def test_a_named_engine_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(CutoverError, match=r"^DOCKER_HOST: no Docker engine answers"):
        locate.answering_engine()


def test_an_engine_elsewhere_is_refused_without_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(CutoverError, match="not on this machine"):
        locate.answering_engine()


def test_a_context_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    with pytest.raises(CutoverError, match="no Docker context 'elsewhere'"):
        locate.answering_engine()


def test_a_socket_that_nobody_asked_for_may_be_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker.sock").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert locate.answering_engine() is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CutoverError, match="no Docker engine answers"):
        locate.answering_engine()


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("20.10.24+dfsg1", (20, 10)), ("28.3.0-rc.1", (28, 3)), ("dev", (0,)), ("", (0,))],
)
def test_versions(version: str, numbers: tuple[int, ...]) -> None:
    assert locate.version_numbers(version) == numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="13"', True),
        ('ID="linuxmint"\nID_LIKE="ubuntu debian"', True),
        ("ID=fedora\nID_LIKE='rhel'", False),
        ("", False),
    ],
)
def test_where_packages_can_be_installed(text: str, expected: bool) -> None:
    assert install.is_debian_like(text) is expected
