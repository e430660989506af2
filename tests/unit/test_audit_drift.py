"""Whether what runs is what was audited."""

from __future__ import annotations

import pytest

from fixtures.cluster.inventory import load_inventory
from tests.unit.audit_builders import INVENTORY, WEB, changed, stack
from tests.unit.builders import service
from verify.audit import drift
from verify.audit.audit import judge
from verify.audit.nodes import nodes_of

DIGEST = "sha256:" + 64 * "a"


def test_the_audit_names_what_its_files_declare() -> None:
    result = judge([stack(WEB)], nodes_of(load_inventory(INVENTORY)))
    assert result.declared == {"shop_web": "example/web:1.4"}


def test_a_job_is_declared_and_may_be_over() -> None:
    job = changed(WEB, {"deploy.mode": "replicated-job", "deploy.update_config": None})
    result = judge([stack(job)], nodes_of(load_inventory(INVENTORY)))
    assert list(result.declared) == list(result.jobs) == ["shop_web"]


def test_a_service_that_no_file_has() -> None:
    running = [service("web"), service("forgotten")]
    (problem,) = drift.unaudited({"shop_web": "example/web:1.4"}, running)
    assert problem.startswith("shop_forgotten runs, and no audited file has it")


def test_a_service_that_does_not_run() -> None:
    assert drift.differing({"shop_web": "web:1"}, []) == [
        "shop_web is in an audited file, and does not run"
    ]


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("example/web:1.4", f"example/web:1.4@{DIGEST}"),
        ("postgres", "docker.io/library/postgres:latest"),
        (f"example/web:1.4@{DIGEST}", f"example/web:1.5@{DIGEST}"),
        ("registry.invalid:5000/web", "registry.invalid:5000/web:latest"),
    ],
)
def test_names_of_one_image(said: str, runs: str) -> None:
    assert drift.differing({"shop_web": said}, [service("web", image=runs)]) == []


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("example/web:1.4", f"example/web:1.3@{DIGEST}"),
        (f"example/web@{DIGEST}", "example/web@sha256:" + 64 * "b"),
        ("example/web:1.4", "other/web:1.4"),
    ],
)
def test_another_image_than_the_file_s(said: str, runs: str) -> None:
    (problem,) = drift.differing({"shop_web": said}, [service("web", image=runs)])
    assert problem.startswith("shop_web runs ")
