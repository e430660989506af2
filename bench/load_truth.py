"""`load_truth_*`: what a load test reports of a server whose behaviour is known, over what is true.

The server answers after a known time and stalls once. What clients that come at the stated rate go
through can be computed from that; a ratio of 1 is the truth. Beside the harness, in the same run
and before the same server: Locust with users that wait for their answer, and wrk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.entry import Entry
from bench.peers import Reported, plain_locust, wrk
from bench.truth import true_latencies
from fixtures.errors import CutoverError
from load.outages import longest_silence
from load.percentiles import percentile
from load.process import prefer
from load.run import LoadRun
from load.traffic import Route, Traffic, steady

_SERVICE_SECONDS: Final = 0.1
_STALL_AT: Final = 4.0
#: Requests a second, the stall and the whole run in seconds: a percentile must not lie where a
#: stall's requests end, because there a single one more or less is hundreds of milliseconds.
_CASES: Final = ((100, 0.5, 20.0), (250, 1.0, 10.0), (100, 4.0, 20.0), (500, 4.0, 20.0))
_PLAIN_USER_RATE: Final = 5  # plain_locustfile.py


@dataclass
class Server:
    """A running truth server; `stalls` are known when they are over."""

    url: str
    process: subprocess.Popen[str]
    stalls: list[tuple[float, float]] = field(default_factory=list)

    def read_stalls(self, count: int) -> None:
        """Read when `count` stalls were. Raises `CutoverError` when there were fewer."""
        assert self.process.stdout is not None
        for _ in range(count):
            words = self.process.stdout.readline().split()
            if len(words) != 2:
                raise CutoverError("a stall did not happen", where="bench.truth_server")
            self.stalls.append((float(words[0]), float(words[1])))


@contextmanager
def truth_server(
    service: float, stalls: list[tuple[float, float]], longest: float
) -> Iterator[Server]:
    """Yield a server on 127.0.0.1, `longest` seconds at most; `stalls` are (after, seconds)."""
    command = [sys.executable, "-m", "bench.truth_server", "--service", str(service)]
    for after, seconds in stalls:
        command += ["--stall", str(after), str(seconds)]
    process = subprocess.Popen(
        [*command, "--seconds", str(longest)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A known time is one that other processes do not lengthen.
    prefer(process.pid, 15)
    try:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
    finally:
        process.kill()
        process.wait()


def traffic(rate: float, seconds: float, timeout: float = 10.0) -> Traffic:
    """Return the profile that asks the truth server."""
    return Traffic(
        name="truth",
        timeout=timeout,
        most_under_way=10_000,
        routes=[Route(name="truth", path="/", key="service", value="truth")],
        shapes={"steady": steady(rate, seconds)},
    )


def run() -> list[Entry]:
    """Run each case with each tool, once."""
    entries = []
    for rate, stall, seconds in _CASES:
        entries += _case(rate, stall, seconds)
    return entries


def _case(rate: int, stall: float, seconds: float) -> list[Entry]:
    stalls = [(_STALL_AT, stall)]
    name = f"{rate}_stall_{stall:g}s"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with truth_server(_SERVICE_SECONDS, stalls, 60) as server:
            profile = traffic(rate, seconds)
            with LoadRun(profile, profile.shape(), {"here": server.url}, folder / "ours") as ours:
                ours.wait_end()
            server.read_stalls(1)
            samples = ours.all_samples()
            if objections := ours.objections():
                raise CutoverError("; ".join(objections), where=f"load_truth_{name}")
            true = true_latencies([s.due for s in samples], _SERVICE_SECONDS, server.stalls)
            true_stall = server.stalls[0][1] - server.stalls[0][0]
        found = {
            "ours": (
                percentile([s.latency for s in samples], 95),
                percentile([s.latency for s in samples], 99),
            )
        }
        users = rate // _PLAIN_USER_RATE
        connections = max(1, round(rate * _SERVICE_SECONDS))
        with truth_server(_SERVICE_SECONDS, stalls, 90) as server:
            plain: Reported = plain_locust(server.url, users, seconds, folder)
        found["plain_locust"] = (plain.p95, plain.p99)
        with truth_server(_SERVICE_SECONDS, stalls, 90) as server:
            peer = wrk(server.url, connections, seconds, folder)
        found["wrk"] = (peer.p95, peer.p99)
    silence = longest_silence(samples)
    assert silence is not None
    entries = [
        Entry(
            f"load_truth_{tool}_{name}_p{rank}",
            1000 * value,
            "ms",
            1000 * percentile(true, rank),
            n,
        )
        for tool, values in found.items()
        for rank, value, n in zip((95, 99), values, (1, 1), strict=True)
    ]
    return [*entries, Entry(f"load_truth_ours_{name}_outage", silence.seconds, "s", true_stall, 1)]
