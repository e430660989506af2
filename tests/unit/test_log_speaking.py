"""What containers are made to say, by the scripts that nodes run, into a process' real pipes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.cluster.ssh import CommandFailed
from tests.unit.local_machine import LocalConnection
from verify.logs import speaking
from verify.logs.speaking import Speaker
from verify.logs.texts import line_of

DOCKER = """#!/bin/sh
case $1 in
    ps) echo 1f ;;
    inspect) echo "1f {pid} /web.1.x stack_web" ;;
    kill) kill -9 {pid} ;;
esac
"""


class LocalCluster:
    """One node, which is this machine."""

    def __init__(self) -> None:
        self.nodes = {"here": Machine("here", LocalConnection())}  # type: ignore[arg-type]

    def node(self, name: str) -> Machine:
        return self.nodes[name]

    def on_all(self, action: Callable[[Any], Any], nodes: list[Machine]) -> dict[str, Any]:
        return {node.name: action(node) for node in nodes}


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Yield an idle process, which a `docker` of ours calls a container."""
    process = subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(pid=process.pid))
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    yield process
    process.kill()
    process.communicate()


def test_every_output_gets_its_line(process: subprocess.Popen[bytes]) -> None:
    before = time.time_ns()
    said = speaking.every_container_says(LocalCluster())  # type: ignore[arg-type]
    assert said.unsaid == ()
    assert [(line.stream, line.container, line.service, line.node) for line in said.lines] == [
        ("stdout", "web.1.x", "stack_web", "here"),
        ("stderr", "web.1.x", "stack_web", "here"),
    ]
    for line in said.lines:
        assert before <= line.after_ns <= line.before_ns <= time.time_ns()
        assert said.mark in line.text
    process.kill()
    out, err = process.communicate()
    assert [out.decode(), err.decode()] == [f"{line.text}\n" for line in said.lines]


def test_an_output_that_cannot_be_seen_is_not_one_without_a_pipe() -> None:
    """Without root /proc shows nothing of others' processes: nobody looked there."""
    unseen, plain = (
        Speaker("n", "1f", 7, "web.1.x", "stack_web", outputs)
        for outputs in (("-", "-"), ("/dev/null", "/dev/null"))
    )
    assert not speaking._why_silent(unseen).endswith(speaking.NO_PIPE)
    assert "needs root" in speaking._why_silent(unseen)
    assert speaking._why_silent(plain).endswith(speaking.NO_PIPE)


def test_a_node_on_which_nothing_was_written_is_told() -> None:
    speaker = Speaker("n", "1f", 7, "web.1.x", "stack_web", ("pipe:[1]", "pipe:[1]"))
    line = speaker.line("text", "", (1, 2))
    said = speaking.joined("mark", {"n": ([line], []), "m": ([], ["db.1 on m: no pipe"])})
    assert said.unsaid == ("db.1 on m: no pipe", "m: no container there wrote a line")


def test_a_node_whose_engine_does_not_answer_is_not_one_without_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be demanded of it."""
    docker = tmp_path / "docker"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    assert speaking.speakers(LocalCluster().node("here")) == []  # type: ignore[arg-type]
    docker.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n")
    with pytest.raises(CommandFailed, match="Cannot connect"):
        speaking.speakers(LocalCluster().node("here"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("at_a_time", "pause"), [(0, 0.0), (2, 0.01)])
def test_lines_of_its_own_and_then_death(
    process: subprocess.Popen[bytes], at_a_time: int, pause: float
) -> None:
    (speaker,) = speaking.speakers(LocalCluster().node("here"))  # type: ignore[arg-type]
    assert isinstance(speaker, Speaker)
    said = speaking.own_say(
        LocalCluster(),  # type: ignore[arg-type]
        {"here": speaker},
        lambda node, mark: [line_of(f"{mark} {n}", 3000, 'a"\\%s é') for n in range(5)],
        at_a_time=at_a_time,
        pause=pause,
        then="docker kill {0.id}",
    )
    out, _ = process.communicate(timeout=10)
    assert process.returncode == -9
    assert out.decode().splitlines() == [line.text for line in said.lines]
    assert {line.stream for line in said.lines} == {"stdout"}
