"""Reading stack files: every form of the same thing, lines, variables, and what is refused."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.errors import CutoverError
from fixtures.sizes import memory_text, parse_memory
from tests.unit.audit_builders import DATABASE, WEB, changed, found, rules, stack
from verify.audit.interpolation import fill
from verify.audit.stack import Service, load
from verify.audit.words import image

HEAD = "services:\n  a:\n    image: x/y:1\n"


def service(body: str, **variables: str) -> Service:
    (only,) = stack(HEAD + body, **variables).services
    return only


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("1.5G", 3 << 29),
        ("0.5GiB", 1 << 29),
        ("512 mb", 512 << 20),
        ("5k", 5120),
        ("12b", 12),
        ("536870912", 536870912),
        ("1t", 1 << 40),
    ],
)
def test_sizes_are_those_of_docker(text: str, size: int) -> None:
    """Each value is what `docker stack config` 28.2 makes of the text."""
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "1x", "-1M", "1 2", "1,5G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_memory(text)


def test_sizes_are_shown_short() -> None:
    assert [memory_text(n) for n in (3 << 30, 600 << 20, 5120, 7)] == ["3G", "600M", "5K", "7B"]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("${A:-x}", "1"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE:-x}", "x"),
        ("${NONE-x}", "x"),
        ("${NONE}", ""),
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("a$A-${A}b", "a1-1b"),
        ("${A:?needed}", "1"),
    ],
)
def test_variables_are_filled_in_as_docker_does(text: str, filled: str) -> None:
    found = fill(text, {"A": "1", "EMPTY": ""})
    assert (found.text, found.invalid, found.required) == (filled, (), ())


@pytest.mark.parametrize("text", ["$(date)", "${A#x}", "${A:+x}", "100$", "${}", "${A:-${B}}"])
def test_what_docker_refuses_or_misreads(text: str) -> None:
    assert fill(text, {}).invalid


def test_what_has_no_value_is_known_and_kept() -> None:
    found = fill("x $A ${B} ${C:-c} $$D", {})
    assert (found.text, found.kept) == ("x   c $D", "x $A ${B} c $D")
    assert (found.unset, found.used) == (("A", "B"), ("A", "B", "C"))


FORMS = """
    environment: {forms[0]}
    ports: {forms[1]}
    volumes: {forms[2]}
    secrets: {forms[3]}
    networks: {forms[4]}
    command: {forms[5]}
"""


@pytest.mark.parametrize(
    "forms",
    [
        ('["A=1", "B", "C="]', '["80:8080"]', '["v:/d:ro"]', '["s"]', '["n"]', '["a", "b c"]'),
        (
            '{A: 1, B: , C: ""}',
            '[{published: "80", target: 8080, protocol: TCP}]',
            "[{type: volume, source: v, target: /d, read_only: true}]",
            "[{source: s}]",
            "{n: {aliases: [x]}}",
            "a 'b c'",
        ),
        (
            '["A=${ONE}", "B", "C="]',
            '["192.0.2.1:${P:-80}:8080/tcp"]',
            '["v:/d:z,ro"]',
            '[{source: "${S}", target: s}]',
            "{n: null}",
            "a b\\ c",
        ),
    ],
)
def test_every_form_says_the_same(forms: tuple[str, ...]) -> None:
    a = service(FORMS.format(forms=forms), ONE="1", S="s")
    assert {n: (e.text, a.passed_on(n)) for n, e in a.environment.items()} == {
        "A": ("1", False),
        "B": ("", True),
        "C": ("", False),
    }
    assert [(p.published, p.target, p.protocol, p.mode) for p in a.ports] == [
        (80, 8080, "tcp", "ingress")
    ]
    assert [(m.kind, m.source, m.target, m.read_only) for m in a.mounts] == [
        ("volume", "v", "/d", True)
    ]
    assert [(u.name, u.target) for u in a.uses("secrets")] == [("s", "s")]
    assert [u.name for u in a.uses("networks")] == ["n"]
    assert a.commands[0][1].words == ("a", "b c")


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("8080", [(None, 8080)]),
        ('"8080"', [(None, 8080)]),
        ("22:22", [(22, 22)]),
        ("2222:22", [(2222, 22)]),
        ('"9000-9002:9100-9102"', [(9000, 9100), (9001, 9101), (9002, 9102)]),
        ('"[::1]:80:80"', [(80, 80)]),
    ],
)
def test_ports_are_not_numbers_of_base_60(text: str, ports: list[Any]) -> None:
    assert [(p.published, p.target) for p in service(f"    ports: [{text}]\n").ports] == ports


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("postgres", ("postgres", "", "")),
        ("library/postgres:16", ("postgres", "16", "")),
        ("docker.io/library/postgres:16", ("postgres", "16", "")),
        ("host:5000/a/b", ("host:5000/a/b", "", "")),
        ("host:5000/a/b:1@sha256:0", ("host:5000/a/b", "1", "sha256:0")),
    ],
)
def test_image_references(reference: str, parts: tuple[str, str, str]) -> None:
    found = image(reference)
    assert (found.name, found.tag, found.digest) == parts


ANCHORS = """
x-common: &common
  image: example/web:latest
  networks: [app]
  healthcheck: &check
    test: [CMD, x]
