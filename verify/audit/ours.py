"""The stacks that this project deploys, at the plan's sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from fixtures.stacks import catalogue
from fixtures.stacks.deploy import Settings
from verify.audit.stack import Stack, parse

EXCEPTIONS: Final = catalogue.FOLDER / "audit" / "exceptions.yml"
ROOT: Final = catalogue.FOLDER.parents[1]
#: A twin builds its images and tags them by their content.
IMAGES: Final = {
    name: f"cutover/{name}:built"
    for name in {
        *catalogue.IMAGES.values(),
        *(image for stack in catalogue.ON_DEMAND.values() for image in stack.images.values()),
    }
}
#: What only a standing twin knows (`fixtures.cluster.twin.on_demand`).
_BACKUP_HOST: Final = {
    "CUTOVER_BACKUP_REMOTE": "backups@backup-host",
    "CUTOVER_BACKUP_PATH": "/srv/backups",
    "CUTOVER_BACKUP_HOST_KEY": "ssh-ed25519 …",
    "CUTOVER_BACKUP_HOST_ADDRESS": "192.0.2.44",
}


def stacks(settings: Settings | None = None) -> list[Stack]:
    """Read every stack of the catalogue as `settings` deploy it, without their memory divisor.

    A twin divides limits and has a part of the servers' memory, so both are judged undivided.
    """
    base = settings or Settings(images=IMAGES)
    plain = replace(base, memory_divisor=1.0).environment()
    return [_read(name, {**plain, **further(name)}) for name in names()]


def _needed(text: str) -> Mapping[str, str]:
    """Return values of variables that a scenario gives its stack: a number that may be a name."""
    return dict.fromkeys(re.findall(r"\$\{(\w+):?\?", text), "1")


def names() -> list[str]:
    """Return the stacks' names, those on demand last."""
    return [*catalogue.STACKS, *catalogue.ON_DEMAND]


def further(name: str) -> Mapping[str, str]:
    """Return the variables of a stack on demand that `Settings` does not have."""
    stack = catalogue.ON_DEMAND.get(name)
    if stack is None:
        return {}
    images = {variable: IMAGES[image] for variable, image in stack.images.items()}
    configs = dict.fromkeys((*stack.configs, *stack.made), "cutover-config")
    return {**_BACKUP_HOST, **images, **configs, **stack.variables}


def _read(name: str, variables: Mapping[str, str]) -> Stack:
    folder = catalogue.FOLDER / "on_demand" if name in catalogue.ON_DEMAND else catalogue.FOLDER
    text = catalogue.stack_text(name)
    values = {**_needed(text), **variables}
    return parse(text, values, name=name, source=_shown(folder / f"{name}.yml"))


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
