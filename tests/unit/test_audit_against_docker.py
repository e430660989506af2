"""Stack files are read as Docker reads them: held against `docker stack config` of this machine."""

from __future__ import annotations

import functools
import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from tests.unit.audit_builders import DATABASE, PLAN, WEB
from tests.unit.test_audit_reading import ANCHORS
from verify.audit import ours
from verify.audit.stack import Service, parse
from verify.audit.words import split


@functools.cache
def can() -> bool:
    """Whether there is a client that knows the command, new ones do; no engine is needed."""
    asked = ["docker", "stack", "config", "--help"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not can(), reason="no docker client with `stack config`")


def docker(text: str, variables: Mapping[str, str], folder: Path) -> dict[str, Any] | str:
    """The services as Docker reads them, or what it says instead."""
    path = folder / "stack.yml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["docker", "stack", "config", "-c", str(path)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
        timeout=30,
        check=False,
    )
    if done.returncode:
        return done.stderr
    services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return services


def read(service: Service) -> dict[str, Any]:
    environment = {
        name: None if service.passed_on(name) else entry.text
        for name, entry in service.environment.items()
    }
    return {
        "image": service.text("image"),
        "environment": environment,
        "ports": [(p.published, p.target, p.protocol, p.mode) for p in service.ports],
        "volumes": [(m.kind, m.source, m.target, m.read_only) for m in service.mounts],
        "secrets": [use.name for use in service.uses("secrets")],
        "networks": sorted(use.name for use in service.uses("networks")),
        "constraints": [entry.text for entry in service.constraints],
        "limits": service.memory("limits"),
        "reservations": service.memory("reservations"),
        "order": service.text("deploy.update_config.order"),
        "replicas": service.replicas if service.get("deploy.replicas") else None,
        "command": split_of(service),
    }


def split_of(service: Service) -> list[str] | None:
    found = dict(service.commands).get("command")
    if found is None:
        return None
    return split(found.at.text) if found.is_text else [e.text for e in found.at.list()]


def as_docker(service: dict[str, Any]) -> dict[str, Any]:
    deploy = service.get("deploy") or {}
    memory = {
        kind: int(found["memory"]) if "memory" in (found := resources) else None
        for kind in ("limits", "reservations")
        for resources in [(deploy.get("resources") or {}).get(kind, {})]
    }
    environment = service.get("environment") or {}
    return {
        "image": service["image"],
        "environment": {k: None if v is None else str(v) for k, v in environment.items()},
        "ports": [
            (p.get("published"), p["target"], p["protocol"], p["mode"])
            for p in service.get("ports", [])
        ],
        "volumes": [
            (m["type"], m.get("source", ""), m["target"], m.get("read_only", False))
            for m in service.get("volumes", [])
        ],
        "secrets": [use["source"] for use in service.get("secrets", [])],
        "networks": sorted(service.get("networks") or []),
        "constraints": (deploy.get("placement") or {}).get("constraints", []),
        **memory,
        "order": (deploy.get("update_config") or {}).get("order", ""),
        "replicas": deploy.get("replicas"),
        "command": service.get("command"),
    }


def same(text: str, variables: Mapping[str, str], folder: Path) -> None:
    theirs = docker(text, variables, folder)
    assert isinstance(theirs, dict), theirs
    mine = {s.name: read(s) for s in parse(text, variables, name="x", source="x").services}
    assert mine == {name: as_docker(service) for name, service in theirs.items()}


@pytest.mark.parametrize("name", ours.names())
def test_our_own_stacks(name: str, tmp_path: Path) -> None:
    environment = Settings(images=ours.IMAGES).environment()
    same(catalogue.stack_text(name), {**environment, **ours.further(name)}, tmp_path)


@pytest.mark.parametrize("text", [WEB, DATABASE, ANCHORS], ids=["web", "database", "anchors"])
def test_forms_and_anchors(text: str, tmp_path: Path) -> None:
    same(text, {}, tmp_path)


@pytest.mark.parametrize("name", ["postgres-primary", "pgbouncer", "patroni"])
def test_the_plan_s_files_that_docker_reads(name: str, tmp_path: Path) -> None:
    same((PLAN / f"{name}.yml").read_text(), {}, tmp_path)


@pytest.mark.parametrize("name", ["postgres-replica", "backup-stack"])
def test_the_plan_s_files_that_docker_refuses(name: str, tmp_path: Path) -> None:
    said = docker((PLAN / f"{name}.yml").read_text(), {}, tmp_path)
    assert isinstance(said, str)
    assert "invalid interpolation format" in said


def test_the_plan_s_mirror_falls_apart_in_docker_too(tmp_path: Path) -> None:
    services = docker((PLAN / "gitlab-github-mirror-stack.yml").read_text(), {}, tmp_path)
    assert isinstance(services, dict)
    command = services["gitlab-mirror"]["command"]
    assert command[2].endswith('"PRIVATE-TOKEN: \\')
    assert "|" in command


def test_commands_are_split_as_docker_splits_them(tmp_path: Path) -> None:
    chance = random.Random(5)
    texts = {}
    for number in range(300):
        text = "a" + "".join(chance.choice("ab  '\"\\#;&|") for _ in range(chance.randint(1, 18)))
        try:
            texts[f"s{number}"] = (text, split(text))
        except ValueError:
            continue
    stack = {"services": {n: {"image": "x:1", "command": text} for n, (text, _) in texts.items()}}
    services = docker(yaml.safe_dump(stack), {}, tmp_path)
    assert isinstance(services, dict)
    assert {n: words for n, (_, words) in texts.items()} == {
        n: service["command"] for n, service in services.items()
    }
    assert len(texts) > 100
