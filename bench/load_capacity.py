"""`load_capacity`, `load_overhead_*`: how much one process of the generator can send, at what cost.

Capacity is the highest rate at which 99 of 100 requests leave within 10 ms of when they are due;
the floor is what wrk gets through before the same server. Overhead is held against wrk at the same
rate, in CPU time a request and in the median latency.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from bench.entry import Entry
from bench.load_truth import traffic, truth_server
from bench.peers import wrk
from fixtures import progress
from fixtures.errors import CutoverError
from load.percentiles import percentile
from load.run import LoadRun
from load.shapes import Step
from load.validity import LEAST_RATE

_SERVICE_SECONDS: Final = 0.005
_START, _MOST, _FACTOR, _LEVEL_SECONDS = 100.0, 6400.0, 2**0.5, 5.0
_MOST_LAG: Final = 0.010
_OVERHEAD_RATE: Final = 200
_OVERHEAD_SECONDS: Final = 15.0


def run() -> list[Entry]:
    """Measure both, once."""
    with tempfile.TemporaryDirectory() as place:
        return [_capacity(Path(place)), *_overhead(Path(place))]


def _capacity(folder: Path) -> Entry:
    profile = traffic(1, 1, timeout=2)
    shape = Step(kind="step", start=_START, most=_MOST, factor=_FACTOR, seconds=_LEVEL_SECONDS)
    with truth_server(_SERVICE_SECONDS, [], 180) as server:
        with LoadRun(profile, shape, {"here": server.url}, folder / "capacity") as load:
            load.wait_end()
        samples, t0 = load.all_samples(), load.t0 or 0.0
        peer = wrk(server.url, 200, _LEVEL_SECONDS, folder)
    highest = 0.0
    for start, end, rate in load.plan.levels():
        lags = [s.lag for s in samples if t0 + start <= s.due < t0 + end]
        on_time = [s for s in samples if t0 + start <= s.started < t0 + end]
        lag = percentile(lags, 99)
        progress.say(f"  {rate:.0f}/s: generator lag p99 {1000 * lag:.1f} ms")
        if lag > _MOST_LAG or len(on_time) < LEAST_RATE * rate * (end - start):
            break
        highest = rate
    if not highest:
        raise CutoverError(f"the generator lags at {_START:.0f}/s already", where="load_capacity")
    return Entry("load_capacity", highest, "/s", peer.requests / peer.seconds, 1)


def _overhead(folder: Path) -> list[Entry]:
    profile = traffic(_OVERHEAD_RATE, _OVERHEAD_SECONDS, timeout=2).model_copy(
        update={"connections": "kept"}
    )
    with truth_server(_SERVICE_SECONDS, [], 120) as server:
        with LoadRun(profile, profile.shape(), {"here": server.url}, folder / "ours") as load:
            load.wait_end()
        connections = max(1, round(_OVERHEAD_RATE * _SERVICE_SECONDS))
        peer = wrk(server.url, connections, _OVERHEAD_SECONDS, folder)
    samples = load.all_samples()
    ours = percentile([s.latency for s in samples], 50)
    return [
        Entry("load_overhead_latency", 1000 * ours, "ms", 1000 * peer.p50, len(samples)),
        Entry(
            "load_overhead_cpu",
            1e6 * load.cpu_seconds() / len(samples),
            "us",
            1e6 * peer.cpu / peer.requests,
            len(samples),
        ),
    ]
