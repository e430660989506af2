from __future__ import annotations

import pytest

from fixtures.errors import CutoverError
from fixtures.stacks.validation import validate

GOOD = """
version: "3.8"
services:
  web:
    image: ${WEB_IMAGE:?the image}
    healthcheck: {test: ["CMD", "echo", "$$HOME"]}
    networks: [public]
    volumes: ["/etc/hosts:/etc/hosts:ro", "data:/data", {type: tmpfs, target: /scratch}]
networks:
  public: {external: true}
volumes:
  data:
"""
ENV = {"WEB_IMAGE": "web:1"}


def problem(text: str, env: dict[str, str] = ENV) -> CutoverError:
    with pytest.raises(CutoverError) as caught:
        validate(text, env, source="web.yml")
    return caught.value


def test_a_good_file_comes_back_filled_in() -> None:
    service = validate(GOOD, ENV, source="web.yml")["services"]["web"]
    assert service["image"] == "web:1"
    assert service["healthcheck"]["test"][-1] == "$HOME"


@pytest.mark.parametrize(
    ("written", "value", "filled"),
    [
        ("${X}", "a", "a"),
        ("$X", "a", "a"),
        ("${X:-b}", "a", "a"),
        ("${X:-b}", "", "b"),
        ("${X-b}", "", ""),
        ("${X:?why}", "a", "a"),
        ("p${X:-b}s", "", "pbs"),
        ("$$X", "a", "$X"),
    ],
)
def test_variables_are_filled_in_as_compose_does(written: str, value: str, filled: str) -> None:
    text = GOOD.replace("${WEB_IMAGE:?the image}", f'"i{written}"')
    assert validate(text, {"X": value}, source="f")["services"]["web"]["image"] == "i" + filled


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("WEB_IMAGE", "WEB_IMGE", "services.web.image", "unknown variable WEB_IMGE"),
        ("${WEB_IMAGE:?the image}", '"$"', "services.web.image", "a lone $"),
        ("[public]", "[pubic]", "services.web.networks", "'pubic' is not declared"),
        ("data:/data", "date:/data", "services.web.volumes", "'date' is not declared"),
        ("    networks", "    secrets", "services.web.secrets", "'public' is not declared"),
        ("healthcheck", "x-healthcheck", "services.web.healthcheck", "no health check"),
        ("    image", "    x-image", "services.web.image", "no image"),
        ('version: "3.8"', "", "version", "version None is not deployable"),
        ("services:", "servces:", "services", "no services"),
    ],
)
def test_a_mistake_is_named_with_file_field_and_remedy(
    old: str, new: str, where: str, what: str
) -> None:
    assert old in GOOD
    error = problem(GOOD.replace(old, new, 1))
    assert error.where == f"web.yml: {where}"
    assert error.what == what
    assert error.remedy


def test_an_empty_required_variable_says_what_it_is_for() -> None:
    assert problem(GOOD, {"WEB_IMAGE": ""}).remedy == "Set it to the image"


def test_broken_yaml_is_the_users_to_mend() -> None:
    assert problem("services: [").what.startswith("not YAML")
