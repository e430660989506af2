"""The harness's side of the load generator: Locust, headless, in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually
from load.process import MeasuringProcess
from load.request_log import RequestLog
from load.samples import Sample
from load.shapes import Shape
from load.traffic import Route, Traffic, schedule
from load.validity import generator_objections, unsent

_LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
# Locust's own start, and its end: it looks once a second whether it is over.
_START_SECONDS: Final = 20.0
_END_SECONDS: Final = 15.0


class LoadRun(MeasuringProcess):
    """Sends a profile's traffic, in a shape, while it is entered; ends by itself after that.

    `entries` maps names to URLs, asked in turn; `failover`: see `load.generator.clients.Clients`.
    `folder` receives the raw requests, Locust's page and its log. Raises `CutoverError` for a
    closed loop: what that measures is never judged.
    """

    name = "load generator"

    def __init__(
        self,
        traffic: Traffic,
        shape: Shape,
        entries: Mapping[str, str],
        folder: Path,
        *,
        processes: int = 1,
        failover: bool = False,
        seed: int = 0,
    ) -> None:
        if traffic.loop != "open":
            raise CutoverError(
                "a closed loop asks less when the system is slow",
                where=f"traffic {traffic.name}, loop",
                remedy="Use loop: open; run a closed one by hand, with Locust itself.",
            )
        if not entries:
            raise CutoverError("no entry is given", where=f"traffic {traffic.name}")
        self.folder = folder.resolve()
        super().__init__(self.folder / "locust.log", grace=traffic.timeout + 3)
        self.traffic = traffic.model_copy(update={"shapes": {"asked for": shape}})
        self.plan = schedule(shape)
        self.targets: list[Route] = list(traffic.routes)
        self.page = self.folder / "locust.html"
        #: The response time (s) that it is held against, for its picture.
        self.limit: float | None = None
        self._entries = dict(entries)
        self._processes = processes
        self._failover = failover
        self._seed = seed
        self._log_of_requests = RequestLog(self.folder)
        self._stopped_at: float | None = None

    def _command(self) -> Sequence[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        profile = self.folder / "traffic.yml"
        profile.write_text(
            yaml.safe_dump(self.traffic.model_dump(), sort_keys=False), encoding="utf-8"
        )
        first, *others = self._entries.values()
        command = [
            *(sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless"),
            *("--only-summary", "--exit-code-on-error", "0", "--reset-stats"),
            *("--traffic", str(profile), "--seed", str(self._seed)),
            *("--host", first.rstrip("/"), "--html", str(self.page)),
            *("--log-folder", str(self.folder), "--parent", str(os.getpid())),
        ]
        for url in others:
            command += ["--entry", url.rstrip("/")]
        if self._failover:
            command.append("--failover")
        if self._processes > 1:
            port = str(_free_port())
            command += ["--processes", str(self._processes)]
            command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
            command += ["--master-host", "127.0.0.1", "--master-port", port]
        return command

    def _ended_in_order(self) -> bool:
        self._log_of_requests.read_on()
        return self._log_of_requests.complete

    @property
    def t0(self) -> float | None:
        """When its schedule began (monotonic seconds); None while it has not begun."""
        self._log_of_requests.read_on()
        return min((header.t0 for header in self._log_of_requests.headers), default=None)

    def all_samples(self) -> list[Sample]:
        """Return every request recorded so far, in the order in which they were due."""
        self._log_of_requests.read_on()
        return sorted(self._log_of_requests.samples, key=lambda sample: sample.due)

    def samples(self, target: str) -> list[Sample]:
        """Return those to one route."""
        return [sample for sample in self.all_samples() if sample.target == target]

    def merged(self) -> Path:
        """Return one file with all that was recorded, process after process."""
        whole = self.folder / "requests.msgpack"
        with whole.open("wb") as output:
            for path in sorted(self.folder.glob("requests-*.msgpack")):
                with path.open("rb") as part:
                    shutil.copyfileobj(part, output)
        return whole

    def stop(self) -> None:
        """End it when its requests under way have ended; safe to repeat."""
        if self.running and self._stopped_at is None:
            self._stopped_at = time.monotonic()
        super().stop()

    def wait_until_good(self, *, n: int, within: float) -> None:
        """Wait until the last `n` requests were good. Raises `NeverTrue`, `CutoverError`."""

        def good() -> bool | Pending:
            self.ensure_asking()
            last = self.all_samples()[-n:]
            bad = [sample for sample in last if not sample.ok]
            if len(last) == n and not bad:
                return True
            said = f"{len(last) - len(bad)} of {n} good"
            return Pending(said + (f", {bad[-1].target}: {bad[-1].entries}" if bad else ""))

        eventually(good, within=within + _START_SECONDS, what=f"{n} good answers in a row")

    def wait_end(self) -> None:
        """Wait until its schedule is over and it has ended. Raises `CutoverError`."""

        def ended() -> bool | Pending:
            self.ensure_asking()
            sent = len(self._log_of_requests.samples)
            self._log_of_requests.read_on()
            return not self.running or Pending(f"{sent} of {self.plan.count} requests")

        try:
            eventually(
                ended,
                within=self.plan.seconds + self.traffic.timeout + _START_SECONDS + _END_SECONDS,
                every=0.5,
                what=f"{self.plan.count} requests in {self.plan.seconds:g} s",
            )
        except NeverTrue as error:
            # That says nothing of the system, as a failed assertion would.
            raise CutoverError(str(error), where=self.name) from error
        self.ensure_asking()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the generator used, in seconds."""
        self._log_of_requests.read_on()
        return self._log_of_requests.cpu_seconds()

    def objections(self) -> list[str]:
        """Return how the generator spoiled the run.

        An early end that was asked for (`stop`) is none: only what was due until then is missed.
        """
        found = [self.failure] if self.failure else []
        t0 = self.t0
        if t0 is None:
            return [*found, "the generator never began"]
        samples = self.all_samples()
        over = t0 + self.plan.seconds
        until = min(over, self._stopped_at or time.monotonic())
        due = self.plan.due(0) + t0
        intended = int(np.count_nonzero(due <= until))
        lags = [sample.lag for sample in samples if sample.due <= until]
        cpu = self._log_of_requests.cpu_shares()
        if until == over and len(samples) < self.plan.count:
            found.append(f"{self.plan.count - len(samples)} requests left no record")
        found += unsent(samples)
        return found + generator_objections(lags, until - t0, intended, cpu)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
