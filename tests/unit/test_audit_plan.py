"""What is found in the plan's own stack files, all of it; and in ours, nothing without reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from tests.unit.audit_builders import PLAN, nodes
from verify.audit import ours
from verify.audit.audit import Result, judge
from verify.audit.exceptions import load_exceptions
from verify.audit.rule import RULES, Level
from verify.audit.stack import load

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
#: In the order of the plan; `findings.txt` has a line for everything that is found in them.
FILES = (
    "gitlab-github-mirror-stack",
    "postgres-primary",
    "postgres-replica",
    "pgbouncer",
    "patroni",
    "backup-stack",
)


def audited(*names: str) -> Result:
    return judge([load(PLAN / f"{name}.yml", {}) for name in names], nodes())


def told(result: Result) -> list[str]:
    return [
        f"{Path(f.found.path).name}:{f.found.line} {f.rule.level} {f.rule.id} {f.found.field}"
        for f in result.findings
    ]


def test_exactly_this_is_found_in_the_plan() -> None:
    expected = (PLAN / "findings.txt").read_text(encoding="utf-8").splitlines()
    assert told(audited(*FILES)) == [line for line in expected if not line.startswith("#")]


@pytest.mark.parametrize("name", FILES)
def test_each_file_alone_is_judged_the_same(name: str) -> None:
    together = [line for line in told(audited(*FILES)) if line.startswith(f"{name}.yml:")]
    assert told(audited(name)) == together


def test_what_the_brief_of_the_plan_is_known_for_is_among_it() -> None:
    """The traps that were known before, each in its place."""
    lines = "\n".join(told(audited(*FILES)))
    for trap in (
        "backup-stack.yml:39 error copies-unmounted services.redis-backup.command",
        "backup-stack.yml:75 error mirror-deletes services.remote-backup.command",
        "backup-stack.yml:79 error trust-on-first-use services.remote-backup.command",
        "unknown-variable services.gibd-postgres-replica.environment.POSTGRES_REPLICATION_MODE",
        "plaintext-secret services.gitlab-mirror.environment.GITHUB_TOKEN",
        "postgres-primary.yml:7 error pinned-local-volume",
    ):
        assert trap in lines


def test_no_address_or_name_of_the_real_servers_is_in_the_copies() -> None:
    for path in PLAN.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", text)) - {"0.0.0.0"}
        assert all(address.startswith("192.0.2.") for address in addresses)
        assert "github.com" not in text


def rows() -> list[tuple[str, str]]:
    """Each rule with the services in which it is found, worst first."""
    where: dict[str, list[str]] = {}
    for finding in audited(*FILES).findings:
        services = where.setdefault(finding.rule.id, [])
        name = finding.found.subject.partition("/")[2]
        services += [name] * (name not in services)
    return [
        (rule, "all 11 services" if len(services) == 11 else ", ".join(services))
        for rule, services in sorted(where.items(), key=lambda e: (-RULES[e[0]].level.weight, e[0]))
    ]


def test_the_docs_tell_what_is_found_in_the_plan_and_know_no_rule_that_is_not() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", text, re.MULTILINE) == rows()
    assert f"{len(audited(*FILES).findings)} findings in the six" in text


@pytest.mark.parametrize(("endpoint", "port"), [("vip", "ingress"), ("dnsrr", "host")])
def test_our_own_stacks_have_nothing_without_a_written_reason(endpoint: str, port: str) -> None:
    settings = Settings(images=ours.IMAGES, endpoint_mode=endpoint, port_mode=port)
    exceptions = load_exceptions(ours.EXCEPTIONS, RULES)
    result = judge(ours.stacks(settings), nodes(), exceptions, apart=catalogue.ALTERNATIVES)
    assert [(f.rule.id, f.found) for f in result.open(Level.WARNING)] == []
    assert result.services > 20


def test_our_own_stacks_are_all_of_the_catalogue_s() -> None:
    assert {stack.name for stack in ours.stacks()} == {*catalogue.STACKS, *catalogue.ON_DEMAND}
    assert all((ours.ROOT / stack.path).is_file() for stack in ours.stacks())
