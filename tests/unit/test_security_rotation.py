"""A login that changes while it is in use: the update that does it, and when it is done."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.errors import CannotProve, CutoverError
from fixtures.waiting import Pending
from verify.rollout import changed
from verify.security import rotation
from verify.security.rotation import Login

FORMER = Login("cutover_rotation_a", "value-a", "id-a", "secret-a")
NEW = Login("cutover_rotation_b", "value-b", "id-b", "secret-b")


def spec(**container: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Env": ["DB_USER=postgres", "WEB_VERSION=1"],
        "Secrets": [
            {"File": {"Name": "postgres_password"}, "SecretID": "0", "SecretName": "p"},
            {"File": {"Name": "other"}, "SecretID": "1", "SecretName": "o"},
        ],
    }
    return {"Name": "shop_web", "TaskTemplate": {"ContainerSpec": {**values, **container}}}


def test_the_update_changes_the_role_and_its_secret_and_nothing_else() -> None:
    before = spec()
    container = changed(before, NEW.change)["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["WEB_VERSION=1", "DB_USER=cutover_rotation_b"]
    assert container["Secrets"] == [
        {"File": {"Name": "postgres_password"}, "SecretID": "id-b", "SecretName": "secret-b"},
        {"File": {"Name": "other"}, "SecretID": "1", "SecretName": "o"},
    ]
    assert before == spec()


@pytest.mark.parametrize("lacking", [{"Env": []}, {"Secrets": []}, {"Secrets": None, "Env": None}])
def test_a_service_that_takes_its_login_from_elsewhere_is_unproven(lacking: Any) -> None:
    with pytest.raises(CannotProve):
        rotation.check_takes_logins(spec(**lacking))
    rotation.check_takes_logins(spec())


def test_it_is_taken_when_every_task_and_session_is_of_the_new_login() -> None:
    both = {"web.1": "value-b", "web.2": "value-b"}
    assert rotation.not_taken(both, {NEW.role}, NEW, FORMER) is True


@pytest.mark.parametrize(
    ("contents", "roles", "reason"),
    [
        ({"web.1": "value-a", "web.2": "value-b"}, {NEW.role}, "web.1"),
        ({}, {NEW.role}, "no task runs"),
        ({"web.1": "value-b"}, {NEW.role, FORMER.role}, "former role are open"),
        ({"web.1": "value-b"}, set(), "sessions of 0 roles"),
    ],
)
def test_it_is_not_taken_while_anything_is_of_the_former(
    contents: dict[str, str], roles: set[str], reason: str
) -> None:
    found = rotation.not_taken(contents, roles, NEW, FORMER)
    assert isinstance(found, Pending)
    assert reason in found.reason
    assert "value-" not in found.reason


def test_a_password_that_is_still_accepted_is_a_problem_and_an_error_is_none() -> None:
    answers = iter([True, False])
    assert rotation.refused_within(lambda: next(answers), within=5) == []
    assert rotation.refused_within(lambda: True, within=0.1) == [
        "the former password is still accepted"
    ]

    def broken() -> bool:
        raise CutoverError("no answer")

    with pytest.raises(CutoverError):
        rotation.refused_within(broken, within=1)


def test_a_login_does_not_show_its_value() -> None:
    assert repr(NEW) == "<Login cutover_rotation_b>"
