"""The availability probe: a process of its own that asks targets at fixed moments.

Open loop: request i is due at t0 + i/rate whatever became of those before it, each on a connection
of its own, and latency counts from when it was due. `python -m load.probe --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from load import http10
from load.checks import Target, verdict
from load.samples import NOT_AWAITED, Sample

_PR_SET_PDEATHSIG = 1


async def probe(targets: list[Target], config: dict[str, Any], output: TextIO) -> None:
    """Ask every target `rate` times a second for `duration` seconds; one line a sample."""
    rate, timeout = float(config["rate"]), float(config["timeout"])
    started = time.monotonic()
    last = started + float(config["duration"])
    pending: set[asyncio.Task[None]] = set()
    index = 0
    while (due := started + index / rate) < last:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for target in targets:
            task = asyncio.create_task(_ask(target, due, timeout, output))
            pending.add(task)
            task.add_done_callback(pending.discard)
        index += 1
    await asyncio.gather(*pending)


async def _ask(target: Target, due: float, timeout: float, output: TextIO) -> None:
    """Ask all entries side by side; the first right answer ends the sample."""
    started = time.monotonic()
    results: dict[str, str] = {}
    served_by, ended, ok = "", 0.0, False
    asks = {
        asyncio.create_task(_get(target, url, timeout)): name
        for name, url in target.entries.items()
    }
    waiting = set(asks)
    while waiting and not ok:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            result, who = task.result()
            results[asks[task]] = result
            if result == "ok" and not ok:
                ok, served_by, ended = True, who, time.monotonic()
    ended = ended or time.monotonic()
    for task in waiting:
        task.cancel()
        results[asks[task]] = NOT_AWAITED
    sample = Sample(target.name, due, started, ended, ok, results, served_by)
    output.write(sample.as_line() + "\n")
    output.flush()


async def _get(target: Target, url: str, timeout: float) -> tuple[str, str]:
    try:
        async with asyncio.timeout(timeout):
            status, body = await http10.get(url)
    except TimeoutError:
        return "timeout", ""
    except ConnectionRefusedError:
        return "refused", ""
    except http10.BadAnswer as error:
        return str(error), ""
    except OSError as error:
        return f"broken: {type(error).__name__}", ""
    return verdict(target, status, body)


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (prctl(2), Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)  # it ended before we asked


def main() -> int:
    """Run until the duration is over or SIGTERM comes."""
    parser = argparse.ArgumentParser(prog="python -m load.probe", description=__doc__)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="JSON: targets (name, entries, key, value), rate (a second), timeout, duration (s)",
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, a sample each")
    parser.add_argument("--parent", type=int, help="end when this process does")
    options = parser.parse_args()
    if options.parent:
        _die_with_parent(options.parent)
    config = json.loads(options.config.read_text(encoding="utf-8"))
    targets = [Target(**target) for target in config["targets"]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with options.output.open("a", encoding="utf-8") as output:
        asyncio.run(probe(targets, config, output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
