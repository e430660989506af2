from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from fixtures.stacks.validation import validate

SETTINGS = Settings(
    images={name: f"img/{name}" for name in ("web", "postgres", "pgbouncer", "redis", "haproxy")}
)
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?")


@functools.cache
def stack(name: str) -> dict[str, Any]:
    return validate(catalogue.stack_text(name), SETTINGS.environment(), source=name)


def described(entry: catalogue.Service) -> dict[str, Any]:
    services: dict[str, dict[str, Any]] = stack(entry.stack)["services"]
    return services[entry.name]


ENTRIES = pytest.mark.parametrize("entry", catalogue.SERVICES, ids=lambda entry: entry.name)
STACKS = pytest.mark.parametrize("name", catalogue.STACKS)


def test_the_table_names_every_service_of_every_file_and_no_other() -> None:
    in_files = {
        f"{name}_{service}" for name in catalogue.STACKS for service in stack(name)["services"]
    }
    assert in_files == {entry.full_name for entry in catalogue.SERVICES}


def test_every_stack_file_is_deployed() -> None:
    assert {path.stem for path in catalogue.FOLDER.glob("*.yml")} == set(catalogue.STACKS)


@ENTRIES
def test_networks_agree(entry: catalogue.Service) -> None:
    assert set(described(entry)["networks"]) == set(entry.networks)
    assert set(entry.networks) <= set(catalogue.NETWORKS)


@ENTRIES
def test_replicas_agree(entry: catalogue.Service) -> None:
    deploy = described(entry)["deploy"]
    assert entry.is_global == (deploy.get("mode") == "global")
    assert entry.is_global or deploy["replicas"] == entry.replicas


@ENTRIES
def test_only_services_without_a_home_node_may_move(entry: catalogue.Service) -> None:
    deploy = described(entry)["deploy"]
    constraints = deploy.get("placement", {}).get("constraints", [])
    pinned = any(constraint.startswith("node.hostname ==") for constraint in constraints)
    assert entry.movable == (not pinned and not entry.is_global)


@ENTRIES
def test_health_check_asks_the_port_and_path_of_the_table(entry: catalogue.Service) -> None:
    check = described(entry)["healthcheck"]
    if entry.protocol is catalogue.Protocol.NONE:
        assert check == {"disable": True}
        return
    command = " ".join(check["test"])
    if entry.protocol is catalogue.Protocol.HTTP:
        assert f"/dev/tcp/127.0.0.1/{entry.port} " in command
        assert f"GET {entry.health_path} HTTP/1.0\\r\\n" in command
    assert check["start_interval"] == "1s", "part of every recovery time"


@ENTRIES
def test_every_service_is_bounded_labelled_and_restarted(entry: catalogue.Service) -> None:
    service = described(entry)
    deploy = service["deploy"]
    assert deploy["labels"] == {catalogue.STACK_LABEL: entry.stack}
    assert deploy["restart_policy"]["condition"] == "any"
    assert deploy["restart_policy"]["delay"] in {"2s", "5s"}
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert deploy["resources"]["limits"]["memory"]
    assert deploy["resources"]["reservations"]["memory"]
    assert service["stop_grace_period"]


@ENTRIES
def test_no_two_servers_on_one_volume(entry: catalogue.Service) -> None:
    service = described(entry)
    if "volumes" in service:
        assert service["deploy"]["update_config"]["order"] == "stop-first"


@STACKS
def test_networks_secrets_and_configs_are_made_beforehand(name: str) -> None:
    parsed = stack(name)
    for kind, known in (("networks", catalogue.NETWORKS), ("secrets", catalogue.SECRETS)):
        for declared, details in (parsed.get(kind) or {}).items():
            assert declared in known
            assert details == {"external": True}
    for details in (parsed.get("configs") or {}).values():
        assert details["external"] is True


@STACKS
def test_version_is_one_that_stack_deploy_knows(name: str) -> None:
    assert yaml.safe_load(catalogue.stack_text(name))["version"] in ("3.8", "3.12")


@pytest.mark.parametrize("name", [*catalogue.STACKS, *catalogue.ON_DEMAND])
def test_defaults_are_the_plans_memory(name: str) -> None:
    own = catalogue.ON_DEMAND[name].memory_mb if name in catalogue.ON_DEMAND else {}
    plan = {**catalogue.PLAN_MEMORY_MB, **own}
    for variable, default in VARIABLE.findall(catalogue.stack_text(name)):
        if variable.endswith("_MB"):
            assert default == str(plan[variable]), variable


def test_every_variable_of_the_settings_is_used_by_a_stack() -> None:
    def used(names: Iterable[str]) -> set[str]:
        texts = [catalogue.stack_text(name) for name in names]
        return {variable for text in texts for variable, _ in VARIABLE.findall(text)}

    settings = set(SETTINGS.environment())
    assert used(catalogue.STACKS) <= settings
    assert settings <= used((*catalogue.STACKS, *catalogue.ON_DEMAND))


def test_images_have_no_default() -> None:
    for name in catalogue.STACKS:
        for service in yaml.safe_load(catalogue.stack_text(name))["services"].values():
            assert re.fullmatch(r"\$\{\w+_IMAGE:\?.+\}", service["image"])


def test_passwords_reach_services_through_secrets_only() -> None:
    for entry in catalogue.SERVICES:
        service = described(entry)
        for name, value in (service.get("environment") or {}).items():
            if "PASSWORD" in name:
                assert name.endswith("_FILE")
                assert value.startswith("/run/secrets/")
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_edge_template_has_room_for_the_tasks_of_an_update() -> None:
    config = catalogue.config_content("haproxy.cfg").decode()
    slots = dict(re.findall(r"server-template \w+ (\d+) tasks\.([\w-]+):8080", config))
    assert {
        name: int(count) >= 2 * catalogue.service(name).replicas for count, name in slots.items()
    } == {
        "ws-gateway": True,
        "canary": True,
    }


def test_the_servers_of_a_pair_know_each_other_and_one_database() -> None:
    for name, database in catalogue.DATABASES.items():
        here = described(catalogue.service(name))["environment"]
        there = described(catalogue.service(here["PEER"]))["environment"]
        assert (here["SELF"], here["PEER"]) == (name, there["SELF"])
        assert {here["FIRST_ROLE"], there["FIRST_ROLE"]} == {"primary", "replica"}
        assert here["POSTGRES_DB"] == there["POSTGRES_DB"] == database
        assert here["FIRST_ROLE"] == ("replica" if name.endswith("-replica") else "primary")


def test_every_postgres_server_can_lead() -> None:
    for name in catalogue.DATABASES:
        assert {"postgres_password", "replication_password"} <= set(
            described(catalogue.service(name))["secrets"]
        )


def test_unknown_service_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        catalogue.service("nobody")
