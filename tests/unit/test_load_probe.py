"""The probe as a real process, against servers on 127.0.0.1 that do as they are told."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually
from load import findings
from load.asking import Pool, ask
from load.availability import AvailabilityProbe
from load.checks import Target
from load.outages import Outage, outages
from load.probe import Probe
from load.samples import Recording, Sample
from load.settings import Settings
from tests.unit.load_builders import ScriptedServer

ROOT = Path(__file__).parents[2]
RATE = 10.0
NOWHERE = "http://127.0.0.1:9/"
FAULTS = {
    "stall": "timeout",
    "refuse": "refused",
    "reset": "reset",
    "close": "closed without an answer",
    "garbage": "not HTTP",
    "status": "status 503",
    "wrong": """wrong body: b'{"service": "other"}'""",
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def target(*urls: str, name: str = "shop") -> Target:
    return Target(name, {f"n{i}": url for i, url in enumerate(urls)}, "service", "shop")


# --- an outage of 3 s, of each kind, seen by one probe


@dataclass
class Seen:
    """What the probe saw, and (before, after) of when each server failed and came back."""

    probe: AvailabilityProbe
    failed: dict[str, tuple[float, float]]
    mended: dict[str, tuple[float, float]]

    def outage(self, fault: str) -> Outage:
        (outage,) = outages(self.probe.samples(fault))
        return outage

    def during(self, fault: str) -> list[Sample]:
        start, end = self.failed[fault][1], self.mended[fault][0]
        return [s for s in self.probe.samples(fault) if start <= s.due < end]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with ExitStack() as stack:
        servers = {fault: ScriptedServer() for fault in FAULTS}
        for server in servers.values():
            stack.callback(server.close)
        targets = [target(server.url, name=fault) for fault, server in servers.items()]
        probe = AvailabilityProbe(targets, RATE, tmp_path_factory.mktemp("probe"))
        with probe:
            probe.wait_until_good(n=20, within=30)
            failed = {fault: server.behave(fault) for fault, server in servers.items()}
            probe.mark("fault", at=min(after for _, after in failed.values()))
            probe.wait_for(3)
            mended = {fault: server.behave("good") for fault, server in servers.items()}
            probe.mark("recovery")
            probe.wait_for(2)
        yield Seen(probe, failed, mended)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_is_measured_within_its_stated_error(seen: Seen, fault: str) -> None:
    outage = seen.outage(fault)
    failed, mended = Instant.between(*seen.failed[fault]), Instant.between(*seen.mended[fault])
    assert outage.seconds is not None
    slack = failed.error + mended.error
    assert abs(outage.seconds - (mended.at - failed.at)) <= outage.error + slack
    result = findings.recovery(seen.probe, fault, failed, within=60)
    assert result.reason == ""
    assert abs(result.seconds - (mended.at - failed.at)) <= result.error + mended.error


@pytest.mark.parametrize(("fault", "said"), FAULTS.items())
def test_what_is_not_the_right_answer_is_bad(seen: Seen, fault: str, said: str) -> None:
    results = {s.entries["n0"] for s in seen.during(fault)} - {"ok"}
    assert results == {said}
    problems, asked = findings.wrong_answers(seen.probe)
    assert asked > 7 * 40
    assert any(p.startswith(f"{fault}: ") and p.endswith(said) for p in problems)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_due_in_the_outage_was_sent(seen: Seen, fault: str) -> None:
    """A closed loop would send one request into the stall, wait, and report one slow answer."""
    during = seen.during(fault)
    assert 28 <= len(during) <= 32
    slow = [s for s in during if not s.ok or s.latency > 0.15]
    assert len(slow) >= 27


def test_a_sound_measurement_is_not_objected_to(seen: Seen) -> None:
    assert findings.objections(seen.probe) == []


@pytest.mark.quiet
def test_each_phase_has_its_own_results(seen: Seen) -> None:
    steady, fault, recovery = findings.by_phase(seen.probe, "refuse")
    assert [r.phase.name for r in (steady, fault, recovery)] == ["steady", "fault", "recovery"]
    assert steady.bad == 0
    assert fault.bad >= 27
    assert recovery.n > recovery.bad
    assert steady.p99 is not None
    assert steady.p99 < 1


def test_the_file_tells_what_was_asked_and_how_it_ended(seen: Seen) -> None:
    recording = Recording(seen.probe.file)
    first = recording.samples("refuse")[0]
    assert first.due == recording.header["t0"]
    assert abs(recording.header["wall"] - time.time()) < 600
    assert recording.header["config"]["rate"] == RATE
    assert recording.trailer["reason"] == "SIGTERM"
    assert first.served_by == "n1"


# --- entries


def test_one_entry_that_answers_is_enough(server: ScriptedServer, tmp_path: Path) -> None:
    with AvailabilityProbe([target(NOWHERE, server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
    assert probe.samples("shop")[0].entries["n1"] == "ok"


def sample_of(target: Target, *, timeout: float = 1.0, pool: Pool | None = None) -> Sample:
    return asyncio.run(ask(target, 0, time.monotonic(), timeout, pool or Pool()))


def test_a_server_that_does_not_close_has_answered(server: ScriptedServer) -> None:
    server.behave("open")
    assert sample_of(target(server.url)).ok


def test_the_environments_proxy_is_not_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert sample_of(target(server.url)).ok


def test_a_stalled_entry_does_not_hold_up_the_other(server: ScriptedServer) -> None:
    stalled = ScriptedServer()
    stalled.behave("stall")
    try:
        sample = sample_of(target(stalled.url, server.url), timeout=5)
    finally:
        stalled.close()
    assert sample.ok
    assert sample.latency < 2
    assert sample.entries == {"n0": "not awaited", "n1": "ok"}


def test_a_full_pool_is_a_bad_result_not_a_wait(server: ScriptedServer) -> None:
    sample = sample_of(target(server.url, server.url), pool=Pool(most=1))
    assert not sample.ok
    assert set(sample.entries.values()) == {"not sent: 0 under way already"}


# --- what never is good must not look good


def test_a_target_that_never_existed_is_never_good(tmp_path: Path) -> None:
    with AvailabilityProbe([target(NOWHERE)], RATE, tmp_path) as probe:
        with pytest.raises(NeverTrue, match=r"shop: 0 of 5 good, .*refused"):
            probe.wait_until_good(n=5, within=3)
        assert findings.good_share(probe, "shop", 1)[0] == 0
        now = Instant(time.monotonic() - 2, 0.1)
        assert findings.recovery(probe, "shop", now, within=2).reason != ""
        probe.mark("fault")
    assert findings.objections(probe) == [
        "shop: only 0 good answers before the fault (at least 20)"
    ]


# --- endings


def test_the_requests_under_way_are_awaited_when_it_is_stopped(
    server: ScriptedServer, tmp_path: Path
) -> None:
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
        server.behave("stall")
        probe.wait_for(0.5)
    last = probe.samples("shop")[-1]
    assert not last.ok
    assert last.entries == {"n0": "timeout"}
    assert probe.failure == ""
    probe.stop()


def test_a_killed_probe_leaves_a_readable_file_and_an_error(
    server: ScriptedServer, tmp_path: Path
) -> None:
    with AvailabilityProbe([target(server.url)], RATE, tmp_path) as probe:
        probe.wait_until_good(n=5, within=20)
        assert probe.pid is not None
        os.kill(probe.pid, signal.SIGKILL)
        eventually(lambda: bool(probe.failure) or Pending("it runs"), within=10, what="its end")
        with pytest.raises(CutoverError, match="ended by itself with status -9"):
            probe.wait_until_good(n=2, within=5)
        with pytest.raises(CutoverError, match="ended by itself"):
            findings.recovery(probe, "shop", Instant(time.monotonic(), 0.0), within=5)
    assert len(probe.samples("shop")) >= 5
    assert "ended by itself with status -9" in findings.objections(probe)[0]


def test_a_probe_whose_time_is_over_is_objected_to(server: ScriptedServer, tmp_path: Path) -> None:
    with AvailabilityProbe([target(server.url)], RATE, tmp_path, longest=0.5) as probe:
        eventually(lambda: bool(probe.failure) or Pending("it runs"), within=20, what="its end")
    assert findings.objections(probe) == [
        "the probe ended by itself with status 0: its duration is over"
    ]
    assert len(probe.samples("shop")) == 5


def test_the_probe_does_not_depend_on_the_working_folder(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with AvailabilityProbe([target(server.url)], RATE, Path()) as probe:
        probe.wait_until_good(n=2, within=20)


def test_the_probe_ends_with_its_parent(server: ScriptedServer, tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from load.availability import AvailabilityProbe
from load.checks import Target
target = Target("shop", {{"n": {server.url!r}}}, "service", "shop")
with AvailabilityProbe([target], 10, Path({str(tmp_path)!r})) as probe:
    probe.wait_until_good(n=2, within=20)
    print(probe.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.communicate(timeout=10)

    def gone() -> bool | Pending:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z" or Pending("the probe still runs")

    eventually(gone, within=10, what="probe ended")
    recording = Recording(tmp_path / "samples.jsonl")
    assert len(recording.samples("shop")) >= 2
    assert recording.trailer["reason"] == "its parent ended"


class FullDisk(io.StringIO):
    """Takes three lines."""

    def write(self, line: str, /) -> int:
        if self.getvalue().count("\n") == 3:
            raise OSError(28, "No space left on device")
        return super().write(line)


def test_a_sample_that_cannot_be_written_ends_the_probe(server: ScriptedServer) -> None:
    async def run() -> str:
        return await Probe(Settings([target(server.url)], duration=30), FullDisk()).run()

    started = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(run())
    assert time.monotonic() - started < 10


# --- by hand


def by_hand(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "load.probe", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_one_target_can_be_asked_by_hand(server: ScriptedServer, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = by_hand(
        *("--output", str(output), "--entry", server.url, "--name", "shop", "--text", "shop"),
        *("--duration", "0.5"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    recording = Recording(output)
    assert [sample.ok for sample in recording.samples("shop")] == [True] * 5
    assert recording.trailer["reason"] == "its duration is over"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "error: target target: no entry is given"),
        (["--entry", NOWHERE], "no content check is given"),
        (["--entry", "n1:80", "--text", "x"], "no http or https URL"),
        (["--entry", NOWHERE, "--text", "x", "--duration", "1e6"], "duration is over 3600 s"),
        (["--config", "absent.json"], "not the settings of a probe"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = by_hand("--output", str(tmp_path / "out"), *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interrupt_ends_it_in_order(server: ScriptedServer, tmp_path: Path) -> None:
    config, output = tmp_path / "probe.json", tmp_path / "out.jsonl"
    config.write_text(json.dumps(Settings([target(server.url)], duration=30).as_json()))
    recording = Recording(output)
    command = [sys.executable, "-m", "load.probe", "--config", config, "--output", output]
    with subprocess.Popen(command, cwd=ROOT) as process:
        eventually(
            lambda: len(recording.samples("shop")) >= 2 or Pending("few"), within=20, what="samples"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    recording.samples("shop")
    assert recording.trailer["reason"] == "SIGINT"
