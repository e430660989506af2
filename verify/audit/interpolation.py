"""Compose variables as `docker stack deploy` fills them in, and what it makes of the rest.

The syntax is docker/cli's (cli/compose/template): $$, $NAME, ${NAME}, ${NAME:-default},
${NAME-default}, ${NAME:?error}, ${NAME?error}. Nothing is nested: its default ends at the first
brace. What it refuses (`$(`, `${NAME#x}`, `${NAME:+x}`) it lets pass, as nothing, when a valid
variable follows in the same text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_VARIABLE: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>:?[-?][^}]*)?\}|(?P<invalid>))"
)


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its variables filled in.

    `kept`: the same, with those left in place that have neither a value nor a default. `unset`:
    their names. `used`: the names of all. `required`: those that have to be given, with what is
    said then. `invalid`: the places that are no variable.
    """

    text: str
    kept: str
    used: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    required: tuple[tuple[str, str], ...] = ()
    invalid: tuple[str, ...] = ()


def fill(text: str, variables: Mapping[str, str]) -> Filled:
    """Fill `variables` into `text`."""
    if "$" not in text:
        return Filled(text, text)
    used: list[str] = []
    unset: list[str] = []
    required: list[tuple[str, str]] = []
    invalid: list[str] = []

    def value(match: re.Match[str], *, keep: bool) -> str:
        if match["escaped"]:
            return "$"
        name = match["named"] or match["braced"]
        if name is None:
            invalid.append(text[match.start() : match.start() + 12].splitlines()[0])
            return "$" if keep else ""
        used.append(name)
        rest = match["rest"] or ""
        if name in variables and (variables[name] or not rest.startswith(":")):
            return variables[name]
        operator, said = rest.lstrip(":")[:1], rest.lstrip(":")[1:]
        if operator == "-":
            if "${" in said:
                invalid.append(match[0])
            return said
        if operator == "?":
            required.append((name, said))
        else:
            unset.append(name)
        return match[0] if keep else ""

    filled = _VARIABLE.sub(lambda match: value(match, keep=False), text)
    found = (tuple(used), tuple(unset), tuple(required), tuple(invalid))
    kept = _VARIABLE.sub(lambda match: value(match, keep=True), text)
    return Filled(filled, kept, *found)
