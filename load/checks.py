"""What a target is, and when an answer of it is right. A 200 with the wrong content is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from fixtures.errors import CutoverError

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Target:
    """A route asked at every entry of the cluster, and the answer that it must give.

    `entries` maps an entry's name to its URL. The answer must have `status` and pass every check
    that is given, at least one: a JSON body in which `key` (dots go down) is `value` (JSON's own
    spelling of what is no string: `true`, `3`); a body that contains `text`; a body in which the
    regular expression `pattern` is found. `served_by` names the key that tells who answered.

    Raises `CutoverError` when an entry is no http or https URL with a host, or no check is given.
    """

    name: str
    entries: Mapping[str, str]
    key: str = ""
    value: str = ""
    served_by: str = "node"
    text: str = ""
    pattern: str = ""
    status: int = 200

    def __post_init__(self) -> None:
        where = f"target {self.name}"
        if not self.entries:
            raise CutoverError("no entry is given", where=where, remedy="Name at least one URL.")
        for entry, url in self.entries.items():
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise CutoverError(
                    f"{url!r} is no http or https URL with a host", where=f"{where}, entry {entry}"
                )
        if not (self.key or self.text or self.pattern):
            raise CutoverError(
                "no content check is given", where=where, remedy="Give key and value, or a text."
            )
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise CutoverError(f"{self.pattern!r}: {error}", where=f"{where}, pattern") from error

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {**asdict(self), "entries": dict(self.entries)}


def verdict(target: Target, status: int, body: bytes) -> tuple[str, str]:
    """Judge an answer: (`ok` or what is wrong with it, who served it)."""
    if status != target.status:
        return f"status {status}", ""
    content = _json(body)
    text = body.decode("utf-8", "replace")
    right = (
        (not target.key or _spelled(_dig(content, target.key)) == target.value)
        and target.text in text
        and (not target.pattern or re.search(target.pattern, text) is not None)
    )
    if not right:
        return f"wrong body: {body[:80]!r}", ""
    return "ok", _spelled(_dig(content, target.served_by)) or ""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _dig(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = content.get(key, _ABSENT) if isinstance(content, dict) else _ABSENT
    return content


def _spelled(found: Any) -> str | None:
    if found is _ABSENT:
        return None
    return found if isinstance(found, str) else json.dumps(found)
