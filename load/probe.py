"""The availability probe: a process of its own that asks targets at fixed moments.

Open loop: request i is due at t0 + i/rate whatever became of those before it, each on a connection
of its own, and latency counts from when it was due. It ends when its duration is over, when it gets
SIGTERM or SIGINT, or when its parent ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from fixtures.errors import CutoverError
from load.asking import Pool, ask
from load.checks import Target
from load.samples import HEADER, TRAILER
from load.settings import Settings, read_settings

PARENT_SECONDS: Final = 0.25


class Probe:
    """Asks as `settings` say and writes each sample to `output` as soon as it has ended.

    Made inside a running event loop.
    """

    def __init__(self, settings: Settings, output: TextIO) -> None:
        self._settings = settings
        self._output = output
        self._pool = Pool()
        self._asks: set[asyncio.Task[None]] = set()
        self._unwritten: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self, parent: int | None = None) -> str:
        """Ask until there is a reason to end; return it. `parent` is the process to end with.

        Raises `OSError` when a sample cannot be written.
        """
        start = time.monotonic()
        config = self._settings.as_json()
        self._write({HEADER: {"t0": start, "wall": time.time(), "config": config}})
        reasons = {
            asyncio.ensure_future(reason)
            for reason in (self._pace(start), self._unwritten, _told_to_end(), _parent_ends(parent))
        }
        done, others = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        # Those under way are bounded by their timeout; to drop them would hide the slow ones.
        await asyncio.gather(*self._asks)
        reason = " and ".join(first.result() for first in done)
        self._write({TRAILER: {"at": time.monotonic(), "reason": reason}})
        return reason

    async def _pace(self, start: float) -> str:
        index = 0
        while (due := start + index / self._settings.rate) < start + self._settings.duration:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for target in self._settings.targets:
                task = asyncio.create_task(self._record(target, index, due))
                self._asks.add(task)
                task.add_done_callback(self._ended)
            index += 1
        return "its duration is over"

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._asks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._unwritten.done():
            self._unwritten.set_exception(error)

    async def _record(self, target: Target, seq: int, due: float) -> None:
        sample = await ask(target, seq, due, self._settings.timeout, self._pool)
        self._line(sample.as_line())

    def _write(self, record: dict[str, Any]) -> None:
        self._line(json.dumps(record, separators=(",", ":")))

    def _line(self, line: str) -> None:
        self._output.write(line + "\n")
        self._output.flush()


async def _told_to_end() -> str:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def tell(name: str) -> None:
        if not told.done():
            told.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number.name)
    return await told


async def _parent_ends(parent: int | None) -> str:
    # Asking works where prctl's death signal does not: that one comes when the parent's *thread*
    # ends, and not at all when the parent was gone before.
    while parent is None or os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(PARENT_SECONDS)
    return "its parent ended"


async def _run(settings: Settings, output: TextIO, parent: int | None) -> str:
    return await Probe(settings, output).run(parent)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a probe; 2 is a mistake in what was asked for."""
    options = _options(arguments)
    try:
        settings = read_settings(options.config) if options.config else _settings(options)
    except CutoverError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    with options.output.open("w", encoding="utf-8") as output:
        asyncio.run(_run(settings, output, options.parent))
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    entries = {url: url for url in options.entry or ()}
    checks = {"key": options.key, "value": options.value, "text": options.text}
    target = Target(options.name, entries, pattern=options.pattern, **checks)
    return Settings([target], options.rate, options.timeout, options.duration)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m load.probe", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, a sample each")
    parser.add_argument("--parent", type=int, help="process id: end when this process does")
    parser.add_argument(
        "--config",
        type=Path,
        help="JSON instead of what follows: targets (name, entries, key and value, text, pattern), "
        "rate, timeout, duration",
    )
    asked = parser.add_argument_group("one target")
    asked.add_argument("--name", default="target")
    asked.add_argument("--entry", action="append", help="URL to ask; give it for each entry")
    asked.add_argument("--rate", type=float, default=10.0, help="requests a second (default 10)")
    asked.add_argument("--timeout", type=float, default=1.0, help="s a request (default 1)")
    asked.add_argument("--duration", type=float, default=600.0, help="s in all (default 600)")
    right = parser.add_argument_group("the right answer: status 200 and each that is given")
    right.add_argument("--key", default="", help="of the JSON body; dots go down")
    right.add_argument("--value", default="", help="what stands at the key")
    right.add_argument("--text", default="", help="what the body contains")
    right.add_argument("--pattern", default="", help="regular expression found in the body")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
