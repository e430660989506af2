"""Images: which one runs, and what it understands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from verify.audit.known_images import known
from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service


@service_rule(
    "floating-tag",
    Level.WARNING,
    Criterion.UPDATES,
    "`latest` or no tag: what runs depends on when its node pulled it",
    "Name a version, or a digest.",
)
def floating_tag(service: Service, audit: Audit) -> Iterator[Found]:
    """A failover may start another version, and a roll-back has nothing to go back to."""
    image = service.image
    if not image.digest and image.tag in ("", "latest"):
        tag = "latest" if image.tag else "no tag"
        yield at(service, "image", "image", f"{image.name}: {tag}")


@service_rule(
    "unknown-variable",
    Level.ERROR,
    Criterion.RUNNING,
    "a variable that the image does not know: it changes nothing",
    "Take it away, and do in a command what it was meant to do.",
)
def unknown_variable(service: Service, audit: Audit) -> Iterator[Found]:
    """Of images whose variables are documented; a script may read any, so it is looked into."""
    image = known(service.image.name)
    if image is None:
        return
    scripts = "\n".join(command.script for _, command in service.commands)
    hint = f". {image.hint}" if image.hint else ""
    for name, entry in service.environment.items():
        if not image.knows(name) and name not in scripts:
            message = f"{service.image.name} does not know {name}{hint}"
            yield at(service, entry, f"environment.{name}", message, needle=name)
            hint = ""


_RUNS: Final = re.compile(r"(?:^|&&|[;|'\"])\s*(?:-\s+)?['\"]?(?:exec\s+)?postgres\s+-")
_DROPS_ROOT: Final = re.compile(r"\b(?:gosu|su-exec|setpriv|runuser|docker-entrypoint\.sh)\b")


@service_rule(
    "database-as-root",
    Level.ERROR,
    Criterion.REPLICAS,
    "the official PostgreSQL image leaves root only for the command `postgres`: it does not start",
    "Start it by `exec docker-entrypoint.sh postgres …`, or set user: postgres.",
)
def database_as_root(service: Service, audit: Audit) -> Iterator[Found]:
    """Its entrypoint runs any other command as root, and initialises nothing."""
    if service.image.name != "postgres" or service.get("user") is not None:
        return
    for field, command in service.commands:
        first = command.words[0] if command.words else ""
        if field == "healthcheck.test" or first == "postgres" or first.startswith("-"):
            continue
        if _DROPS_ROOT.search(command.script):
            continue
        for number in range(command.at.first, command.at.last + 1):
            line = service.stack.lines[number - 1].strip()
            if _RUNS.search(line):
                yield at(service, command.at, field, f"{first} runs postgres as root", needle=line)
                break
