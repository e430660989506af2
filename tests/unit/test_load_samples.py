"""Reading a probe's file while it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from load.samples import HEADER, TRAILER, Recording
from tests.unit.load_builders import series

LINES = [sample.as_line() + "\n" for sample in series("++-++")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def seqs(recording: Recording) -> list[int]:
    return [sample.seq for sample in recording.samples("shop")]


def test_nothing_is_there_before_the_probe_writes(file: Path) -> None:
    assert Recording(file).samples("shop") == []
    file.touch()
    assert Recording(file).samples("shop") == []


def test_a_sample_survives_the_file(file: Path) -> None:
    file.write_text("".join(LINES))
    assert Recording(file).samples("shop") == series("++-++")


def test_it_is_read_on_as_it_grows(file: Path) -> None:
    recording = Recording(file)
    with file.open("a") as growing:
        for index, line in enumerate(LINES):
            growing.write(line[:9])
            growing.flush()
            assert seqs(recording) == list(range(index))
            growing.write(line[9:])
            growing.flush()
            assert seqs(recording) == list(range(index + 1))


def test_a_last_line_that_was_cut_off_is_left_out(file: Path) -> None:
    whole, cut = series("++")
    file.write_text(whole.as_line() + "\n" + cut.as_line()[:20])
    assert Recording(file).samples("shop") == [whole]


@pytest.mark.parametrize("line", ["{", '{"target": "shop"}', "{}"])
def test_a_whole_line_that_is_no_sample_is_an_error(file: Path, line: str) -> None:
    file.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"."):
        Recording(file).samples("shop")


def test_a_quick_answer_waits_for_the_slow_one_that_was_due_before(file: Path) -> None:
    """Else five good ones could end an outage while bad ones are still running into timeouts."""
    recording = Recording(file)
    file.write_text(LINES[0] + LINES[3] + LINES[4] + LINES[1])
    assert seqs(recording) == [0, 1]
    with file.open("a") as growing:
        growing.write(LINES[2])
    assert [sample.ok for sample in recording.samples("shop")] == [True, True, False, True, True]


def test_targets_do_not_wait_for_each_other(file: Path) -> None:
    other = LINES[0].replace('"shop"', '"cart"')
    file.write_text(LINES[1] + other)
    recording = Recording(file)
    assert recording.samples("shop") == []
    assert len(recording.samples("cart")) == 1


def test_header_and_trailer_are_no_samples(file: Path) -> None:
    file.write_text(
        json.dumps({HEADER: {"t0": 1.0}})
        + "\n"
        + LINES[0]
        + json.dumps({TRAILER: {"at": 2}})
        + "\n"
    )
    recording = Recording(file)
    assert seqs(recording) == [0]
    assert recording.header == {"t0": 1.0}
    assert recording.trailer == {"at": 2}
