"""The picture of acknowledged writes, and what is left in the run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes

from signoff import write_plots
from signoff.plots import Window
from signoff.write_plots import Mark, attach_writes, picture_name, write_figure

MARKS = [Mark(10 + n / 10, 0.01, "acknowledged") for n in range(20)] + [
    Mark(12.05, 0.02, "lost"),
    Mark(12.15, 2.0, "unknown"),
    Mark(12.25, 0.0, "refused"),
]


def labels(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.get_legend().get_texts()]  # type: ignore[union-attr]


def test_every_kind_is_counted_and_lost_writes_stand_out() -> None:
    figure = write_figure("Kill", MARKS, [Window("kill", 12.0, 13.0)], origin=12.0)
    counts, times = figure.axes
    assert labels(counts) == ["20 acknowledged", "1 lost", "1 unknown", "1 refused"]
    # The second of the fault holds one of each but the acknowledged, on top of each other.
    tops = [bar.get_y() + bar.get_height() for bar in counts.patches if bar.get_x() == 0]  # type: ignore[attr-defined]
    assert max(tops[:3]) == 3
    assert times.get_xlabel() == "seconds since the fault"


def test_a_history_of_nothing_can_be_drawn() -> None:
    assert write_figure("Kill", [], [], origin=0.0).axes


def test_picture_counts_and_history_are_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached: dict[str, str] = {}
    monkeypatch.setattr(
        write_plots, "attach_file", lambda path, name: attached.__setitem__(name, path.name)
    )
    monkeypatch.setattr(
        write_plots, "attach_text", lambda text, name: attached.__setitem__(name, text)
    )
    history = tmp_path / "history.jsonl"
    history.write_text('["end",1.0,"told to stop"]\n')
    rows = [{"writes": "acknowledged, and lost", "count": "1"}]
    attach_writes("A kill", tmp_path, MARKS, [("kill", 12.0, None)], rows, history)
    assert attached["Acknowledged writes"] == "a-kill.writes.png"
    assert attached["The writers' history"] == "a-kill.writes.history.jsonl"
    assert "acknowledged, and lost" in attached["What became of the writes"]
    assert (tmp_path / picture_name("A kill")).exists()
    kept = tmp_path / "evidence/a-kill.writes.history.jsonl"
    assert kept.read_text() == history.read_text()
    history.write_text("later\n")
    attach_writes("A kill", tmp_path, MARKS, [], rows, history, 2)
    assert kept.read_text() != history.read_text(), "the first writers' is evidence, too"
    assert attached["Acknowledged writes"] == "a-kill.2.writes.png"
