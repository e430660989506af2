"""Which stack files a cluster is given, and what the audit finds in them."""

from __future__ import annotations

from fixtures.cluster.inventory import AuditEntry, Inventory
from fixtures.errors import CannotProve
from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from verify.audit import ours, text
from verify.audit.audit import Result, judge
from verify.audit.exceptions import load_exceptions
from verify.audit.nodes import nodes_of
from verify.audit.rule import RULES, Level
from verify.audit.stack import load
from verify.audit.variables import read_file


def audited(inventory: Inventory, source: str, settings: Settings | None) -> Result:
    """Judge our own stacks if there are `settings` to deploy them with, else the inventory's.

    `source` names the inventory in findings. Raises `CutoverError`, and `CannotProve` for an
    inventory that names none.
    """
    nodes = nodes_of(inventory)
    if settings is not None:
        reasons = load_exceptions(ours.EXCEPTIONS, RULES)
        stacks = ours.stacks(settings)
        return judge(stacks, nodes, reasons, inventory=source, apart=catalogue.ALTERNATIVES)
    entry = inventory.audit
    if entry is None:
        raise CannotProve(
            "no stack files are named",
            where="audit.stacks of the inventory",
            remedy="Name the files that are deployed there (docs/audit.md).",
        )
    return _of_entry(entry, inventory, source)


def _of_entry(entry: AuditEntry, inventory: Inventory, source: str) -> Result:
    values = read_file(entry.variables) if entry.variables is not None else {}
    stacks = [load(path, values) for path in entry.stacks]
    reasons = load_exceptions(entry.exceptions, RULES) if entry.exceptions is not None else []
    return judge(stacks, nodes_of(inventory), reasons, inventory=source)


def problems(result: Result, level: Level) -> list[str]:
    """Return a line for everything at `level` or worse that has no written reason."""
    return [text.line(finding) for finding in result.open(level)]
