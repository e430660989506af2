"""Stack files that must turn the audit red, against the inventory of a standing cluster."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fixtures import folders
from fixtures.cluster.cluster import Cluster
from fixtures.stacks import catalogue
from tests.twin.conftest import Outcome

FEATURE = "features/audit/before_deployment.feature"
CRITERION = "the audit of the stack files"
RunFeatures = Callable[..., Outcome]

BROKEN = """
services:
  db:
    image: postgres:latest
    environment:
      POSTGRES_REPLICATION_MODE: slave
      POSTGRES_PASSWORD: not-to-be-shown
    volumes: ["data:/var/lib/postgresql/data"]
    networks: [database]
    deploy:
      placement:
        constraints: [node.hostname == hppavilion]
      resources:
        limits: {memory: 40G}
  copies:
    image: example/jobs:1
    command: ["sh", "-c", "cp /data/dump.rdb /tmp/x && rsync -a --delete /etc/ host:/x/"]
    networks: [missing]
    deploy:
      placement:
        constraints: [node.labels.tier == gone]
networks:
  database: {}
volumes:
  data:
"""
RULES = (
    "pinned-local-volume", "no-health-check", "no-update-order", "limits-above-memory",
    "undeclared", "plaintext-secret", "unknown-variable", "floating-tag", "mirror-deletes",
    "copies-unmounted", "unencrypted-overlay", "no-matching-node", "single-replica", "short-stop",
)  # fmt: skip


@pytest.fixture
def with_stacks(cluster: Cluster, tmp_path: Path) -> Callable[..., Path]:
    """Return what writes the twin's inventory with an `audit` of these entries."""

    def write(**audit: object) -> Path:
        folder = folders.cluster_folder(cluster.name)
        inventory = yaml.safe_load((folder / "inventory.yml").read_text())
        if audit:
            inventory["audit"] = audit
        path = tmp_path / "inventory.yml"
        path.write_text(yaml.safe_dump(inventory))
        return path

    return write


def test_a_stack_that_breaks_everything(
    run_features: RunFeatures, with_stacks: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "shop.yml").write_text(textwrap.dedent(BROKEN))
    outcome = run_features(FEATURE, inventory=with_stacks(stacks=["shop.yml"]))
    assert outcome.status == 1
    assert outcome.verdicts(CRITERION) == ["missed"]
    reason = outcome.reason(CRITERION)
    assert [rule for rule in RULES if f"[{rule}]" not in reason] == []
    assert "shop.yml:7: error: [plaintext-secret] shop/db" in reason
    assert "not-to-be-shown" not in outcome.output + reason
    assert outcome.verdicts("what runs was audited") == ["missed"], "none of it is deployed there"


def test_our_own_edge_without_its_written_reason(
    run_features: RunFeatures, with_stacks: Callable[..., Path], tmp_path: Path
) -> None:
    """The same stack is green with a reason, and red without it: so the reason is what counts."""
    (tmp_path / "edge.yml").write_text(catalogue.stack_text("edge"))
    values = "HAPROXY_IMAGE=haproxy:3.0\nCUTOVER_CONFIG_HAPROXY=haproxy\n"
    (tmp_path / "env").write_text(values)
    reason = "{rule: single-replica, for: [edge/edge], reason: The plan has one edge.}"
    (tmp_path / "reasons.yml").write_text(f"exceptions: [{reason}]\n")
    stacks = {"stacks": ["edge.yml"], "variables": "env"}
    red = run_features(FEATURE, inventory=with_stacks(**stacks))
    green = run_features(FEATURE, inventory=with_stacks(**stacks, exceptions="reasons.yml"))
    assert red.verdicts(CRITERION) == ["missed"]
    assert "[single-replica] edge/edge" in red.reason(CRITERION)
    assert green.verdicts(CRITERION) == ["met"]


def test_servers_whose_stack_files_nobody_named(
    run_features: RunFeatures, with_stacks: Callable[..., Path]
) -> None:
    outcome = run_features(FEATURE, inventory=with_stacks())
    assert {each["verdict"] for each in outcome.signoff["criteria"]} == {"unproven"}
