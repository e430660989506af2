"""YAML in which every value knows its line, with anchors, merges and variables resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from fixtures.errors import CutoverError
from verify.audit.interpolation import Filled, fill

_NOTHING: Final = Filled("", "")
#: Above it a file is not a stack but aliases of aliases.
_MOST_VALUES: Final = 200_000
#: go-yaml, which Docker uses, knows neither yes/no/on/off nor numbers of base 60 (22:22).
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False}
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9]\d*)")
_FLOAT: Final = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][-+]?\d+)")


@dataclass(frozen=True, slots=True)
class Located:
    """A value, where it stands and how it was written.

    `value`: a dict or list of `Located`, or a scalar. `line` (from 1) is the key's where there is
    one, `first` and `last` are the value's own. `style`: the quotation mark, `>`, `|` or nothing.
    """

    value: Any
    line: int
    first: int
    last: int
    style: str = ""
    filled: Filled = _NOTHING

    @property
    def text(self) -> str:
        """A scalar as Docker reads it; empty for null and for collections."""
        return (
            "" if self.value is None or isinstance(self.value, (dict, list)) else self.filled.text
        )

    def get(self, path: str) -> Located | None:
        """Return what is at a dotted path, or None where nothing or null is."""
        here: Located | None = self
        for key in path.split("."):
            if here is None or not isinstance(here.value, dict):
                return None
            here = here.value.get(key)
        return here if here is not None and here.value is not None else None

    def map(self) -> dict[str, Located]:
        """Return the entries of a mapping, none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def list(self) -> list[Located]:
        """Return the entries of a list, none for anything else."""
        return self.value if isinstance(self.value, list) else []


def walk(value: Located, path: str = "") -> Iterator[tuple[str, Located]]:
    """Yield every scalar below `value` with its dotted path."""
    if isinstance(value.value, dict):
        for key, entry in value.value.items():
            yield from walk(entry, f"{path}.{key}" if path else key)
    elif isinstance(value.value, list):
        for index, entry in enumerate(value.value):
            yield from walk(entry, f"{path}[{index}]")
    else:
        yield path, value


def read(text: str, variables: Mapping[str, str], *, source: str) -> Located:
    """Parse a YAML text. Raises `CutoverError` naming file, line and field."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise CutoverError(
            f"is not YAML ({' '.join(str(error).split())})",
            where=f"{source}:{mark.line + 1}" if mark else source,
            remedy="Mend the syntax at that line.",
        ) from error
    if node is None:
        raise CutoverError("is empty", where=source, remedy="Name a stack file.")
    return _Reader(variables, source).build(node, "")


class _Reader:
    """Turns PyYAML's nodes into values; aliases become copies, so that each has its own path."""

    def __init__(self, variables: Mapping[str, str], source: str) -> None:
        self._variables = variables
        self._source = source
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, path: str) -> Located:
        self._count += 1
        if id(node) in self._open or self._count > _MOST_VALUES:
            raise self._wrong(node, path, "an alias without an end", "Take the alias away.")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._located(node, self._mapping(node, path))
            if isinstance(node, yaml.SequenceNode):
                entries = [self.build(each, f"{path}[{i}]") for i, each in enumerate(node.value)]
                return self._located(node, entries)
            assert isinstance(node, yaml.ScalarNode)
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Located]:
        own: dict[str, Located] = {}
        merged: dict[str, Located] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, path, "a key that is not text", "Write a name.")
            if key.tag == "tag:yaml.org,2002:merge":
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    found = self.build(each, path)
                    if not isinstance(found.value, dict):
                        raise self._wrong(key, path, "<< of what is no mapping", "Merge a mapping.")
                    merged = {**found.value, **merged}
                continue
            name = key.value
            if name in own:
                raise self._wrong(key, path, f"{name!r} is given twice", "Keep one of them.")
            built = self.build(value, f"{path}.{name}" if path else name)
            own[name] = replace(built, line=key.start_mark.line + 1)
        return {**merged, **own}

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Located:
        filled = fill(node.value, self._variables)
        for name, said in filled.required:
            raise self._wrong(
                node,
                path,
                f"the variable {name} is needed" + (f" ({said})" if said else ""),
                f"Give it with --set {name}=VALUE or --env-file FILE.",
            )
        style = node.style or ""
        plain = not style and "$" not in node.value
        value = _typed(node.value) if plain else filled.text
        return self._located(node, value, style, filled)

    def _located(
        self, node: yaml.Node, value: Any, style: str = "", filled: Filled = _NOTHING
    ) -> Located:
        first = node.start_mark.line + 1
        # A block ends where the next thing begins, at that line's start.
        last = node.end_mark.line + (1 if node.end_mark.column else 0)
        return Located(value, first, first, max(first, last), style, filled)

    def _wrong(self, node: yaml.Node, path: str, what: str, remedy: str) -> CutoverError:
        where = f"{self._source}:{node.start_mark.line + 1}"
        return CutoverError(what, where=f"{where}: {path}" if path else where, remedy=remedy)


def _typed(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
