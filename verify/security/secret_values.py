"""The values of the secrets in use, and the forms in which one may have leaked. Never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from fixtures.cluster.cluster import Cluster, Node

#: Anything shorter is found everywhere by chance.
SHORTEST: Final = 8
_READ_SECONDS: Final = 30.0
# Base64, because a value may have lines, and no word of it is on a command line.
_READ: Final = """
for pid in $(docker ps -q | xargs -r docker inspect -f '{{.State.Pid}}'); do
  for file in /proc/$pid/root/run/secrets/*; do
    [ -f "$file" ] && printf '%s %s\\n' "${file##*/}" "$(base64 -w0 <"$file")"
  done
done | sort -u
"""


@dataclass(frozen=True, repr=False)
class Secret:
    """One secret; `name` is its file's in /run/secrets."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"<Secret {self.name}>"


def in_use(cluster: Cluster) -> list[Secret]:
    """Read every secret that a running container has, on every node. Raises `CutoverError`."""

    def read(node: Node) -> list[Secret]:
        return parse(node.run(_READ, timeout=_READ_SECONDS).stdout)

    return sorted(
        {secret for found in cluster.on_all(read).values() for secret in found},
        key=lambda secret: secret.name,
    )


def parse(text: str) -> list[Secret]:
    """Read lines of `name base64`; empty secrets are left out."""
    pairs = (line.partition(" ")[::2] for line in text.splitlines() if line)
    found = [
        Secret(name, base64.b64decode(coded).decode(errors="replace").strip())
        for name, coded in pairs
    ]
    return [secret for secret in found if secret.value]


def missing(secrets: Iterable[Secret], wanted: Iterable[str]) -> list[str]:
    """Return the names of `wanted` that no container has, so that they cannot be looked for."""
    return sorted(set(wanted) - {secret.name for secret in secrets})


def unsearchable(secrets: Iterable[Secret]) -> list[str]:
    """Return the names of those that are too short to be looked for (or to be a secret)."""
    return sorted({secret.name for secret in secrets if not _tokens(secret.value)})


def forms(secret: Secret) -> frozenset[bytes]:
    """Return the ways in which the value may stand in a file: as it is, and encoded.

    Base64 at each of its three alignments, without the characters that depend on what stands
    beside it, so that `user:password` in base64 is found as well.
    """
    found: set[str] = set()
    for token in _tokens(secret.value):
        raw = token.encode()
        found |= {token, quote(token, safe=""), quote_plus(token), raw.hex()}
        found |= {json.dumps(token)[1:-1], _as_go_writes(token)}
        found |= {core for offset in range(3) for core in _base64_cores(raw, offset)}
    return frozenset(form.encode() for form in found)


def _as_go_writes(token: str) -> str:
    """As JSON from Go, the engine's logs of containers among it: safe in HTML (encoding/json)."""
    text = json.dumps(token, ensure_ascii=False)[1:-1]
    return "".join(f"\\u{ord(c):04x}" if c in "<>&" else c for c in text)


def _tokens(value: str) -> Sequence[str]:
    """Return the lines to look for: of a key the second half, for the first is alike in all."""
    lines = [line.strip() for line in value.splitlines()]
    body = [line for line in lines if not line.startswith("-----")]
    chosen = body if len(body) < 2 else body[len(body) // 2 :]
    return [line for line in chosen if len(line) >= SHORTEST]


def _base64_cores(raw: bytes, offset: int) -> list[str]:
    left = (0, 2, 3)[offset]
    right = (0, 3, 2)[(offset + len(raw)) % 3]
    padded = b"\0" * offset + raw
    plain = base64.b64encode(padded).decode()
    safe = base64.urlsafe_b64encode(padded).decode()
    return [text[left : len(text) - right] for text in (plain, safe)]


def found_in(content: bytes, secrets: Mapping[Secret, frozenset[bytes]]) -> list[str]:
    """Return the names of the secrets of which a form is in `content`."""
    return sorted(
        {s.name for s, patterns in secrets.items() if any(form in content for form in patterns)}
    )
