"""Image references and commands, taken apart: pure."""

from __future__ import annotations

import re
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


def split(text: str) -> list[str]:
    """Split a command as Docker does (google/shlex). Raises `ValueError` for an open quotation.

    Unlike a shell it drops every backslash between double quotes, and takes # for a comment.
    """
    found: list[str] = []
    word: list[str] | None = None
    quote, escaped, comment = "", False, False
    for char in text:
        if comment:
            comment = char != "\n"
        elif escaped:
            word, escaped = [*(word or []), char], False
        elif char == "\\" and quote != "'":
            word, escaped = word or [], True
        elif quote:
            if char == quote:
                quote = ""
            else:
                assert word is not None
                word.append(char)
        elif char in "'\"":
            word, quote = word or [], char
        elif char in " \t\r\n":
            if word is not None:
                found.append("".join(word))
            word = None
        elif char == "#" and word is None:
            comment = True
        else:
            word = [*(word or []), char]
    if quote or escaped:
        raise ValueError("a quotation without an end")
    return found if word is None else [*found, "".join(word)]


def words(at: Located) -> Words:
    """Take a command apart: a list as it is, a text by the rules of a shell."""
    if isinstance(at.value, list):
        parts = [entry.filled.kept for entry in at.list()]
        return Words(tuple(parts), " ".join(map(_script, parts)), at)
    text = at.filled.kept
    try:
        parts = split(text)
    except ValueError:
        parts = []
    # In a folded text a comment's line holds what follows it, too.
    return Words(tuple(parts), text if at.style == ">" else _script(text), at)


def _script(text: str) -> str:
    return _CONTINUED.sub(" ", _COMMENT.sub("", text))
