"""Entries of a service's lists, whatever form the file uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from verify.audit.located import Located

#: `[address:][published[-last]:]target[-last][/protocol]`
_PORT: Final = re.compile(
    r"(?:(?:\[.*\]|[^:]*):)??(?:(\d+)(?:-(\d+))?:)?(\d+)(?:-(\d+))?(?:/(\w+))?"
)


@dataclass(frozen=True, slots=True)
class Port:
    """A published port. `published` is None where Swarm chooses one."""

    published: int | None
    target: int
    protocol: str
    mode: str
    at: Located


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted: `kind` is volume, bind, tmpfs …; an anonymous volume has no source."""

    kind: str
    source: str
    target: str
    read_only: bool
    at: Located


@dataclass(frozen=True, slots=True)
class Use:
    """A secret, config or network that a service uses; `target` is its file, where it has one."""

    name: str
    target: str
    at: Located


def ports_of(entry: Located) -> Iterator[Port]:
    """Read an entry of `ports`; a range is several. Raises `ValueError` for what is no port."""
    if isinstance(entry.value, dict):
        yield _long_port(entry)
        return
    match = _PORT.fullmatch(entry.text)
    if match is None:
        raise ValueError(f"{entry.text!r} is no port")
    first, _, start, end, protocol = match.groups()
    for offset in range(int(end or start) - int(start) + 1):
        published = int(first) + offset if first else None
        yield Port(published, int(start) + offset, (protocol or "tcp").lower(), "ingress", entry)


def _long_port(entry: Located) -> Port:
    published, target, mode, protocol = (
        found.text if found is not None else ""
        for found in map(entry.get, ("published", "target", "mode", "protocol"))
    )
    return Port(
        int(published) if published.isdigit() else None,
        int(target) if target.isdigit() else 0,
        protocol.lower() or "tcp",
        mode or "ingress",
        entry,
    )


def assigned(entry: Located) -> tuple[str, Located]:
    """Split `NAME=value`, or `NAME` alone, as a list of variables has it."""
    name, assigned, _ = entry.filled.text.partition("=")
    raw, kept = (text.partition("=")[2] for text in (entry.filled.text, entry.filled.kept))
    filled = replace(entry.filled, text=raw, kept=kept)
    return name, replace(entry, value=raw if assigned else None, filled=filled)


def mount_of(entry: Located) -> Mount:
    """Read an entry of `volumes`."""
    if isinstance(entry.value, dict):
        read_only = entry.get("read_only")
        kind, source, target = (entry.get(key) for key in ("type", "source", "target"))
        return Mount(
            kind.text if kind else "volume",
            source.text if source else "",
            target.text if target else "",
            read_only is not None and read_only.text.lower() == "true",
            entry,
        )
    source_text, colon, rest = entry.text.partition(":")
    if not colon:
        return Mount("volume", "", source_text, False, entry)
    target_text, _, options = rest.partition(":")
    kind_text = "bind" if source_text.startswith(("/", ".", "~")) else "volume"
    return Mount(kind_text, source_text, target_text, "ro" in options.split(","), entry)


def use_of(entry: Located, kind: str) -> Use:
    """Read an entry of `networks`, `secrets` or `configs`."""
    if not isinstance(entry.value, dict):
        target = entry.text if kind == "secrets" else f"/{entry.text}"
        return Use(entry.text, target, entry)
    source, given = entry.get("source"), entry.get("target")
    name = source.text if source else ""
    return Use(name, given.text if given else name, entry)