x-deploy: &deploy
  replicas: 2
  update_config: {order: start-first}
  resources: {limits: {memory: 1G}, reservations: {memory: 1G}}
services:
  one:
    <<: *common
    deploy: *deploy
  two:
    <<: [*common, {image: "example/two:1"}]
    healthcheck: {<<: *check, interval: 3s}
    image: example/web:2
    deploy:
      <<: *deploy
      replicas: 1
networks:
  app: {external: true}
"""


def test_anchors_merges_and_extension_fields_are_followed_to_the_line_that_says_it() -> None:
    told = {(f.rule.id, f.found.subject, f.found.line) for f in found(ANCHORS)}
    assert told == {("floating-tag", "shop/one", 3), ("single-replica", "shop/two", 21)}


def test_a_finding_names_file_line_and_field() -> None:
    text = WEB.replace("DB_USER: app", "DB_USER: app\n      API_TOKEN: abc")
    (finding,) = found(text)
    line = text.splitlines().index("      API_TOKEN: abc") + 1
    assert (finding.found.path, finding.found.line) == ("shop.yml", line)
    assert finding.found.field == "services.web.environment.API_TOKEN"
    assert "abc" not in finding.found.message


def test_a_place_in_a_long_script_is_found() -> None:
    text = WEB.replace(
        '    command: ["serve", "--port", "8080"]\n',
        "    command:\n      - sh\n      - -c\n      - |\n        set -e\n        pip install x\n",
    )
    (finding,) = found(text)
    assert text.splitlines()[finding.found.line - 1].strip() == "pip install x"


def test_a_missing_thing_is_at_what_it_misses_in() -> None:
    text = WEB.replace("      update_config: {order: start-first}\n", "")
    (finding,) = found(text)
    assert text.splitlines()[finding.found.line - 1] == "    deploy:"


def test_literal_scripts_keep_their_comments_and_here_documents() -> None:
    script = "    command:\n      - sh\n      - -c\n      - |\n        # all well\n        serve\n"
    script += "        cat <<EOF >/x\n        one\n        EOF\n"
    assert rules(WEB.replace('    command: ["serve", "--port", "8080"]\n', script)) == set()


FOLDED = '    command: >\n      sh -c "cat <<EOF >/tmp/x\n      one\n      EOF\n      serve"\n'


def test_a_folded_here_document_never_ends() -> None:
    text = WEB.replace('    command: ["serve", "--port", "8080"]\n', FOLDED)
    assert rules(text) == {"folded-script"}


def test_a_folded_text_of_options_is_what_folding_is_for() -> None:
    text = "    command: >\n      serve\n      --port 80\n      # none\n"
    assert rules(WEB.replace('    command: ["serve", "--port", "8080"]\n', text)) == set()


def test_the_same_variable_in_the_container_s_shell_and_the_deployer_s() -> None:
    command = {"command": ["sh", "-c", "echo ${WHO} $$WHO"]}
    assert rules(changed(WEB, command)) == {"variable-not-set"}
    assert rules(stack(changed(WEB, command), WHO="me")) == set()


def test_a_secret_given_as_a_variable_is_still_in_clear() -> None:
    text = changed(WEB, {"environment": {"API_TOKEN": "${API_TOKEN:-}"}})
    assert rules(stack(text, API_TOKEN="x1y2z3")) == {"plaintext-secret"}
    assert rules(text) == {"plaintext-secret"}


def test_variables_of_a_file_beside_the_stack_count_too(tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("# ours\n\nAPI_TOKEN=hunter22\nDB_USER=app\nOVER=x\n")
    path = tmp_path / "web.yml"
    path.write_text(changed(WEB, {"env_file": ["web.env"], "environment": {"OVER": "y"}}))
    (only,) = load(path, {}).services
    assert {name: entry.text for name, entry in only.environment.items()} == {
        "API_TOKEN": "hunter22",
        "DB_USER": "app",
        "OVER": "y",
    }
    (finding,) = found(load(path, {}))
    line = path.read_text().splitlines()[finding.found.line - 1]
    assert (finding.rule.id, line.strip()) == ("plaintext-secret", "- web.env")


ODD = (
    None, "", 0, -1, True, [], {}, [1], ["x"], [None], [[]], [{}], {"a": 1}, {"a": None}, "text",
    "a:b:c", "$", "${X}", "${", "'", 'sh -c "', 3.5, "\n", "=", "é", "sh -c 'a <<E'",
    {"test": None},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    return [path] * bool(path) + [p for key, each in inside for p in places(each, (*path, key))]


@pytest.mark.parametrize("seed", range(60))
def test_anything_anywhere_is_a_finding_or_one_clear_error(seed: int) -> None:
    chance = random.Random(seed)
    data = yaml.safe_load(chance.choice((WEB, DATABASE)))
    for _ in range(chance.randint(1, 3)):
        *folders, last = chance.choice(places(data))
        here = data
        for key in folders:
            here = here[key]
        here[last] = chance.choice(ODD)
    with suppress(CutoverError):  # which is what bad input should be
        rules(yaml.safe_dump(data))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("a: [", "shop.yml:1: is not YAML"),
        ("services: {}", "services: no services"),
        ("version: '3'", "services: no services"),
        ("services: [a]", "services: no services"),
        ("services:\n  a:\n    x: 1", "shop.yml:2: services.a.image: no image"),
        ("services:\n  a: text", "services.a: is not a mapping"),
        ("services:\n  a: {image: x}\n  a: {image: y}", "shop.yml:3: services: 'a' is given twice"),
        (HEAD + "    deploy: [x]", "shop.yml:4: services.a.deploy: is not a mapping"),
        (HEAD + "    ports: {a: b}", "shop.yml:4: services.a.ports: is not a list"),
        (HEAD + "    ports: [eighty]", "shop.yml:4: services.a.ports: 'eighty' is no port"),
        (HEAD + "    deploy: {replicas: two}", "services.a.deploy.replicas: is no number"),
        (
            HEAD + "    deploy: {resources: {limits: {memory: 1x}}}",
            "services.a.deploy.resources.limits.memory: '1x' is not a size",
        ),
        (HEAD + "networks: [a]", "shop.yml:4: networks: is not a mapping of names"),
        (HEAD + "    user: ${WHO:?who runs it}", "user: the variable WHO is needed (who runs it)"),
        ("a: &a [*a]", "shop.yml:1: a[0]: an alias without an end"),
        ("? [a]\n: 1", "a key that is not text"),
        ("a: 1\n<<: x", "<< of what is no mapping"),
    ],
)
def test_bad_input_is_one_line_with_file_field_and_remedy(text: str, told: str) -> None:
    with pytest.raises(CutoverError) as caught:
        stack(text)
    assert told in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes(b"a: \xff")
    (tmp_path / "bad name.yml").write_text(WEB)
    for name, told in (
        ("gone.yml", "cannot be read"),
        ("latin.yml", "UTF-8"),
        ("bad name.yml", "name"),
    ):
        with pytest.raises(CutoverError, match=told):
            load(tmp_path / name, {})
