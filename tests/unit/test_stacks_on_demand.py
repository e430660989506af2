from __future__ import annotations

from typing import Any

import pytest

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


def stack(name: str) -> dict[str, Any]:
    wanted = catalogue.ON_DEMAND[name]
    environment = {
        **SETTINGS.environment(),
        **BACKUP_HOST,
        **dict.fromkeys(wanted.images, "an image"),
        **dict.fromkeys((*wanted.configs, *wanted.made), "a config"),
        **{variable: str(plan) for variable, plan in wanted.memory_mb.items()},
        **wanted.variables,
    }
    return validate(catalogue.stack_text(name), environment, source=name)


def test_every_file_is_in_the_table_and_the_other_way_round() -> None:
    files = (catalogue.FOLDER / "on_demand").glob("*.yml")
    assert {path.stem for path in files} == set(catalogue.ON_DEMAND)
    assert not set(catalogue.ON_DEMAND) & set(catalogue.STACKS)


@pytest.mark.parametrize("name", catalogue.ON_DEMAND)
def test_services_are_ours_and_use_only_what_is_made_for_them(name: str) -> None:
    described = stack(name)
    secrets = {*catalogue.SECRETS, *catalogue.ON_DEMAND[name].secrets}
    assert set(described.get("secrets", {})) <= secrets
    assert set(described["networks"]) <= set(catalogue.NETWORKS)
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
