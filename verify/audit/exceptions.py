"""Written reasons: which finding is accepted, where, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fixtures.errors import CutoverError
from fixtures.reasons import written_reason
from verify.audit.located import Located, read

_EXAMPLE: Final = "docs/audit.md shows an exceptions file."
_FIELDS: Final = {"rule", "for", "reason"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Findings of `rule` about one of `subjects` are accepted because of `reason`.

    A subject `stack/*` is every service of the stack.
    """

    rule: str
    subjects: tuple[str, ...]
    reason: str
    path: str
    line: int

    def pattern_for(self, subject: str) -> str | None:
        """Return which of `subjects` stands for a finding's subject, if one does."""
        return next((each for each in self.subjects if covers(each, subject)), None)


def covers(pattern: str, subject: str) -> bool:
    """Whether a subject of a reason stands for one of a finding."""
    every = pattern.endswith("/*") and subject.startswith(pattern[:-1])
    return every or pattern == subject


def load_exceptions(path: Path, rules: Collection[str]) -> list[Reason]:
    """Read an exceptions file. Raises `CutoverError` naming file, line, field and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CutoverError("cannot be read", where=str(path), remedy="Check the path.") from error
    return parse_exceptions(text, rules, source=str(path))


def parse_exceptions(text: str, rules: Collection[str], *, source: str) -> list[Reason]:
    """Read an exceptions file's text."""
    root = read(text.replace("$", "$$"), {}, source=source)
    entries = root.get("exceptions")
    if set(root.map()) != {"exceptions"} or entries is None or not isinstance(entries.value, list):
        raise CutoverError(
            "must have one key, exceptions, with a list", where=source, remedy=_EXAMPLE
        )
    return [
        _one(entry, f"exceptions[{i}]", rules, source) for i, entry in enumerate(entries.list())
    ]


def _one(entry: Located, field: str, rules: Collection[str], source: str) -> Reason:
    def wrong(what: str, remedy: str, of: str = "") -> CutoverError:
        where = f"{source}:{entry.line}: {field}" + (f".{of}" if of else "")
        return CutoverError(what, where=where, remedy=remedy)

    unknown = set(entry.map()) - _FIELDS
    if not isinstance(entry.value, dict) or unknown:
        raise wrong(f"{', '.join(sorted(unknown)) or 'not a mapping'}: unknown", _EXAMPLE)
    rule, subjects, reason = (entry.get(key) for key in ("rule", "for", "reason"))
    if rule is None or rule.text not in rules:
        name = rule.text if rule is not None else ""
        raise wrong(f"there is no rule {name!r}", "--list-rules shows them all.", "rule")
    try:
        why = written_reason(reason.text if reason is not None else "")
    except ValueError:
        remedy = "Say in a sentence why that is right."
        raise wrong("no written reason", remedy, "reason") from None
    names = [each.text for each in subjects.list()] if subjects is not None else []
    if not names or not all(names):
        raise wrong("names nothing", "List stack/service, stack/*, a stack or a node.", "for")
    return Reason(rule.text, tuple(names), why, source, entry.first)


def check_subjects(exceptions: Sequence[Reason], subjects: Collection[str]) -> None:
    """Raise `CutoverError` for an exception of something that is not audited."""
    for exception in exceptions:
        for name in exception.subjects:
            if not any(covers(name, subject) for subject in subjects):
                raise CutoverError(
                    f"there is no {name!r} in what is audited",
                    where=f"{exception.path}:{exception.line}: for",
                    remedy="Correct it (stack/service, stack/*, stack, node), or audit its file.",
                )
