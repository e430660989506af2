"""Judge stack files: every rule, then the written reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import verify.audit.rules  # noqa: F401  # registers them
from fixtures.errors import CutoverError
from verify.audit.exceptions import Reason, check_subjects
from verify.audit.nodes import Nodes
from verify.audit.rule import RULES, Audit, Criterion, Found, Level, Rule, rule
from verify.audit.stack import Service, Stack

UNUSED = "unused-reason"


@rule(
    UNUSED,
    Level.WARNING,
    Criterion.RUNNING,
    "a written reason for something that is not found (any more)",
    "Take it away, before it hides the next one.",
)
def _unused_reason(audit: Audit) -> Iterator[Found]:
    """Judged in `judge`, which knows what was accepted."""
    yield from ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule broken in one place; `reason` is why that is accepted, or empty."""

    rule: Rule
    found: Found
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All that was found, worst first in each file.

    `declared` has `stack_service` → image of each service, `jobs` those of them that end by design.
    """

    findings: Sequence[Finding]
    services: int
    files: Sequence[str]
    declared: Mapping[str, str]
    jobs: Collection[str] = ()

    @property
    def accepted(self) -> list[Finding]:
        """Return what has a written reason."""
        return [finding for finding in self.findings if finding.reason]

    def open(self, level: Level) -> list[Finding]:
        """Return what is at `level` or worse and has no written reason."""
        return [
            finding
            for finding in self.findings
            if not finding.reason and finding.rule.level.weight >= level.weight
        ]


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    found, rule = finding.found, finding.rule
    return found.path, found.line, -rule.level.weight, rule.id, found.subject


def judge(
    stacks: Sequence[Stack],
    nodes: Nodes,
    exceptions: Sequence[Reason] = (),
    *,
    inventory: str = "inventory",
    apart: Collection[str] = (),
) -> Result:
    """Apply every rule; stacks called in `apart` never stand beside the others.

    Raises `CutoverError` for two stacks of one name, and for a reason for nothing.
    """
    paths: dict[str, str] = {}
    for stack in stacks:
        other = paths.setdefault(stack.name, stack.path)
        if other != stack.path or sum(each.name == stack.name for each in stacks) > 1:
            raise CutoverError(
                f"{other} is the stack {stack.name!r}, too",
                where=stack.path,
                remedy="Rename one of the files: their names are the stacks' names.",
            )
    audit = Audit(stacks, nodes, inventory, frozenset(apart))
    check_subjects(exceptions, audit.subjects)
    findings = []
    used: set[tuple[Reason, str]] = set()
    for each in RULES.values():
        for found in dict.fromkeys(each.check(audit)):
            reason = ""
            for exception in exceptions:
                pattern = exception.pattern_for(found.subject)
                if exception.rule == each.id and pattern is not None:
                    used.add((exception, pattern))
                    reason = exception.reason
            findings.append(Finding(each, found, reason))
    for exception in exceptions:
        for subject in exception.subjects:
            if (exception, subject) not in used:
                message = f"{exception.rule} is not found in {subject}"
                place = Found(exception.path, exception.line, subject, "exceptions", message)
                findings.append(Finding(RULES[UNUSED], place))
    findings.sort(key=_order)
    return Result(
        findings,
        len(audit.services),
        [stack.path for stack in stacks],
        {_full_name(service): service.text("image") for service in audit.services},
        [_full_name(service) for service in audit.services if service.is_job],
    )


def _full_name(service: Service) -> str:
    return f"{service.stack.name}_{service.name}"
