"""The command line, written reasons, and both forms of the report."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import CutoverError
from tests.unit.audit_builders import DATABASE, INVENTORY, WEB, changed, nodes, stack
from verify.audit import sarif
from verify.audit.__main__ import main
from verify.audit.audit import UNUSED, Finding, judge
from verify.audit.exceptions import Reason, parse_exceptions
from verify.audit.rule import RULES, Level

ROOT = Path(__file__).parents[2]
REASON = "The plan keeps it on its server, and promotes the replica."
GOOD = f"exceptions:\n  - rule: pinned-local-volume\n    for: [shop/db]\n    reason: {REASON}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.yml").write_text(WEB)
    (tmp_path / "shop.yml").write_text(DATABASE)
    (tmp_path / "good.yml").write_text(GOOD)
    return tmp_path


def run(*arguments: str | Path) -> int:
    return main([*map(str, arguments), "--inventory", str(INVENTORY)])


def test_clean_is_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "web.yml") == 0
    assert capsys.readouterr().out == (
        f"1 services in 1 file(s), {len(RULES)} rules: 0 error(s), 0 warning(s), 0 note(s),"
        " 0 accepted for a written reason\n"
    )


def test_findings_are_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "shop.yml", folder / "web.yml") == 1
    before, _, first, remedy, last = capsys.readouterr().out.splitlines()
    assert first == (
        f"{folder}/shop.yml:19: error: [pinned-local-volume] shop/db:"
        " services.db.deploy.placement.constraints: fits hppavilion only, with data on its disk:"
        " when hppavilion is lost it stays down"
    )
    assert remedy.strip().startswith("Replicate the data")
    assert remedy.endswith("Endangers: Automatic failover (< 60 seconds).")
    assert ": warning: [not-backed-up] shop/db:" in before
    assert last.startswith("2 services in 2 file(s)")


def test_a_written_reason_accepts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "shop.yml", "--exceptions", folder / "good.yml") == 0
    assert "1 accepted" in capsys.readouterr().out
    assert run(folder / "shop.yml", "--exceptions", folder / "good.yml", "--reasons") == 0
    shown = capsys.readouterr().out
    assert "accepted: [pinned-local-volume]" in shown
    assert f"Accepted: {REASON}" in shown


def test_the_level_that_counts(folder: Path) -> None:
    note = changed(WEB, {"deploy.resources.reservations": None})
    (folder / "note.yml").write_text(note)
    assert run(folder / "note.yml") == 0
    assert run(folder / "note.yml", "--fail-on", "note") == 1
    (folder / "warning.yml").write_text(changed(WEB, {"deploy.replicas": 1}))
    assert run(folder / "warning.yml") == 1
    assert run(folder / "warning.yml", "--fail-on", "error") == 0


def test_variables_come_from_options_and_files(folder: Path) -> None:
    (folder / "v.yml").write_text(WEB.replace("example/web:1.4", "example/web:${TAG:?a tag}"))
    (folder / "env").write_text("# of the shop\n\nTAG='latest'\n")
    assert run(folder / "v.yml") == 2
    assert run(folder / "v.yml", "--env-file", folder / "env") == 1
    assert run(folder / "v.yml", "--env-file", folder / "env", "--set", "TAG=2") == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "STACK.yml: no stack file"),
        (["gone.yml"], "gone.yml: cannot be read"),
        (["web.yml", "--set", "x"], "--set: 'x' sets nothing. Write NAME=VALUE."),
        (["web.yml", "--env-file", "gone"], "gone: cannot be read"),
        (["web.yml", "web.yml"], "web.yml: web.yml is the stack 'web', too"),
        (["web.yml", "--exceptions", "gone"], "gone: cannot be read"),
        (["web.yml", "--exceptions", "good.yml"], "there is no 'shop/db' in what is audited"),
        (["web.yml", "--output", "no/where"], "no/where: cannot be written"),
    ],
)
def test_bad_input_is_2_and_one_line(
    arguments: list[str],
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: ")
    assert told in said.err


def test_without_or_with_a_bad_inventory_it_is_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder / "web.yml")]) == 2
    assert "--inventory: missing" in capsys.readouterr().err
    bad = folder / "inventory.yml"
    bad.write_text(INVENTORY.read_text().replace("28G", "a lot"))
    (folder / "known_hosts").write_text("")
    assert main([str(folder / "web.yml"), "--inventory", str(bad)]) == 2
    assert "nodes.gmktec.memory: 'a lot' is not a size" in capsys.readouterr().err


def test_help_and_rules_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit status: 0 nothing" in " ".join(capsys.readouterr().out.split())
    assert main(["--list-rules"]) == 0
    shown = capsys.readouterr().out
    for rule in RULES.values():
        assert f"{rule.id}  ({rule.level})\n" in shown
        assert rule.remedy in shown


def reasons(text: str) -> list[Reason]:
    return parse_exceptions(text, RULES, source="reasons.yml")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "pinned-local-volume",
            "pined",
            "reasons.yml:2: exceptions[0].rule: there is no rule 'pined'",
        ),
        (REASON, "''", "exceptions[0].reason: no written reason"),
        (REASON, "because", "exceptions[0].reason: no written reason"),
        (f"    reason: {REASON}\n", "", "exceptions[0].reason: no written reason"),
        ("[shop/db]", "[]", "exceptions[0].for: names nothing"),
        ("    for: [shop/db]\n", "", "exceptions[0].for: names nothing"),
        ("    for:", "    services:", "exceptions[0]: services: unknown"),
        ("exceptions:", "exception:", "must have one key"),
        ("exceptions:", "exceptions: {}\nother:", "must have one key"),
    ],
)
def test_a_switch_without_rule_reason_or_subject_is_an_error(old: str, new: str, told: str) -> None:
    with pytest.raises(CutoverError) as caught:
        reasons(GOOD.replace(old, new))
    assert told in str(caught.value)
    assert caught.value.remedy


def judged(text: str, reasons_text: str) -> list[Finding]:
    return list(judge([stack(text)], nodes(), reasons(reasons_text)).findings)


def test_a_reason_accepts_its_rule_and_subject_and_nothing_else() -> None:
    broken = changed(DATABASE, {"stop_grace_period": None})
    told = {f.rule.id: f.reason for f in judged(broken, GOOD)}
    assert told == {"pinned-local-volume": REASON, "short-stop": ""}


def test_a_reason_may_be_for_every_service_of_a_stack() -> None:
    every = GOOD.replace("shop/db", "shop/*")
    assert [f.reason for f in judged(DATABASE, every)] == [REASON]
    (unused,) = judged(WEB, every)
    assert (unused.rule.id, unused.found.subject) == (UNUSED, "shop/*")
    other = GOOD.replace("[shop/db]", "[shop/db, shopping/*]")
    with pytest.raises(CutoverError, match=r"no 'shopping/\*'"):
        judged(DATABASE, other)


def test_a_reason_for_what_is_not_found_is_found() -> None:
    more = GOOD + f"  - rule: single-replica\n    for: [shop/db, hpr]\n    reason: {REASON}\n"
    left = [f for f in judged(DATABASE, more) if f.rule.id == UNUSED]
    assert [(f.found.path, f.found.line, f.found.subject) for f in left] == [
        ("reasons.yml", 5, "hpr"),
        ("reasons.yml", 5, "shop/db"),
    ]


def document(*paths: Path, exceptions: Path | None = None) -> dict[str, Any]:
    output = paths[0].parent / "out.sarif"
    more = ["--exceptions", exceptions] if exceptions else []
    run(*paths, *more, "--format", "sarif", "--output", output)
    parsed: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return parsed


def test_sarif_has_what_the_specification_asks(folder: Path) -> None:
    """SARIF 2.1.0, the sections in brackets; a run was held against the OASIS schema by hand."""
    broken = folder / "broken one.yml"
    broken.unlink(missing_ok=True)
    path = folder / "broken-one.yml"
    path.write_text(changed(DATABASE, {"stop_grace_period": None}))
    log = document(folder / "shop.yml", path, exceptions=folder / "good.yml")
    assert log["version"] == "2.1.0"  # 3.13.2
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run_,) = log["runs"]
    driver = run_["tool"]["driver"]  # 3.18.2
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids) == len(RULES)  # 3.19.23
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")  # 3.49.9
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")  # 3.50.3
    assert run_["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]  # 3.20.14
    assert len(run_["results"]) == 5
    for result in run_["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]  # 3.27.6
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]  # 3.27.11
        (location,) = result["locations"]
        assert location["physicalLocation"]["region"]["startLine"] >= 1  # 3.30.5
        assert ":" in location["logicalLocations"][0]["fullyQualifiedName"]
        # All results have suppressions or none has (3.27.23).
        assert isinstance(result["suppressions"], list)
        assert len(result["partialFingerprints"]["cutover/v1"]) == 64  # 3.27.17
    (suppressed,) = [each for each in run_["results"] if each["suppressions"]]
    assert suppressed["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": REASON}  # 3.35
    ]


def test_sarif_of_nothing_is_still_a_document(folder: Path) -> None:
    log = document(folder / "web.yml")
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["exitCode"] == 0


def test_a_fingerprint_does_not_move_with_the_line(folder: Path) -> None:
    def print_of(text: str) -> tuple[Any, Any]:
        (folder / "shop.yml").write_text(text)
        (result,) = document(folder / "shop.yml")["runs"][0]["results"]
        line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
        return result["partialFingerprints"], line

    one, line = print_of(DATABASE)
    other, later = print_of("# a line\n" + DATABASE)
    assert (one, line + 1) == (other, later)


def test_paths_become_uris(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "sub folder").mkdir()
    (folder / "sub folder" / "web.yml").write_text(WEB)
    log = document(Path("sub folder/web.yml"))
    assert log["runs"][0]["artifacts"][0]["location"]["uri"] == "sub%20folder/web.yml"
    log = document(folder / "web.yml")
    assert log["runs"][0]["artifacts"][0]["location"]["uri"] == (folder / "web.yml").as_uri()


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == sarif.VERSION


def test_levels_are_ordered() -> None:
    assert sorted(Level, key=lambda level: level.weight) == [Level.NOTE, Level.WARNING, Level.ERROR]


def test_no_secret_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaks = {
        "environment": {
            "API_TOKEN": "hunter22",
            "URL": "http://u:hunter22@x/",
            "A_B": "x$!hunter22",
        },
        "command": "mysql --password=hunter22 && curl -u u:hunter22 -k http://u:hunter22@x | sh",
        "deploy.labels": {"a": "http://u:hunter22@x/"},
    }
    (folder / "web.yml").write_text(changed(WEB, leaks))
    assert run(folder / "web.yml") == 1
    assert run(folder / "web.yml", "--format", "sarif") == 1
    said = capsys.readouterr().out
    assert "hunter22" not in said
    assert "[secret-in-command]" in said
    assert "[script-falls-apart]" in said
