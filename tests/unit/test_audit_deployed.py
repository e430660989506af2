"""Which stack files are judged for a cluster: ours for a twin, the inventory's for servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.inventory import Inventory, dump_inventory, load_inventory
from fixtures.errors import CannotProve, CutoverError
from fixtures.stacks.deploy import Settings
from tests.unit.audit_builders import INVENTORY, WEB, changed
from verify.audit import deployed, ours
from verify.audit.rule import Level


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "known_hosts").write_text("")
    (tmp_path / "web.yml").write_text(WEB)
    return tmp_path


def inventory(folder: Path, text: str = "") -> Inventory:
    path = folder / "inventory.yml"
    path.write_text(INVENTORY.read_text() + text)
    return load_inventory(path)


def open_(inventory: Inventory, settings: Settings | None = None) -> list[str]:
    result = deployed.audited(inventory, "inventory.yml", settings)
    return deployed.problems(result, Level.WARNING)


def test_servers_of_whose_stacks_nothing_is_known(folder: Path) -> None:
    with pytest.raises(CannotProve, match=r"audit\.stacks"):
        open_(inventory(folder))


def test_the_inventory_s_files_are_relative_to_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "one.yml").write_text(changed(WEB, {"deploy.replicas": "${N}"}))
    (folder / "env").write_text("N=1\n")
    audit = "audit: {stacks: [web.yml, sub/one.yml], variables: env"
    both = open_(inventory(folder, audit + "}\n"))
    told = sorted(line.partition("[")[2].partition("]")[0] for line in both)
    assert told == ["port-collision", "single-replica"]
    reasons = "exceptions:\n- {rule: single-replica, for: [one/web], reason: It is a test.}\n"
    reasons += "- {rule: port-collision, for: [one/web], reason: It is a test.}\n"
    (folder / "reasons.yml").write_text(reasons)
    assert open_(inventory(folder, audit + ", exceptions: reasons.yml}\n")) == []


def test_our_own_stacks_are_judged_with_the_settings_of_the_run(folder: Path) -> None:
    plain = {"images": ours.IMAGES, "endpoint_mode": "dnsrr", "port_mode": "host"}
    assert open_(inventory(folder), Settings(**plain, memory_divisor=8.0)) == []  # type: ignore[arg-type]
    wrong: dict[str, Any] = {**plain, "primary_node": "nowhere"}
    assert "[no-matching-node] data/gibd-postgres" in "\n".join(
        open_(inventory(folder), Settings(**wrong))
    )


def test_the_settings_memory_is_the_plan_s_as_the_servers_is(folder: Path) -> None:
    """A node of 1 GB holds nothing of the plan, whatever a twin divides."""
    small = inventory(folder)
    node = small.nodes["hppavilion"].model_copy(update={"memory": "1G"})
    small = small.model_copy(update={"nodes": {**small.nodes, "hppavilion": node}})
    told = "\n".join(open_(small, Settings(images=ours.IMAGES, memory_divisor=8.0)))
    assert "[reserved-above-memory] hppavilion" in told


def test_an_inventory_with_audit_and_memory_is_written_as_it_is_read(folder: Path) -> None:
    read = inventory(folder, "audit: {stacks: [web.yml]}\n")
    (folder / "again.yml").write_text(dump_inventory(read))
    assert load_inventory(folder / "again.yml") == read


@pytest.mark.parametrize("audit", ["audit: {stacks: []}", "audit: {}", "audit: {stack: [a]}"])
def test_an_audit_without_files_is_bad_input(folder: Path, audit: str) -> None:
    with pytest.raises(CutoverError, match=r"audit\.stack"):
        inventory(folder, audit + "\n")
