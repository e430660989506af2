"""The harness's side of the availability probe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from load import samples as sample_files
from load.checks import Target
from load.samples import Sample

REQUEST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 900.0


class AvailabilityProbe:
    """Clients asking `targets` from outside, while it is entered.

    `marks` name its phases and `events` single moments, both in monotonic seconds.

    The probe is a process of its own, so that the harness's work does not delay it, and ends with
    the harness or after `LONGEST_SECONDS`.
    """

    def __init__(self, targets: Sequence[Target], rate: float, folder: Path) -> None:
        self.targets = list(targets)
        self.rate = rate
        self.timeout = REQUEST_SECONDS
        self.marks: list[tuple[str, float]] = []
        self.events: list[tuple[str, float]] = []
        self.file = folder / "samples.jsonl"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> AvailabilityProbe:
        config = {
            "targets": [target.as_json() for target in self.targets],
            "rate": self.rate,
            "timeout": self.timeout,
            "duration": LONGEST_SECONDS,
        }
        config_file = self._folder / "probe.json"
        config_file.write_text(json.dumps(config), encoding="utf-8")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "load.probe", "--parent", str(os.getpid())),
                *("--config", str(config_file), "--output", str(self.file)),
            ],
            stdin=subprocess.DEVNULL,
            stderr=(self._folder / "probe.log").open("wb"),
        )
        self.mark("steady")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the probe; safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=5)

    def mark(self, phase: str, at: float | None = None) -> None:
        """Say that `phase` begins, at the monotonic time `at` or now."""
        self.marks.append((phase, time.monotonic() if at is None else at))

    def samples(self, target: str) -> list[Sample]:
        """Return what was recorded of one target so far."""
        return [s for s in sample_files.read(self.file) if s.target == target]

    def wait_until_good(self, *, n: int, within: float) -> None:
        """Wait until the last `n` requests to every target were good. Raises `NeverTrue`."""
        eventually(
            lambda: self._all_good(n), within=within, what=f"{n} good answers in a row from all"
        )

    def wait_for(self, seconds: float) -> None:
        """Let `seconds` of requests pass."""
        end = time.monotonic() + seconds
        eventually(
            lambda: time.monotonic() >= end or Pending("clients are asking"),
            within=seconds + 5,
            what=f"{seconds:g} s of requests",
        )

    def _all_good(self, n: int) -> bool | Pending:
        if self._process is None or self._process.poll() is not None:
            said = (self._folder / "probe.log").read_text(errors="replace")[-500:]
            raise CutoverError(f"the probe ended by itself: {said}", where="load.probe")
        for target in self.targets:
            last = self.samples(target.name)[-n:]
            bad = [sample for sample in last if not sample.ok]
            if len(last) < n or bad:
                seen = f"{len(last) - len(bad)} of {n} good"
                return Pending(f"{target.name}: {seen}" + (f", {bad[-1].entries}" if bad else ""))
        return True
