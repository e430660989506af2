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
from load.checks import Target
from load.samples import Recording, Sample
from load.settings import Settings

REQUEST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 900.0
_STOP_SECONDS: Final = 5.0
_CHECKOUT: Final = Path(__file__).resolve().parents[1]


class AvailabilityProbe:
    """Clients asking `targets` from outside, while it is entered.

    `marks` name its phases and `events` single moments, both in monotonic seconds. `windows` are
    the faults meanwhile: name, start, and end, None while in force.

    The probe is a process and a process group of its own, so that neither the harness's work nor
    its terminal disturbs it, and ends with the harness or after `longest` seconds.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        rate: float,
        folder: Path,
        *,
        timeout: float = REQUEST_SECONDS,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self.targets = list(targets)
        self.rate = rate
        self.timeout = timeout
        self.marks: list[tuple[str, float]] = []
        self.events: list[tuple[str, float]] = []
        self.windows: list[tuple[str, float, float | None]] = []
        self.file = folder.resolve() / "samples.jsonl"
        self._settings = Settings(self.targets, rate, timeout, longest)
        self._log = self.file.with_name("probe.log")
        self._recording = Recording(self.file)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""

    def __enter__(self) -> AvailabilityProbe:
        config = self.file.with_name("probe.json")
        config.write_text(json.dumps(self._settings.as_json()), encoding="utf-8")
        self.file.unlink(missing_ok=True)
        self._recording = Recording(self.file)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "load.probe", "--parent", str(os.getpid())),
                    *("--config", str(config), "--output", str(self.file)),
                ],
                cwd=_CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.mark("steady")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The probe's process while it is ours to end."""
        return self._process.pid if self._process else None

    @property
    def failure(self) -> str:
        """Why the probe ended although nobody stopped it; empty as long as it did not."""
        if self._process is not None and self._process.poll() is not None:
            self._recording.samples("")
            why = self._recording.trailer.get("reason") or self._log.read_text(errors="replace")
            status = self._process.returncode
            self._failure = f"the probe ended by itself with status {status}: {why.strip()[-500:]}"
        return self._failure

    def stop(self) -> None:
        """End the probe when its requests under way have ended; safe to repeat."""
        failed = self.failure
        process, self._process = self._process, None
        if process is None or failed:
            return
        process.terminate()
        try:
            process.wait(timeout=self.timeout + _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=_STOP_SECONDS)

    def mark(self, phase: str, at: float | None = None) -> None:
        """Say that `phase` begins, at the monotonic time `at` or now."""
        self.marks.append((phase, time.monotonic() if at is None else at))

    def samples(self, target: str) -> list[Sample]:
        """Return what is settled of one target so far: no earlier request is still under way."""
        return self._recording.samples(target)

    def wait_until_good(self, *, n: int, within: float) -> None:
        """Wait until the last `n` requests to every target were good.

        Raises `NeverTrue`, and `CutoverError` when the probe itself ended.
        """
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

    def ensure_asking(self) -> None:
        """Raise `CutoverError` when the probe ended by itself: nothing can be concluded then."""
        if self.failure:
            raise CutoverError(self.failure, where="load.probe")

    def _all_good(self, n: int) -> bool | Pending:
        self.ensure_asking()
        for target in self.targets:
            last = self.samples(target.name)[-n:]
            bad = [sample for sample in last if not sample.ok]
            if len(last) < n or bad:
                seen = f"{len(last) - len(bad)} of {n} good"
                return Pending(f"{target.name}: {seen}" + (f", {bad[-1].entries}" if bad else ""))
        return True
