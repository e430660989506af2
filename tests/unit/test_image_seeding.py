"""Images given to engines that are off: shared layers, records of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from docker.errors import DockerException

from fixtures.cluster.twin import seeding
from fixtures.cluster.twin.agents import link_images
from tests.unit.chaos_builders import quiet

BASE, TOP, OTHER = "aa", "bb", "cc"
CHAINS = {"aa1": ("", "sha256:aa"), "bb1": ("sha256:aa1", "sha256:bb"), "cc1": ("", "sha256:cc")}


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """The folder of an engine with two layers of one image, and a third of another."""
    store = tmp_path / "image/overlay2"
    (tmp_path / "overlay2/l").mkdir(parents=True)
    for chain, (parent, diff) in CHAINS.items():
        record = store / "layerdb/sha256" / chain
        record.mkdir(parents=True)
        (record / "diff").write_text(diff)
        (record / "cache-id").write_text(f"cache-{chain}")
        if parent:
            (record / "parent").write_text(parent)
        layer = tmp_path / f"overlay2/cache-{chain}"
        (layer / "diff/etc").mkdir(parents=True)
        (layer / "diff/etc/passwd").write_text(chain)
        (layer / "diff/etc").chmod(0o750)
        (layer / "link").write_text(chain.upper())
        (tmp_path / f"overlay2/l/{chain.upper()}").symlink_to(f"../cache-{chain}/diff")
    content = store / "imagedb/content/sha256"
    content.mkdir(parents=True)
    for image, layers in {"one": [BASE, TOP], "two": [OTHER]}.items():
        diffs = [f"sha256:{layer}" for layer in layers]
        (content / image).write_text(json.dumps({"rootfs": {"diff_ids": diffs}}))
    (tmp_path / "volumes/node/_data").mkdir(parents=True)
    return tmp_path


def test_layers_are_shared_and_records_are_not(engine: Path) -> None:
    link_images.give(str(engine), {"cutover/web:1": "sha256:one"}, "node")
    node = engine / "volumes/node/_data"
    assert sorted(p.name for p in (node / "overlay2").iterdir()) == ["cache-aa1", "cache-bb1", "l"]
    ours, theirs = (root / "overlay2/cache-bb1/diff/etc/passwd" for root in (engine, node))
    assert ours.samefile(theirs)
    assert theirs.parent.stat().st_mode & 0o777 == 0o750
    assert (node / "overlay2/l/BB1").readlink() == Path("../cache-bb1/diff")
    record = "image/overlay2/layerdb/sha256/bb1/cache-id"
    assert (node / record).read_text() == "cache-bb1"
    assert not (node / record).samefile(engine / record)
    assert json.loads((node / "image/overlay2/repositories.json").read_text()) == {
        "Repositories": {"cutover/web": {"cutover/web:1": "sha256:one"}}
    }


def test_an_image_whose_layers_are_gone_is_never_named(engine: Path) -> None:
    (engine / "image/overlay2/layerdb/sha256/aa1").rename(
        engine / "image/overlay2/layerdb/sha256/aa1-1234-removing"
    )
    with pytest.raises(KeyError):
        link_images.give(str(engine), {"cutover/web:1": "sha256:one"}, "node")
    assert not (engine / "volumes/node/_data/image").exists()


def client(**info: Any) -> MagicMock:
    made = MagicMock()
    made.info.return_value = {"Driver": "overlay2", "DockerRootDir": "/somewhere", **info}
    return made


def seed(made: MagicMock, images: dict[str, str]) -> None:
    with quiet():
        seeding.seed(
            made,
            image="node",
            images=images,
            volumes=["v"],
            name="n",
            labels={"cutover": "t"},
        )


@pytest.mark.parametrize(("driver", "images"), [("overlayfs", {"a:1": "x"}), ("overlay2", {})])
def test_an_engine_of_another_kind_is_left_alone(driver: str, images: dict[str, str]) -> None:
    made = client(Driver=driver)
    seed(made, images)
    made.containers.run.assert_not_called()


def test_nodes_load_their_images_where_nothing_can_be_linked() -> None:
    made = client()
    made.containers.run.side_effect = DockerException("no such folder")
    seed(made, {"a:1": "x"})
    assert made.containers.run.call_args.kwargs["labels"] == {"cutover": "t"}
    made.containers.get.return_value.remove.assert_called_once_with(force=True)
    made.volumes.get.return_value.remove.assert_called_once_with()
    made.volumes.create.assert_called_once_with("v", labels={"cutover": "t"})
