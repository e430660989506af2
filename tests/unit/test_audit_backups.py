"""Databases that nothing brings back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.audit_builders import DATABASE, WEB, changed, found, stack
from verify.audit.stack import Stack

RULE = "not-backed-up"
JOB = """
services:
  db-backup:
    image: prodrigestivill/postgres-backup-local:16
    environment: {POSTGRES_HOST: db}
"""


def open_ones(*stacks: Stack | str) -> list[str]:
    """What is found beside another stack: of one that is audited alone nothing is known."""
    return [f.found.subject for f in found(*stacks, stack(WEB, "web")) if f.rule.id == RULE]


def job(**change: Any) -> str:
    return changed(JOB, change)


def test_a_database_that_no_job_knows() -> None:
    assert open_ones(DATABASE) == ["shop/db"]
    assert open_ones(DATABASE, JOB) == []
    assert [f for f in found(DATABASE) if f.rule.id == RULE] == []


@pytest.mark.parametrize("target", ["/var/lib/mysql", "/data/db", "/var/lib/influxdb2/x"])
def test_data_of_any_image(target: str) -> None:
    volumes = [f"data:{target}"]
    assert open_ones(changed(DATABASE, {"image": "x:1", "volumes": volumes})) == ["shop/db"]


@pytest.mark.parametrize("volumes", [["data:/data"], ["data:/var/lib/postgresql/data:ro"], []])
def test_what_is_no_database_is_not_asked(volumes: list[str]) -> None:
    assert open_ones(changed(DATABASE, {"volumes": volumes})) == []


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"POSTGRES_HOST": "db-2"}},
        {"environment": {"POSTGRES_HOST": "other-db"}},
        {"environment": {"POSTGRES_HOST": "dbs"}},
        {"environment": {}},
        {"environment": {"POSTGRES_HOST": "other", "POSTGRES_USER": "db", "POSTGRES_DB": "db"}},
        {"environment": {"URL": "db://db:db@other:5432/db"}},
        {"environment": {"TO": "/backups/db/daily"}},
        {"environment": {}, "command": "pg_dump -U db -h other --dbname=db"},
    ],
)
def test_a_job_of_another_server_is_none(change: dict[str, Any]) -> None:
    assert open_ones(DATABASE, job(**change)) == ["shop/db"]


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"URL": "postgres://app@shop_db:5432/app"}},
        {"environment": {}, "command": ["sh", "-c", "pg_dump -h db >/x"], "image": "x:1"},
    ],
)
def test_ways_to_name_the_server(change: dict[str, Any]) -> None:
    assert open_ones(DATABASE, job(**change)) == []


def test_of_two_with_one_name_the_job_s_own_stack_s_is_meant() -> None:
    both = (DATABASE, stack(DATABASE, "two"))
    assert open_ones(*both, stack(JOB, "jobs")) == ["shop/db", "two/db"], "which of them?"
    full = job(environment={"POSTGRES_HOST": "two_db"})
    assert open_ones(*both, stack(full, "jobs")) == ["shop/db"]
    own = DATABASE.replace("services:\n", JOB.lstrip("\n"))
    assert open_ones(own, stack(DATABASE, "two")) == ["two/db"]


def test_an_application_that_names_the_server_backs_nothing_up() -> None:
    application = JOB.replace("db-backup", "web").replace("prodrigestivill/", "x/")
    application = application.replace("postgres-backup-local", "web")
    assert open_ones(DATABASE, application) == ["shop/db"]


def test_who_reads_its_volume_backs_it_up() -> None:
    reads = {"image": "tar:1", "environment": {}, "volumes": ["shop_data:/in:ro"]}
    external = "volumes: {shop_data: {external: true}}\n"
    assert open_ones(DATABASE, job(**reads) + external) == []
    assert open_ones(DATABASE, job(**reads)) == ["shop/db"], "a volume of its own stack's"
    writes = {**reads, "volumes": ["shop_data:/in"]}
    assert open_ones(DATABASE, job(**writes) + external) == ["shop/db"]


def test_a_pair_has_one_backup() -> None:
    replica = changed(DATABASE, {"environment": {"PRIMARY": "db"}}).replace("  db:", "  db-r:")
    assert open_ones(DATABASE, stack(replica, "two"), stack(JOB, "jobs")) == []
    assert open_ones(DATABASE, stack(replica, "two")) == ["shop/db", "two/db-r"]
