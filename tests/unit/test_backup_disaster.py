"""What a disaster cost, and how several restores of one size are put together."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.errors import CutoverError, RemoteTimeout
from signoff.outcome import Inconclusive, Missed
from signoff.recorder import Measure, Recorder
from steps import disaster as steps
from verify.backups import disaster
from verify.backups.disaster import Loss, Moved, loss, silence
from verify.backups.extrapolation import Point
from verify.backups.recovery import typical


def test_what_was_acknowledged_before_the_loss_is_looked_for() -> None:
    acknowledged = {"a": 1.0, "b": 2.0, "c": 3.0, "after": 11.0}
    assert loss(acknowledged, {"a"}, 10.0) == Loss(acknowledged=3, lost=2, seconds=8.0)


def test_a_hole_in_the_middle_counts_from_its_first() -> None:
    assert loss({"a": 1.0, "b": 2.0, "c": 3.0}, {"a", "c"}, 10.0) == Loss(3, 1, 8.0)


def test_nothing_lost_is_no_time_lost() -> None:
    assert loss({"a": 1.0}, {"a", "more"}, 10.0) == Loss(1, 0, 0.0)


def test_restores_of_one_size_are_their_middle_with_half_their_range() -> None:
    found = typical([Point(5, 2.0, 0.1), Point(5, 3.0, 0.2)])
    assert (found.size, found.seconds, found.error) == (5, pytest.approx(2.55), pytest.approx(0.65))


def test_the_silence_before_the_loss_is_from_the_last_acknowledgement_before_it() -> None:
    assert silence({"a": 1.0, "b": 7.0, "after": 11.0}, 10.0) == 3.0
    assert silence({"after": 11.0}, 10.0) == math.inf


@pytest.mark.parametrize(
    ("acknowledged", "found", "end"),
    [
        ({"a": 10.0, "b": 20.0}, {"a", "b"}, Inconclusive),  # all of before the backup
        ({"a": 10.0, "b": 20.0}, {"b"}, Missed),
        ({"a": 10.0, "b": 99.0}, {"a", "b"}, None),
        ({}, {"other"}, Inconclusive),
    ],
    ids=["it had ended", "it had ended and lost", "it wrote until the loss", "it never wrote"],
)
def test_a_client_that_ended_before_the_loss_proves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    acknowledged: dict[str, float],
    found: set[str],
    end: type[Exception] | None,
) -> None:
    monkeypatch.setattr(disaster, "tokens_in", lambda *_: found)
    writer = SimpleNamespace(acknowledged=acknowledged, ended_by="the connection is closed")
    lost: Any = SimpleNamespace(at=100.0, writer=writer, subject=SimpleNamespace(source=None))
    measure = Measure(Recorder(tmp_path / "m.jsonl"), feature="f", scenario="s")
    cluster: Any = None
    if end is None:
        steps.bounded_loss(cluster, lost, 60, measure)
        return
    with pytest.raises(end):
        steps.bounded_loss(cluster, lost, 60, measure)
    if end is Inconclusive:
        assert "the connection is closed" in measure.recorded[-1].reason


def test_the_service_is_put_back_though_the_node_was_not_healed() -> None:
    done: list[str] = []

    def heal() -> None:
        raise CutoverError("it does not start")

    chaos: Any = SimpleNamespace(heal=heal)
    moved: Any = SimpleNamespace(put_back=lambda: done.append("put back"))
    with pytest.raises(CutoverError, match="it does not start"):
        steps.put_back(chaos, moved)
    assert done == ["put back"]


def test_each_part_is_put_back_though_the_one_before_it_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def update(self: Moved, change: str, service: str) -> None:
        done.append(change)
        if "constraint" in change:
            raise RemoteTimeout("no answer")

    monkeypatch.setattr(Moved, "_update", update)
    monkeypatch.setattr(Moved, "_forget", lambda self: done.append("forget"))
    monkeypatch.setattr(Moved, "_wait_for_home", lambda self: done.append("wait"))
    cluster: Any = None
    source: Any = SimpleNamespace(service="db")
    to: Any = SimpleNamespace(name="n2")
    with pytest.raises(RemoteTimeout, match="no answer"):
        Moved(cluster, source, "replica", "n1", to, "pause").put_back()
    assert done[1:] == ["--replicas 1", "forget", "wait", "--update-failure-action pause"]
