from __future__ import annotations

import re
from typing import Any

import pytest

from fixtures.cluster.deployment import MEMORY_DIVISOR
from fixtures.images import recipes
from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from fixtures.stacks.validation import validate

SETTINGS = Settings(images={name: f"img/{name}" for name in catalogue.IMAGES.values()})
BACKUP_HOST = {
    "CUTOVER_BACKUP_REMOTE": "backups@backup-host",
    "CUTOVER_BACKUP_PATH": "/srv/backups/cutover",
    "CUTOVER_BACKUP_HOST_KEY": "ssh-ed25519 AAAA",
    "CUTOVER_BACKUP_HOST_ADDRESS": "198.18.0.44",
}


def stack(name: str, settings: Settings = SETTINGS) -> dict[str, Any]:
    wanted = catalogue.ON_DEMAND[name]
    text = catalogue.stack_text(name)
    environment = {
        **settings.environment(),
        **settings.memory(text),
        **BACKUP_HOST,
        **dict.fromkeys(wanted.images, "an image"),
        **dict.fromkeys((*wanted.configs, *wanted.made), "a config"),
        **{variable: str(plan) for variable, plan in wanted.memory_mb.items()},
        **wanted.variables,
    }
    return validate(text, environment, source=name)


def test_every_file_is_in_the_table_and_the_other_way_round() -> None:
    files = (catalogue.FOLDER / "on_demand").glob("*.yml")
    assert {path.stem for path in files} == set(catalogue.ON_DEMAND)
    assert not set(catalogue.ON_DEMAND) & set(catalogue.STACKS)


@pytest.mark.parametrize("name", catalogue.ON_DEMAND)
def test_services_are_ours_and_use_only_what_is_made_for_them(name: str) -> None:
    described = stack(name)
    secrets = {*catalogue.SECRETS, *catalogue.ON_DEMAND[name].secrets}
    assert set(described.get("secrets", ())) <= secrets
    assert set(described["networks"]) <= {*catalogue.NETWORKS, *catalogue.ON_DEMAND[name].networks}
    for service in described["services"].values():
        assert service["deploy"]["labels"]["cutover.stack"] == name


@pytest.mark.parametrize("name", catalogue.ON_DEMAND)
def test_its_images_have_recipes(name: str) -> None:
    for image in catalogue.ON_DEMAND[name].images.values():
        assert recipes.tag(image)


def test_backups_are_scheduled_as_the_plan_says() -> None:
    services = stack("backups")["services"]
    schedules = {name: one["environment"]["SCHEDULE"] for name, one in services.items()}
    assert schedules == {
        "postgres-backup": "@daily",
        "postgres-general-backup": "@daily",
        "redis-backup": "@hourly",
        "volume-backup": "0 3 * * sun",
        "remote-backup": "0 4 * * *",
    }
    kept = services["postgres-backup"]["environment"]
    assert [kept[f"BACKUP_KEEP_{unit}"] for unit in ("DAYS", "WEEKS", "MONTHS")] == ["7", "4", "6"]


def test_every_stack_is_the_plan_s_or_another_way() -> None:
    """A stack that nobody put into the plan's list would be in no count."""
    kinds = (*catalogue.PLAN, *catalogue.APART, *catalogue.ALTERNATIVES)
    assert set(catalogue.ON_DEMAND) == set(kinds)
    assert len(kinds) == len(set(kinds))


OF_THE_PLAN = pytest.mark.parametrize("name", catalogue.PLAN)
BUT_BACKUPS = pytest.mark.parametrize("name", [n for n in catalogue.PLAN if n != "backups"])


@OF_THE_PLAN
def test_the_plan_s_memory_is_in_the_file(name: str) -> None:
    """The figure in a variable's name is the default, so that the file says what the plan says."""
    found = re.findall(r"\$\{CUTOVER_MEMORY_(\d+):-(\d+)\}", catalogue.stack_text(name))
    assert found or name in ("backups", "general-cache")
    assert all(plan == default for plan, default in found)


@BUT_BACKUPS
def test_every_service_is_bounded_placed_and_asked(name: str) -> None:
    divided = Settings(images=SETTINGS.images, memory_divisor=MEMORY_DIVISOR)
    for service in stack(name, divided)["services"].values():
        deploy = service["deploy"]
        limit, reserved = (
            int(deploy["resources"][kind]["memory"].removesuffix("M"))
            for kind in ("limits", "reservations")
        )
        assert limit >= 20, "runc itself takes 13 MB to start a container"
        assert 4 <= reserved <= limit, "Swarm's least"
        assert deploy["placement"]["constraints"]
        assert deploy["labels"][catalogue.ANSWERS_LABEL]
        assert deploy["restart_policy"]["condition"] == "any"
        if "volumes" in service:
            assert deploy["update_config"]["order"] == "stop-first"


def test_a_twin_divides_the_plan_s_memory() -> None:
    settings = Settings(images={}, memory_divisor=8)
    text = "${CUTOVER_MEMORY_600:-600}M ${CUTOVER_MEMORY_50:-50}M ${CUTOVER_MEMORYX_7}"
    assert settings.memory(text) == {"CUTOVER_MEMORY_600": "75", "CUTOVER_MEMORY_50": "6"}


def test_the_plan_has_its_number_of_containers() -> None:
    count = {name: len(stack(name)["services"]) for name in catalogue.PLAN}
    assert count["frontends"] == 5
    assert count["appwrite"] == 22
    assert count["appwrite-storage"] == 3
    assert count["mailcow"] == 18
    assert count["staging"] == 5
    assert count["dev-databases"] == 3
    base = sum(
        max(1, entry.replicas)
        for entry in catalogue.SERVICES
        if entry.stack not in catalogue.OWN_STACKS
    )
    assert sum(count.values()) + base >= 70


def test_staging_shares_nothing_with_production() -> None:
    staging = ("staging", "dev-databases")
    theirs, others = (
        {
            kind: {n for name in names for n in stack(name).get(kind) or ()}
            for kind in ("networks", "secrets")
        }
        for names in (staging, [n for n in catalogue.PLAN if n not in staging])
    )
    assert theirs["networks"] == {"staging", "development"}
    for kind, names in theirs.items():
        assert not names & others[kind]
        assert not names & {*catalogue.NETWORKS, *catalogue.SECRETS}


@pytest.mark.parametrize("name", catalogue.ON_DEMAND)
def test_a_message_in_a_variable_has_no_hyphen(name: str) -> None:
    """Docker's client takes what follows the first one for a default value."""
    for message in re.findall(r"\$\{\w+:\?([^}]*)\}", catalogue.stack_text(name)):
        assert "-" not in message
