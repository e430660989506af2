"""The tools that load is usually made with: wrk (Debian's package), Locust with waiting users."""

from __future__ import annotations

import csv
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fixtures.engine.install import ensure_commands
from fixtures.errors import CutoverError

_PLAIN: Final = Path(__file__).with_name("plain_locustfile.py")
_GRACE_SECONDS: Final = 40
#: wrk's own percentiles have no p95, and are rounded: its script is asked, in microseconds.
_WRK_SCRIPT: Final = """
done = function(summary, latency, requests)
  io.write(string.format("cutover %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a tool reports: latencies and time in seconds, requests; `cpu` seconds that it used."""

    p50: float
    p95: float
    p99: float
    requests: int
    seconds: float
    cpu: float = 0.0


def wrk(url: str, connections: int, seconds: float, folder: Path) -> Reported:
    """Run wrk with one thread, installing it if need be. Raises `CutoverError`."""
    ensure_commands({"wrk": "wrk"}, "wrk, which the benchmark is compared with")
    script = folder / "wrk.lua"
    script.write_text(_WRK_SCRIPT, encoding="utf-8")
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    process = subprocess.Popen(
        [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds:.0f}s", "--timeout", "30s", "--script", str(script), url),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds + _GRACE_SECONDS)
    finally:
        process.kill()
    cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
    found = re.search(r"cutover (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    if not found:
        raise CutoverError(f"said nothing of use: {output[-300:]}", where="wrk")
    requests, duration, p50, p95, p99 = (int(text) for text in found.groups())
    return Reported(p50 / 1e6, p95 / 1e6, p99 / 1e6, requests, duration / 1e6, cpu)


def plain_locust(url: str, users: int, seconds: float, folder: Path) -> Reported:
    """Run Locust with users who wait; what its CSV says. Raises `CutoverError`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(_PLAIN), "--headless", "--host", url),
            *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds:.0f}s"),
            *("--csv", str(folder / "plain"), "--only-summary", "--stop-timeout", "10"),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_SECONDS,
        check=False,
        cwd=folder,
    )
    try:
        with (folder / "plain_stats.csv").open(encoding="utf-8") as file:
            row = next(r for r in csv.DictReader(file) if r["Name"] == "Aggregated")
    except (OSError, StopIteration) as error:
        raise CutoverError(f"left no statistics: {done.stderr[-300:]}", where="locust") from error
    return Reported(
        float(row["50%"]) / 1000,
        float(row["95%"]) / 1000,
        float(row["99%"]) / 1000,
        int(row["Request Count"]),
        seconds,
    )
