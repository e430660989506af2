"""Writers in a container of the cluster, and their history as it arrives."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually
from load.agents import write_agent
from load.samples import Sample
from load.writes.history import History, Write, as_samples, settled
from load.writes.validity import objections

TIMEOUT_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 900.0
CONNECTIONS: Final = 16
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
#: How often the writer's clock is asked for at most, and with which error (s) that is enough.
_CLOCK_LOOKS: Final = 20
_CLOCK_ERROR_SECONDS: Final = 0.02
_AGENT: Final = Path(write_agent.__file__)


class Starts(Protocol):
    """What starts a command somewhere: a node's connection."""

    def popen(self, command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start it; the caller owns the process."""


class WriteRun:
    """Writes `rate` keys a second into a store while it is entered, at most `longest` seconds.

    `start` is the connection of the node whose `container` writes (None: the command is run as it
    is); `orders` are the store's. The history is the container's own output, which the kernel puts
    into `file` without passing through this process: what has arrived there outlives it, and the
    writers end with it. Times of `writes` are the harness's monotonic clock, ± `clock_error`.
    """

    def __init__(
        self,
        start: Starts,
        container: str,
        orders: dict[str, Any],
        file: Path,
        *,
        rate: float,
        connections: int = CONNECTIONS,
        timeout: float = TIMEOUT_SECONDS,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self.file = file.resolve()
        self.rate = rate
        self.timeout = timeout
        self.history = History(self.file)
        self._start, self._container = start, container
        self._orders = {
            **orders,
            "rate": rate,
            "connections": connections,
            "timeout": timeout,
            "longest": longest,
        }
        self._log = self.file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._offset, self.clock_error = 0.0, float("inf")
        self._failure = ""

    def __enter__(self) -> Self:
        program = _AGENT.read_bytes()
        # The orders must stay unread: they are for the program itself.
        code = (
            f"import os\np=b''\nwhile len(p)<{len(program)}:\n"
            f" c=os.read(0,{len(program)}-len(p))\n p+=c\n if not c: os._exit(3)\n"
            "exec(compile(p,'write_agent','exec'))"
        )
        seconds = self._orders["longest"] + self.timeout + 2 * write_agent.MARGIN_SECONDS
        command = shlex.join(["docker", "exec", "-i", self._container, "python3", "-c", code])
        with self.file.open("ab") as output, self._log.open("ab") as log:
            self._process = self._start.popen(
                f"timeout -k 2 {seconds:g} {command}",
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=log,
            )
        try:
            self._send(program + json.dumps(self._orders).encode() + b"\n")
            self._set_clock()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it still writes."""
        return self._process is not None and self._process.poll() is None

    @property
    def failure(self) -> str:
        """Why it ended although nobody stopped it; empty as long as it did not."""
        self.history.read_on()
        if self.history.failure:
            return self.history.failure
        process = self._process
        if process is not None and process.poll() is not None and not self._failure:
            said = self._log.read_text(errors="replace").strip()[-300:]
            self._failure = f"the writer ended by itself with status {process.returncode}: {said}"
        return self._failure

    def ensure_writing(self) -> None:
        """Raise `CutoverError` when it ended by itself: nothing can be concluded then."""
        if self.failure:
            raise CutoverError(
                self.failure,
                where=f"writers in container {self._container[:12]}",
                remedy="Its image needs python3 with psycopg 3 and redis.",
            )

    def stop(self) -> None:
        """End it when its writes under way have ended; safe to repeat."""
        failed = self.failure
        process, self._process = self._process, None
        if process is None:
            return
        if not failed and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(b"stop\n")
                process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=self.timeout + _STOP_SECONDS)
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()  # the program ends by that, should it still be there
        if process.poll() is None:
            process.kill()
            self._failure = "the writer did not end when it was told to"
        process.wait(timeout=_STOP_SECONDS)

    def writes(self) -> list[Write]:
        """Return every write so far, in the order of their keys, on the harness's clock."""
        return [write.shifted(self._offset) for write in self.history.writes()]

    def samples(self) -> list[Sample]:
        """Return the writes before which none is still under way, as requests."""
        return as_samples(settled(self.writes()))

    def objections(self, fault: float | None = None) -> list[str]:
        """Return what makes its history unfit to prove that nothing was lost at the `fault`."""
        found = [self.failure] if self.failure else []
        self.history.read_on()
        if self._process is None and self.history.ended is None and not found:
            found.append("the writer did not say that it had ended")
        return found + objections(self.writes(), self.rate, fault)

    def wait_until_acknowledged(self, *, n: int, within: float) -> None:
        """Wait until the last `n` writes were acknowledged. Raises `NeverTrue`, `CutoverError`."""

        def good() -> bool | Pending:
            self.ensure_writing()
            last = self.samples()[-n:]
            bad = [sample for sample in last if not sample.ok]
            if len(last) == n and not bad:
                return True
            said = f"{len(last) - len(bad)} of {n} acknowledged"
            return Pending(said + (f", {bad[-1].entries}" if bad else ""))

        eventually(good, within=within, what=f"{n} acknowledged writes in a row")

    def _send(self, line: bytes) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except OSError as error:
            raise CutoverError(f"cannot be told anything: {error}", where="writers") from error

    def _set_clock(self) -> None:
        """Ask for the writer's clock a few times; the quickest answer tells it best."""
        for number in range(_CLOCK_LOOKS):
            if self.clock_error <= _CLOCK_ERROR_SECONDS:
                return
            question = f"clock {number}"
            before = time.monotonic()
            self._send(question.encode() + b"\n")
            try:
                eventually(
                    lambda question=question: self._echoed(question),  # type: ignore[misc]
                    within=_START_SECONDS,
                    every=0.002,
                    what="the writer's clock",
                )
            except NeverTrue as error:
                raise CutoverError(str(error), where="writers") from error
            after = time.monotonic()
            half = (after - before) / 2
            if half < self.clock_error:
                self.clock_error = half
                self._offset = before + half - self.history.echoes[question]

    def _echoed(self, question: str) -> bool | Pending:
        self.history.read_on()
        self.ensure_writing()
        return question in self.history.echoes or Pending("no answer")
