"""One source, many sinks: none holds up the others, none is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.errors import CutoverError
from fixtures.images.streaming import feed

CHUNKS = [bytes([number]) * (1 << 20) for number in range(40)]


def python(
    code: str, *arguments: str, started: list[subprocess.Popen[bytes]] | None = None
) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys, time; {code}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if started is not None:
            started.append(process)
        return process

    return start


def keeps(file: Path) -> Callable[[], subprocess.Popen[bytes]]:
    return python("open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", str(file))


def test_every_sink_gets_everything(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    feed(CHUNKS, {file.name: keeps(file) for file in files}, timeout=20)
    assert {file.read_bytes() for file in files} == {b"".join(CHUNKS)}


def test_a_failing_sink_is_named_with_its_words_and_the_others_are_served(tmp_path: Path) -> None:
    refuses = python("sys.stdin.buffer.read(10); sys.exit('no space left')")
    with pytest.raises(CutoverError, match="bad: no space left") as raised:
        feed(CHUNKS, {"bad": refuses, "good": keeps(tmp_path / "good")}, timeout=20)
    assert "good" not in str(raised.value)
    assert (tmp_path / "good").read_bytes() == b"".join(CHUNKS)


def test_a_sink_that_takes_nothing_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []
    hangs = python("time.sleep(60)", started=started)
    before = time.monotonic()
    with pytest.raises(CutoverError, match=r"stuck: took no data for 0\.5 s"):
        feed(CHUNKS, {"stuck": hangs, "good": keeps(tmp_path / "good")}, timeout=0.5)
    assert time.monotonic() - before < 10
    assert started[0].poll() is not None
    assert (tmp_path / "good").read_bytes() == b"".join(CHUNKS)


def test_a_sink_that_takes_all_and_never_ends_is_given_up() -> None:
    started: list[subprocess.Popen[bytes]] = []
    hangs = python("sys.stdin.buffer.read(); time.sleep(60)", started=started)
    with pytest.raises(CutoverError, match=r"slow: did not end within 0\.5 s"):
        feed(CHUNKS[:2], {"slow": hangs}, timeout=0.5)
    assert started[0].poll() is not None


def test_success_without_reading_to_the_end_is_not_believed() -> None:
    with pytest.raises(CutoverError, match=r"early: .*[Bb]roken pipe"):
        feed(CHUNKS, {"early": python("sys.stdin.buffer.read(10)")}, timeout=20)


def test_no_process_outlives_a_source_that_breaks_off() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def broken() -> Iterator[bytes]:
        yield CHUNKS[0]
        raise CutoverError("the engine died")

    with pytest.raises(CutoverError, match="the engine died"):
        feed(broken(), {"a": python("time.sleep(60)", started=started)}, timeout=20)
    assert started[0].poll() is not None
