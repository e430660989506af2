"""Findings for tools: SARIF 2.1.0 (OASIS), as code hosts and editors read it.

Section numbers are the specification's. A finding with a written reason is a result with a
suppression (3.35), which readers show as accepted.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from verify.audit.audit import Finding, Result
from verify.audit.rule import RULES, Rule

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
VERSION: Final = "0.1.0"


def document(result: Result, exit_code: int) -> dict[str, Any]:
    """Return the log: one run with all rules and all results."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cutover-audit",
                        "version": VERSION,
                        "rules": [_descriptor(rule) for rule in RULES.values()],
                    }
                },
                "invocations": [{"executionSuccessful": True, "exitCode": exit_code}],
                "artifacts": [
                    {"location": {"uri": _uri(path)}, "roles": ["analysisTarget"]}
                    for path in dict.fromkeys(result.files)
                ],
                "results": [_result(finding) for finding in result.findings],
            }
        ],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    """Return a reportingDescriptor (3.49)."""
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{rule.summary[0].upper()}{rule.summary[1:]}."},
        "help": {"text": f"{rule.remedy} Endangers: {rule.criterion}."},
        "defaultConfiguration": {"level": str(rule.level)},
        "properties": {"criterion": str(rule.criterion)},
    }


def _result(finding: Finding) -> dict[str, Any]:
    """Return a result (3.27). Either all results of a run have suppressions or none (3.27.23)."""
    found, rule = finding.found, finding.rule
    name = f"{found.subject}: {found.field}"
    identity = "\n".join((rule.id, found.subject, found.field, found.message))
    suppression = {"kind": "external", "status": "accepted", "justification": finding.reason}
    return {
        "ruleId": rule.id,
        "ruleIndex": list(RULES).index(rule.id),
        "level": str(rule.level),
        "message": {"text": f"{name}: {found.message}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(found.path)},
                    "region": {"startLine": found.line},
                },
                "logicalLocations": [{"fullyQualifiedName": name}],
            }
        ],
        # The line is not in it: a finding stays the same when the file grows above it.
        "partialFingerprints": {"cutover/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "suppressions": [suppression] if finding.reason else [],
    }


def _uri(path: str) -> str:
    """Return a path as a URI reference; an absolute one as a file URI."""
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())
