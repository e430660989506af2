"""A recipe's hash names its image: anything that decides what is in it must change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import CutoverError
from fixtures.images import recipes
from fixtures.images.builder import superseded


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "service").mkdir()
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (tmp_path / "service/run").write_text("#!/bin/sh\n")
    return tmp_path


def test_the_same_files_give_the_same_hash(recipe: Path) -> None:
    (recipe / "__pycache__").mkdir()
    before = recipes.digest(recipe, "base")
    (recipe / "__pycache__/x.pyc").write_bytes(b"\0")
    assert recipes.digest(recipe, "base") == before
    assert len(before) == 12


def test_contents_modes_names_and_base_all_count(recipe: Path) -> None:
    run = recipe / "service/run"
    seen = {recipes.digest(recipe, "base"), recipes.digest(recipe, "another base")}
    run.chmod(0o755)
    seen.add(recipes.digest(recipe, "base"))
    run.write_text("#!/bin/bash\n")
    seen.add(recipes.digest(recipe, "base"))
    run.rename(recipe / "service/start")
    seen.add(recipes.digest(recipe, "base"))
    assert len(seen) == 5


def test_every_recipe_of_the_project_has_a_tag() -> None:
    names = [path.parent.name for path in recipes.FOLDER.glob("*/Dockerfile")]
    assert {"node", "web", "postgres", "redis", "haproxy"} <= set(names)
    assert len({recipes.tag(name) for name in names}) == len(names)
    with pytest.raises(CutoverError, match="no image recipe 'nothing'"):
        recipes.tag("nothing")


def test_the_newest_versions_and_the_one_in_use_are_kept() -> None:
    created = {"a": "2026-01-01", "b": "2026-01-02", "c": "2026-01-03", "d": "2026-01-04"}
    assert superseded(created, {"d"}) == ["b", "a"]
    assert superseded(created, {"a"}) == ["b"]
    assert superseded({}, set()) == []
