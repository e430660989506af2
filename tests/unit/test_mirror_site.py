"""Where the hosts are, by the inventory, and what is handed to git."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from fixtures.cluster.inventory import GitMirror, load_inventory
from fixtures.errors import CannotProve, CutoverError
from verify.mirror.changes import Probe, probe_of
from verify.mirror.refs import Refs, Unread
from verify.mirror.site import Site, site_of

MIRROR: dict[str, Any] = {
    "gitlab": "http://gitlab.example.com",
    "gitlab_service": "gitlab_gitlab",
    "gitlab_token": "gitlab.token",
    "destination": "https://github.example/org",
    "destination_token": "github.token",
    "git_in": "gitlab_gitlab-runner",
}


def loaded(folder: Path, **mirror: Any) -> GitMirror:
    (folder / "known_hosts").touch()
    for name in ("gitlab", "github"):
        (folder / f"{name}.token").write_text(f"{name}-secret\n")
    inventory = {
        "cluster": "shop",
        "known_hosts": "known_hosts",
        "nodes": {"m1": {"address": "192.0.2.1", "role": "manager"}},
        "mirror": {**MIRROR, **mirror},
    }
    path = folder / "shop.yml"
    path.write_text(yaml.safe_dump(inventory))
    found = load_inventory(path).mirror
    assert found is not None
    return found


def of(entry: GitMirror | None) -> Site:
    return site_of(MagicMock(is_twin=False, inventory=MagicMock(mirror=entry)))


def test_servers_name_theirs_and_files_with_tokens(tmp_path: Path) -> None:
    site = of(loaded(tmp_path))
    assert site.delay == 300
    assert (site.gitlab_token, site.destination_token) == ("gitlab-secret", "github-secret")
    assert site.source_of("a/b/web") == "http://gitlab.example.com/a/b/web.git"
    assert site.copy_of("a/b/web") == "https://github.example/org/web.git"
    assert "secret" not in repr(site)


def test_each_host_gets_its_own_token(tmp_path: Path) -> None:
    config = of(loaded(tmp_path)).git_config()
    header = base64.b64encode(b"oauth2:github-secret").decode()
    assert f'[http "https://github.example"]\n\textraHeader = Authorization: Basic {header}' in (
        config
    )
    assert '[http "http://gitlab.example.com"]' in config
    assert config.count("extraHeader") == 2
    assert of(loaded(tmp_path, destination_token=None)).git_config().count("extraHeader") == 1


def test_what_servers_do_not_name_is_unproven(tmp_path: Path) -> None:
    with pytest.raises(CannotProve, match="names no git mirror"):
        of(None)
    site = of(loaded(tmp_path))
    with pytest.raises(CannotProve, match="names no project that may be pushed to"):
        probe_of(MagicMock(), site, "x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"gitlab": "http://user:pw@gitlab.example.com"},
        {"destination": "https://github.example"},
        {"delay": 0},
        {"gitlab_port": 0},
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(CutoverError, match=f"mirror.{next(iter(wrong))}"):
        loaded(tmp_path, **wrong)


class Watched(Probe):
    """A probe whose two sides are given."""

    sides: tuple[Refs | Unread, Refs | Unread] = ({}, {})

    def refs(self) -> tuple[Refs | Unread, Refs | Unread]:
        return self.sides


@pytest.mark.parametrize(
    ("copy", "told"),
    [
        ({}, "the mirror lacks main"),
        ({"refs/heads/main": "b"}, "has another commit at main"),
        ({"refs/heads/main": "a", "refs/heads/x-abc": "a"}, "still has refs/heads/x-abc"),
        (Unread("not found"), "cannot be read: not found"),
        ({"refs/heads/main": "a", "refs/heads/somebody-s": "a"}, ""),
    ],
)
def test_a_change_has_arrived_when_both_have_the_same(copy: Refs | Unread, told: str) -> None:
    probe = Watched(MagicMock(), MagicMock(), "g/x", "abc")
    probe.pushed = time.monotonic()
    probe.sides = {"refs/heads/main": "a"}, copy
    assert told in probe.arrival(0.01, "it").reason
    assert bool(probe.arrival(0.01, "it").reason) == bool(told)
