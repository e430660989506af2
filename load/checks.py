"""What a target is, and when an answer of it is right. A 200 with the wrong content is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A route asked at every entry of the cluster, and the answer that it must give.

    `entries` maps an entry's name to its URL. The answer must have status 200 and a JSON body in
    which `key` (dots go down) is `value`; `served_by` names the key that tells who answered.
    """

    name: str
    entries: Mapping[str, str]
    key: str
    value: str
    served_by: str = "node"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {**asdict(self), "entries": dict(self.entries)}


def verdict(target: Target, status: int, body: bytes) -> tuple[str, str]:
    """Judge an answer: (`ok` or what is wrong with it, who served it)."""
    if status != 200:
        return f"status {status}", ""
    try:
        content = json.loads(body)
    except ValueError:
        return f"wrong body: {body[:80]!r}", ""
    if _dig(content, target.key) != target.value:
        return f"wrong body: {body[:80]!r}", ""
    return "ok", str(_dig(content, target.served_by) or "")


def _dig(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = content.get(key) if isinstance(content, dict) else None
    return content
