"""The inventory: what it takes, what it refuses, and in which words."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures import waiting
from fixtures.cluster.cluster import Cluster, NoControlPlane
from fixtures.cluster.inventory import (
    Kind,
    Role,
    check_files,
    dump_inventory,
    load_inventory,
)
from fixtures.cluster.power import CommandPower
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, Unreachable
from fixtures.yaml_file import UniqueKeys
from tests.unit.builders import Clock, nodes, snapshot
from tests.unit.chaos_builders import quiet

GOOD: dict[str, Any] = {
    "cluster": "shop",
    "known_hosts": "known_hosts",
    "nodes": {
        "m1": {"address": "192.0.2.1", "role": "manager", "identity_file": "id_ed25519"},
        "w1": {"address": "192.0.2.2", "role": "worker", "labels": {"tier": "core"}},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "known_hosts").write_text("")
    return tmp_path


def written(folder: Path, data: Any) -> Path:
    path = folder / "shop.yml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def changed(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def with_node(**fields: Any) -> dict[str, Any]:
    """The good inventory with fields of m1 changed; None removes one."""
    m1 = {k: v for k, v in {**GOOD["nodes"]["m1"], **fields}.items() if v is not None}
    return changed(nodes={**GOOD["nodes"], "m1": m1})


def refusal(folder: Path, data: Any) -> str:
    with pytest.raises(CutoverError) as caught:
        load_inventory(written(folder, data))
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_complete_inventory_is_read(folder: Path) -> None:
    inventory = load_inventory(written(folder, GOOD))
    assert inventory.cluster == "shop"
    assert inventory.managers() == ["m1"]
    assert inventory.nodes["w1"].role is Role.WORKER
    assert inventory.nodes["w1"].labels == {"tier": "core"}
    assert inventory.nodes["m1"].ssh_port == 22


def test_a_cluster_is_somebodys_servers_unless_it_says_twin(folder: Path) -> None:
    assert load_inventory(written(folder, GOOD)).kind is Kind.SERVERS
    assert load_inventory(written(folder, changed(kind="twin"))).kind is Kind.TWIN


def test_files_are_relative_to_the_inventory(folder: Path) -> None:
    inventory = load_inventory(written(folder, GOOD))
    assert inventory.known_hosts == folder / "known_hosts"
    assert inventory.nodes["m1"].identity_file == folder / "id_ed25519"
    assert inventory.nodes["w1"].identity_file is None


def test_files_may_be_given_from_the_home_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    inventory = load_inventory(written(folder, with_node(identity_file="~/.ssh/key")))
    assert inventory.nodes["m1"].identity_file == folder / "home" / ".ssh" / "key"


def test_what_is_dumped_is_read_back_the_same(folder: Path) -> None:
    inventory = load_inventory(written(folder, with_node(entry="http://127.0.0.1:8080")))
    again = load_inventory(written(folder, dump_inventory(inventory)))
    assert again == inventory


def test_the_inventory_that_the_page_shows_is_read(folder: Path) -> None:
    page = Path(__file__).parents[2].joinpath("docs/real-servers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)
    (shown,) = [block for block in blocks if block.lstrip().startswith("cluster:")]
    inventory = load_inventory(written(folder, textwrap.dedent(shown)))
    power = inventory.nodes["gmktec"].power
    assert power is not None
    assert power.on.endswith("power on")
    assert power.off.endswith("power off")


def test_on_and_off_are_fields_and_true_is_still_a_switch(folder: Path) -> None:
    text = "{a: on, b: No, c: true, d: FALSE, off: x}"
    data = yaml.load(text, Loader=UniqueKeys)
    assert data == {"a": "on", "b": "No", "c": True, "d": False, "off": "x"}
    assert yaml.safe_load("on") is True, "PyYAML's own loader is as it was"


def test_a_file_that_is_not_there_is_named_with_its_field(folder: Path) -> None:
    data = with_node(identity_file="none") | {"audit": {"stacks": ["shop-stack.yml"]}}
    path = written(folder, data)
    inventory = load_inventory(path)
    with pytest.raises(CutoverError) as caught:
        check_files(path, inventory)
    assert f"nodes.m1.identity_file: there is no file {folder / 'none'}" in str(caught.value)
    assert "audit.stacks.0: " in str(caught.value)
    (folder / "none").touch()
    (folder / "shop-stack.yml").touch()
    check_files(path, inventory)


def test_a_dumped_power_command_is_read_back(folder: Path) -> None:
    power = {"off": "ipmitool power off", "on": "ipmitool power on"}
    inventory = load_inventory(written(folder, with_node(power=power)))
    again = load_inventory(written(folder, dump_inventory(inventory)))
    assert again.nodes["m1"].power == inventory.nodes["m1"].power


@pytest.mark.parametrize(
    ("data", "field"),
    [
        pytest.param(changed(cluster="Shop 1"), "cluster: ", id="cluster name"),
        pytest.param(changed(kind="toy"), "kind: ", id="unknown kind"),
        pytest.param(changed(nodes={}), "nodes: ", id="no nodes"),
        pytest.param(changed(colour="red"), "colour: ", id="unknown field"),
        pytest.param(
            {k: v for k, v in GOOD.items() if k != "known_hosts"},
            "known_hosts: ",
            id="host keys not named",
        ),
        pytest.param(with_node(address=""), "nodes.m1.address: ", id="empty address"),
        pytest.param(with_node(address=None), "nodes.m1.address: ", id="no address"),
        pytest.param(with_node(role=None), "nodes.m1.role: is missing", id="no role"),
        pytest.param(with_node(role="boss"), "nodes.m1.role: ", id="unknown role"),
        pytest.param(with_node(ssh_port=0), "nodes.m1.ssh_port: ", id="port too small"),
        pytest.param(with_node(ssh_port=65536), "nodes.m1.ssh_port: ", id="port too great"),
        pytest.param(
            with_node(shh_port=22), "nodes.m1.shh_port: there is no such", id="misspelt field"
        ),
        pytest.param(
            with_node(labels={"a": True}), "nodes.m1.labels.a: must be text", id="label not a text"
        ),
        pytest.param(with_node(entry="127.0.0.1:80"), "nodes.m1.entry: must start", id="entry"),
        pytest.param(with_node(power={"off": "x"}), "nodes.m1.power.on: ", id="half a power"),
        pytest.param(with_node(power={"off": "", "on": "x"}), "nodes.m1.power.off: ", id="no off"),
        pytest.param(with_node(power={"off": "x", "on": ""}), "nodes.m1.power.on: ", id="no on"),
        pytest.param(
            with_node(role="worker"), "nodes: at least one must have role: manager", id="no manager"
        ),
        pytest.param(
            with_node(address="192.0.2.2"),
            "nodes: m1 and w1 have the same address and ssh_port",
            id="two nodes behind one door",
        ),
        pytest.param("", "must be a mapping", id="empty file"),
        pytest.param("- a\n- b\n", "must be a mapping", id="a list"),
        pytest.param("cluster: [", "is not YAML", id="broken YAML"),
    ],
)
def test_bad_input_is_refused_naming_file_and_field(folder: Path, data: Any, field: str) -> None:
    message = refusal(folder, data)
    assert message.startswith(f"{folder / 'shop.yml'}: ")
    assert field in message


def test_a_key_that_is_a_list_is_refused(folder: Path) -> None:
    refusal(folder, "? [a]\n: b\n")


def test_all_problems_are_said_at_once(folder: Path) -> None:
    message = refusal(folder, with_node(role="boss", ssh_port=0))
    assert "nodes.m1.role: " in message
    assert "nodes.m1.ssh_port: " in message


def test_when_no_manager_answers_there_is_a_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    inventory = load_inventory(written(folder, GOOD))

    def refuse(*_: object) -> None:
        raise Unreachable("no ssh connection", where="node m1", remedy="Try: ssh -F it m1")

    with Cluster(inventory, CommandPower(inventory)) as cluster:
        monkeypatch.setattr(cluster.nodes["m1"], "ask", refuse)
        with pytest.raises(NoControlPlane, match=r"m1: no ssh connection\. Try: ssh -F it m1"):
            cluster.snapshot()


def test_a_leader_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "time", Clock())
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    inventory = load_inventory(written(folder, GOOD))
    led = snapshot()
    answers = iter([NoControlPlane("no quorum"), snapshot(nodes(m1={"leader": False})), led])

    def asked(**_: object) -> Snapshot:
        answer = next(answers)
        if isinstance(answer, NoControlPlane):
            raise answer
        return answer

    with quiet(), Cluster(inventory, CommandPower(inventory)) as cluster:
        monkeypatch.setattr(cluster, "snapshot", asked)
        assert cluster.led() is led


@pytest.mark.parametrize("port", [1, 65535])
def test_every_port_that_exists_is_taken(folder: Path, port: int) -> None:
    assert load_inventory(written(folder, with_node(ssh_port=port))).nodes["m1"].ssh_port == port


def test_one_manager_alone_is_a_cluster(folder: Path) -> None:
    alone = changed(nodes={"m1": GOOD["nodes"]["m1"]})
    assert load_inventory(written(folder, alone)).managers() == ["m1"]


def test_two_nodes_may_share_an_address_on_different_ports(folder: Path) -> None:
    data = with_node(address="192.0.2.2", ssh_port=2222)
    assert set(load_inventory(written(folder, data)).nodes) == {"m1", "w1"}


@pytest.mark.parametrize("name", ["absent.yml", "."])
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str) -> None:
    with pytest.raises(CutoverError, match="cannot be read") as caught:
        load_inventory(folder / name)
    assert str(folder) in caught.value.where
    assert caught.value.remedy == "Check the path."


def test_missing_host_keys_are_refused_with_how_to_collect_them(folder: Path) -> None:
    message = refusal(folder, changed(known_hosts="absent"))
    assert f"known_hosts: there is no file {folder / 'absent'}" in message
    assert "ssh-keyscan" in message


def test_missing_host_keys_name_the_inventory_file(folder: Path) -> None:
    assert str(folder / "shop.yml") in refusal(folder, changed(known_hosts="absent"))


def test_a_file_that_is_not_text_is_refused(folder: Path) -> None:
    path = folder / "shop.yml"
    path.write_bytes(b"cluster: \xff\xfe")
    with pytest.raises(CutoverError, match=r"shop\.yml"):
        load_inventory(path)


def test_a_node_given_twice_is_refused(folder: Path) -> None:
    text = yaml.safe_dump(GOOD) + "  m1:\n    address: 192.0.2.9\n    role: manager\n"
    assert "m1" in refusal(folder, text)


@pytest.mark.parametrize("name", ["*", "a b", "../m1", "m1\n  ProxyCommand id"])
def test_a_node_name_that_no_host_can_have_is_refused(folder: Path, name: str) -> None:
    refusal(folder, changed(nodes={**GOOD["nodes"], name: {"address": "x", "role": "worker"}}))


@pytest.mark.parametrize("command", [" ", 'ipmitool "power'])
def test_a_power_command_that_cannot_be_split_is_refused(folder: Path, command: str) -> None:
    message = refusal(folder, with_node(power={"off": command, "on": "x"}))
    assert "nodes.m1.power.off" in message


BACKUPS: dict[str, Any] = {
    "node": "m1",
    "path": "/mnt/data/backups",
    "host": {"address": "192.0.2.9", "identity_file": "key", "path": "/backup/shop"},
}


def test_backups_name_a_node_and_a_host_outside_the_swarm(folder: Path) -> None:
    inventory = load_inventory(written(folder, changed(backups=BACKUPS)))
    assert inventory.backups is not None
    assert inventory.backups.host is not None
    assert inventory.backups.host.identity_file == folder / "key"
    assert list(inventory.hosts()) == ["m1", "w1", "backup-host"]
    assert "backup-host" not in inventory.nodes


def test_it_says_since_when_backups_are_taken(folder: Path) -> None:
    told = changed(backups={**BACKUPS, "since": "2025-01-15"})
    backups = load_inventory(written(folder, told)).backups
    assert backups is not None
    assert backups.since == date(2025, 1, 15)


@pytest.mark.parametrize(
    ("backups", "field"),
    [
        ({**BACKUPS, "node": "m9"}, "backups.node"),
        ({**BACKUPS, "path": "relative"}, "backups.path"),
        ({**BACKUPS, "since": "long ago"}, "backups.since"),
        ({**BACKUPS, "host": {**BACKUPS["host"], "name": "m1"}}, "backups.host.name"),
        ({**BACKUPS, "host": {**BACKUPS["host"], "address": "192.0.2.1"}}, "backup-host"),
    ],
)
def test_bad_backups_are_refused(folder: Path, backups: Any, field: str) -> None:
    assert field in refusal(folder, changed(backups=backups))
