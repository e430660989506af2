"""Writers of Redis keys: they find the master, once and again after it has moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.waiting import Pending, eventually
from load.writes.checker import check
from load.writes.run import WriteRun
from tests.unit.redis_lab import write_package
from tests.unit.writes_lab import ORDERS, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    write_package(tmp_path)
    return Lab(tmp_path)


def roles(lab: Lab, a: str, b: str) -> None:
    (lab.folder / "role-a").write_text(a)
    (lab.folder / "role-b").write_text(b)


def writing(lab: Lab) -> WriteRun:
    told = {**ORDERS, "kind": "redis", "port": 6379}
    return WriteRun(
        lab, "c0ffee", told, lab.folder / "history.jsonl", rate=100.0, timeout=0.3, longest=60
    )


def moved(run: WriteRun) -> bool | Pending:
    last = run.writes()[-1:]
    servers = {write.detail for write in run.writes() if write.acknowledged}
    return servers == {"a", "b"} or Pending(f"{servers}, last {last}")


def test_writers_follow_the_master_and_no_refused_key_is_written(lab: Lab) -> None:
    roles(lab, "master", "slave")
    with writing(lab) as run:
        run.wait_until_acknowledged(n=20, within=20)
        roles(lab, "slave", "master")
        eventually(lambda: moved(run), within=20, what="b is written to")
        run.wait_until_acknowledged(n=20, within=20)
    checked = check(run.writes(), lab.rows())
    assert checked.lost == ()
    assert checked.impossible() == []
    assert any("READONLY" in write.detail for write in checked.refused_absent)


def test_without_a_master_every_host_says_why(lab: Lab) -> None:
    roles(lab, "refused", "slave")
    why = "no free connection (a: connection refused; b is a slave)"

    def told() -> bool | Pending:
        details = {write.detail for write in run.writes()}
        return why in details or Pending(str(details))

    with writing(lab) as run:
        eventually(told, within=20, what="the reason")
    assert lab.rows() == {}


def test_an_image_without_the_module_says_so(lab: Lab) -> None:
    (lab.folder / "redis" / "__init__.py").write_text("raise ImportError('No module named redis')")
    with pytest.raises(Exception, match="lacks a Python module: No module named redis"):
        writing(lab).__enter__()
