"""Findings for people: a line each, as compilers write them."""

from __future__ import annotations

from collections.abc import Iterator

from verify.audit.audit import Finding, Result
from verify.audit.rule import RULES, Level


def lines(result: Result, *, reasons: bool) -> Iterator[str]:
    """Yield the findings, and in the end a line that counts; accepted ones only if `reasons`."""
    for finding in result.findings:
        if finding.reason and not reasons:
            continue
        yield line(finding)
        yield f"    {finding.rule.remedy} Endangers: {finding.rule.criterion}."
        if finding.reason:
            yield f"    Accepted: {finding.reason}"
    counts = [
        f"{sum(not f.reason and f.rule.level is level for f in result.findings)} {level}(s)"
        for level in Level
    ]
    yield (
        f"{result.services} services in {len(result.files)} file(s), {len(RULES)} rules: "
        f"{', '.join(counts)}, {len(result.accepted)} accepted for a written reason"
    )


def line(finding: Finding) -> str:
    """Return `file:line: level: [rule] subject: field: message`."""
    found = finding.found
    level = "accepted" if finding.reason else finding.rule.level
    where = f"{found.path}:{found.line}: {level}: [{finding.rule.id}] {found.subject}"
    return f"{where}: {found.field}: {found.message}"


def rules() -> Iterator[str]:
    """Yield the table of all rules."""
    for rule in sorted(RULES.values(), key=lambda each: (-each.level.weight, each.id)):
        yield f"{rule.id}  ({rule.level})"
        yield f"    {rule.summary}."
        yield f"    Endangers: {rule.criterion}. Remedy: {rule.remedy}"
