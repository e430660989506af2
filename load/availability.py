"""The harness's side of the availability probe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fixtures.waiting import Pending, eventually
from load.checks import Target
from load.process import MeasuringProcess
from load.samples import Recording, Sample
from load.settings import Settings

REQUEST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 900.0


class AvailabilityProbe(MeasuringProcess):
    """Clients asking `targets` from outside, while it is entered, at most `longest` seconds."""

    name = "probe"

    def __init__(
        self,
        targets: Sequence[Target],
        rate: float,
        folder: Path,
        *,
        timeout: float = REQUEST_SECONDS,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self.file = folder.resolve() / "samples.jsonl"
        super().__init__(self.file.with_name("probe.log"), grace=timeout)
        self.targets = list(targets)
        self.rate = rate
        self.timeout = timeout
        self._settings = Settings(self.targets, rate, timeout, longest)
        self._recording = Recording(self.file)

    def _command(self) -> Sequence[str]:
        config = self.file.with_name("probe.json")
        config.write_text(json.dumps(self._settings.as_json()), encoding="utf-8")
        self.file.unlink(missing_ok=True)
        self._recording = Recording(self.file)
        return [
            *(sys.executable, "-m", "load.probe", "--parent", str(os.getpid())),
            *("--config", str(config), "--output", str(self.file)),
        ]

    def _ended_in_order(self) -> bool:
        return False  # it is there until it is stopped

    def _reason(self) -> str:
        self._recording.samples("")
        return str(self._recording.trailer.get("reason", ""))

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

    def _all_good(self, n: int) -> bool | Pending:
        self.ensure_asking()
        for target in self.targets:
            last = self.samples(target.name)[-n:]
            bad = [sample for sample in last if not sample.ok]
            if len(last) < n or bad:
                seen = f"{len(last) - len(bad)} of {n} good"
                return Pending(f"{target.name}: {seen}" + (f", {bad[-1].entries}" if bad else ""))
        return True
