"""The command line of `pytest features/`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fixtures.cluster.inventory import check_files, load_inventory
from fixtures.cluster.twin.blueprint import DEFAULT_NAME, check_name
from fixtures.errors import CutoverError
from signoff import acceptance
from signoff.acceptance import Accepted
from signoff.parallel.controller import workers

#: A worker's twin is NAME-1, and one that is made beside it has a longer name yet.
_LONGEST_NAME = 12


def add(parser: pytest.Parser) -> None:
    """Add cutover's options."""
    group = parser.getgroup("cutover", "cutover: is this Swarm ready to take over production?")
    group.addoption(
        "--inventory", type=Path, metavar="FILE", help="test these servers instead of a twin"
    )
    group.addoption(
        "--twin",
        default=os.environ.get("CUTOVER_TWIN", DEFAULT_NAME),
        metavar="NAME",
        help="the twin to bring up or reuse (default: CUTOVER_TWIN or %(default)s)",
    )
    group.addoption(
        "--keep-cluster", action="store_true", help="leave the twin up for the next run"
    )
    group.addoption(
        "--allow-chaos",
        metavar="CLUSTER",
        help="allow faults on the cluster of that name; needed for anything but a twin",
    )
    group.addoption("--reports", type=Path, default=None, metavar="DIR", help="default: reports/")
    group.addoption(
        "--accept",
        type=Path,
        metavar="FILE",
        help="criteria that someone answers for where this cluster cannot show them",
    )
    group.addoption(
        "--seed", type=int, default=None, metavar="N", help="repeat a run's random choices"
    )


def check(config: pytest.Config) -> None:
    """Refuse bad input before anything is touched. Raises `pytest.UsageError`."""
    try:
        check_name(config.option.twin)
        accepted(config)
        if (count := workers(config)) > 1:
            _check_workers(config, count)
        if config.option.inventory is not None:
            inventory = load_inventory(config.option.inventory)
            check_files(config.option.inventory, inventory)
            allowed = config.option.allow_chaos
            if allowed is not None and allowed != inventory.cluster:
                raise CutoverError(
                    f"{allowed!r} is not the cluster of the inventory, {inventory.cluster!r}",
                    where="--allow-chaos",
                    remedy="Name the cluster that may be broken.",
                )
    except CutoverError as error:
        raise pytest.UsageError(str(error)) from error
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(2**32)


def accepted(config: pytest.Config) -> list[Accepted]:
    """Return what people answer for. Raises `CutoverError`."""
    return acceptance.load(config.option.accept) if config.option.accept is not None else []


def _check_workers(config: pytest.Config, count: int) -> None:
    """Refuse workers that could not each have a twin. Raises `CutoverError`."""
    if config.option.inventory is not None:
        raise CutoverError(
            f"{count} workers would break the same servers at once",
            where="-n with --inventory",
            remedy="Leave -n out: only twins can be tested side by side.",
        )
    if len(config.option.twin) > _LONGEST_NAME:
        raise CutoverError(
            f"{config.option.twin!r} is too long a name for {count} twins",
            where="--twin",
            remedy=f"Use at most {_LONGEST_NAME} characters with -n.",
        )
