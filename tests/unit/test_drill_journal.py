"""The journal: on disk line by line, readable after a kill; and the conditions that abort."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.drills.conditions import Condition, Observed, violated
from chaos.drills.journal import Journal
from signoff import timeline


def written(path: Path) -> Path:
    with Journal(path) as journal:
        journal.drill("d", 7, [{"at": 1.0, "fault": "f", "for": 2.0}], "again", 100.0)
        journal.action("inject", "f", "1", 101.0, 0.1, "")
        journal.action("in force", "f", "1", 101.5, 0.0, "seen")
        journal.requests([{"target": "edge", "due": 101.2, "latency": 0.01, "ok": True}])
        journal.requests([])
        journal.action("inject", "g", "2", 102.0, 0.1, "")
        journal.action("heal", "f", "1", 103.0, 0.1, "")
        journal.steady(104.0, False, "hpr is down")
        journal.end("met", "", 105.0)
    return path


def test_every_line_is_kept_in_order(tmp_path: Path) -> None:
    lines = timeline.read(written(tmp_path / "new" / "journal.jsonl"))
    assert [line["kind"] for line in lines] == [
        *("drill", "action", "action", "request", "action", "action", "steady", "end")
    ]
    assert lines[0]["replay"] == "again"
    assert lines[0]["wall"].endswith("+00:00")
    assert lines[2]["proof"] == "seen"


def test_each_write_is_on_disk_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    path = tmp_path / "journal.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_text()))
    with Journal(path) as journal:
        journal.steady(1.0, True, "")
        assert len(synced) == 1
        assert synced[0].count("\n") == 1


def test_writing_needs_an_open_journal(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Journal(tmp_path / "j").steady(1.0, True, "")


@pytest.mark.parametrize(
    ("condition", "fine", "violating", "words"),
    [
        (
            {"error_budget_percent": 10},
            Observed(requests=100, bad=10),
            Observed(requests=100, bad=11),
            "11 of 100 requests failed: 11.0 %",
        ),
        (
            {"bad_requests_in_a_row": 5},
            Observed(bad_in_a_row=4),
            Observed(bad_in_a_row=5),
            "5 requests in a row",
        ),
        ({"nodes_down": 2}, Observed(nodes_down=["a"]), Observed(nodes_down=["b", "a"]), "a, b"),
        (
            {"replica_lost": True},
            Observed(replica_streaming=True),
            Observed(replica_streaming=False),
            "replica does not stream",
        ),
        (
            {"no_leader_for": 30},
            Observed(without_leader=29.9),
            Observed(without_leader=30),
            "no leader for 30 s",
        ),
    ],
)
def test_each_condition(
    condition: dict[str, float], fine: Observed, violating: Observed, words: str
) -> None:
    found = Condition.model_validate(condition)
    assert violated([found], fine) == ""
    assert words in violated([found], violating)


def test_few_requests_spend_no_budget_and_nobody_looking_loses_no_replica() -> None:
    budget = Condition(error_budget_percent=0)
    assert violated([budget], Observed(requests=49, bad=49)) == ""
    assert violated([budget], Observed(requests=50, bad=1))
    assert violated([Condition(replica_lost=True)], Observed(replica_streaming=None)) == ""
    assert violated([Condition(replica_lost=False)], Observed(replica_streaming=False)) == ""
    assert violated([], Observed(requests=100, bad=100)) == ""
