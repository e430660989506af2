"""Values of stack file variables: options and files with a NAME=VALUE a line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fixtures.errors import CutoverError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variables(files: Iterable[Path], given: Iterable[str]) -> dict[str, str]:
    """Return all values, the later ones stronger. Raises `CutoverError`."""
    found: dict[str, str] = {}
    for path in files:
        found |= read_file(path)
    for text in given:
        name, value = _pair(text, "--set")
        found[name] = value
    return found


def read_file(path: Path) -> dict[str, str]:
    """Read a file of variables; empty lines and lines that begin with # count for nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CutoverError("cannot be read", where=str(path), remedy="Check the path.") from error
    pairs = (
        _pair(line.strip(), f"{path}:{number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    return dict(pairs)


def _pair(text: str, where: str) -> tuple[str, str]:
    name, assigned, value = text.partition("=")
    if not assigned or not _NAME.fullmatch(name):
        raise CutoverError(f"{text!r} sets nothing", where=where, remedy="Write NAME=VALUE.")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name, value
