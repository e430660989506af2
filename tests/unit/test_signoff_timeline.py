"""A drill's timeline, drawn again from nothing but its journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.drills.journal import Journal
from fixtures.errors import CutoverError
from signoff import timeline


def journal(folder: Path) -> Path:
    path = folder / "journal.jsonl"
    with Journal(path) as lines:
        lines.drill("week one", 7, [], "again", 100.0)
        lines.action("inject", "network.cut node='hpr'", "1", 110.0, 0.1, "")
        lines.action("inject", "node.freeze node='hpr'", "2", 112.0, 0.1, "")
        lines.requests(
            [{"target": "edge", "due": 105.0 + i, "latency": 0.01, "ok": i != 6} for i in range(20)]
        )
        lines.action("heal", "network.cut node='hpr'", "1", 115.0, 0.1, "")
        lines.action("abort", "", "", 116.0, 0.0, "no leader for 30 s")
        lines.end("aborted", "no leader for 30 s", 125.0)
    return path


def test_windows_events_and_requests_are_those_of_the_journal(tmp_path: Path) -> None:
    figure = timeline.figure(timeline.read(journal(tmp_path)))
    (axis,) = figure.axes
    names = {text.get_text() for text in axis.texts}
    assert names == {
        "network.cut node='hpr'",
        "node.freeze node='hpr'",
        "aborted: no leader for 30 s",
        "aborted",
    }
    assert figure.get_suptitle() == "week one, seed 7"
    good, bad = axis.collections[:2]
    assert len(good.get_offsets()) == 19
    assert [point[0] for point in bad.get_offsets()] == [pytest.approx(1.0)]  # 111 - 110


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_command_writes_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    output = tmp_path / f"picture.{suffix}"
    assert timeline.main([str(journal(tmp_path)), "-o", str(output)]) == 0
    assert output.stat().st_size > 5000
    assert capsys.readouterr().out.strip() == str(output)


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = journal(tmp_path)
    whole = timeline.read(path)
    path.write_text(path.read_text() + '{"kind": "requ')
    assert timeline.read(path) == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("rubbish\n", "line 1"),
        (json.dumps({"kind": "end"}) + "\n", "line 1"),
        (json.dumps({"kind": "drill"}) + "\n[]\n{}\n", "line 2"),
    ],
)
def test_what_is_no_journal(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "j"
    path.write_text(text)
    with pytest.raises(CutoverError, match=words):
        timeline.read(path)


def test_mistakes_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert timeline.main([str(tmp_path / "none")]) == 2
    assert timeline.main([str(journal(tmp_path)), "-o", "x.gif"]) == 2
    assert "must end with .png or .svg" in capsys.readouterr().err
