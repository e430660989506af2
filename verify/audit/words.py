"""Image references and commands, taken apart: pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from verify.audit.located import Located

SHELLS: Final = ("sh", "bash", "ash", "dash")
_CONTINUED: Final = re.compile(r"\\\n[ \t]*")
_COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Image:
    """A reference: `name` without registry of Docker Hub, `library/`, tag and digest."""

    name: str
    tag: str
    digest: str


def image(reference: str) -> Image:
    """Take a reference apart, as distribution/reference does."""
    rest, _, digest = reference.partition("@")
    head, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    name = f"{head}{slash}{last}"
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        name = name.removeprefix(prefix)
    return Image(name, tag, digest)


@dataclass(frozen=True, slots=True)
class Words:
    """A command: its `words` (none when the text cannot be split) and all that a shell reads.

    In `script`, comments are taken out and variables without a value left in place. `at` is the
    field.
    """

    words: tuple[str, ...]
    script: str
    at: Located

    @property
    def is_text(self) -> bool:
        """Written as one text, which Docker splits like a shell."""
        return not isinstance(self.at.value, list)


def words(at: Located) -> Words:
    """Take a command apart: a list as it is, a text by the rules of a shell."""
    if isinstance(at.value, list):
        parts = [entry.filled.kept for entry in at.list()]
        return Words(tuple(parts), " ".join(map(_script, parts)), at)
    text = at.filled.kept
    try:
        parts = shlex.split(text)
    except ValueError:
        parts = []
    # In a folded text a comment's line holds what follows it, too.
    return Words(tuple(parts), text if at.style == ">" else _script(text), at)


def _script(text: str) -> str:
    return _CONTINUED.sub(" ", _COMMENT.sub("", text))
