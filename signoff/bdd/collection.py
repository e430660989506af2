"""Collects `.feature` files, so that `pytest features/` needs no test module beside them."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd import scenarios

from signoff.bdd.traps import FeatureTrap, check_feature, count_scenarios, filled_names


class FeatureFile(pytest.Module):
    """One feature file; its scenarios are its tests: `x.feature::test_name[example]`."""

    def _getobj(self) -> types.ModuleType:
        try:
            check_feature(self.path)
        except FeatureTrap as trap:
            raise self.CollectError(str(trap)) from trap
        return _module_with_scenarios(self.path)


def _module_with_scenarios(path: Path) -> types.ModuleType:
    """Return a module holding the file's scenarios; pytest-bdd puts them in its caller's module."""
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    namespace: dict[str, Any] = module.__dict__
    namespace["scenarios"] = scenarios
    code = compile(f"scenarios({str(path)!r})\ndel scenarios", str(path), "exec")
    exec(code, namespace)  # noqa: S102 - it looks at its caller's globals
    return module


def collect(path: Path, parent: pytest.Collector) -> FeatureFile | None:
    """Collect `path` if it is a feature file."""
    if path.suffix != ".feature":
        return None
    collected: FeatureFile = FeatureFile.from_parent(parent, path=path)
    return collected


def left_out(chosen: Iterable[Path], folder: Path) -> list[str]:
    """Name the feature files below `folder` of which not every scenario was chosen.

    `chosen` holds the file of each scenario that was. Whatever left a scenario out: a selection,
    `--ignore`, `--last-failed`, an error in collecting.
    """
    counts = Counter(path.resolve() for path in chosen)
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*.feature"))
        if not _is_whole(path, counts[path.resolve()])
    ]


def _is_whole(path: Path, chosen: int) -> bool:
    try:
        return 0 < chosen == count_scenarios(path)
    except FeatureTrap:
        return False


def tags_below(folder: Path) -> set[str]:
    """Return every tag used in feature files below `folder`, to register as markers."""
    tags = set()
    for path in folder.rglob("*.feature"):
        tags |= tags_of(path)
    return tags


def tags_of(path: Path) -> set[str]:
    """Return every tag used in a feature file."""
    return {
        word[1:]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("@")
        for word in line.split()
        if word.startswith("@")
    }


def features_below(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Return feature file, relative to the folder, → the Feature's name and its scenarios'.

    What is no Gherkin is left out: to collect it is an error that says more.
    """
    found = {}
    for path in sorted(folder.rglob("*.feature")):
        with suppress(FeatureTrap):
            found[path.relative_to(folder).as_posix()] = filled_names(path)
    return found
