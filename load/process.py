"""A measuring process of the harness: started, watched, ended, and its time marked."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually

_STOP_SECONDS: Final = 5.0
_CHECKOUT: Final = Path(__file__).resolve().parents[1]


def prefer(pid: int, steps: int) -> None:
    """Raise the priority of a process by `steps` (lower it, if negative), where that is allowed."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -steps)
    # Where the kernel schedules session against session, a process' own counts within it only
    # (sched(7), "The autogroup feature").
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(-steps), encoding="ascii")


class MeasuringProcess(ABC):
    """Asks from outside while it is entered.

    `marks` name its phases and `events` single moments, both in monotonic seconds. `windows` are
    the faults meanwhile: name, start, and end, None while in force.

    It is a process and a process group of its own, so that neither the harness's work nor its
    terminal disturbs it, and ends with the harness. `grace`: seconds that its requests under way
    may still take when it is stopped.
    """

    #: What it is called in errors.
    name = "process"
    #: Steps of priority above the harness's, where that is allowed. What is late through a busy
    #: machine would count as the system's; servers are asked from another one, a twin shares this.
    priority = 10

    def __init__(self, log: Path, *, grace: float) -> None:
        self.marks: list[tuple[str, float]] = []
        self.events: list[tuple[str, float]] = []
        self.windows: list[tuple[str, float, float | None]] = []
        self._log = log
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Prepare, and return what is to be started."""

    @abstractmethod
    def _ended_in_order(self) -> bool:
        """Say whether a process that has ended had nothing left to do."""

    def _reason(self) -> str:
        """Return why it ended, as far as it said so itself."""
        return ""

    def __enter__(self) -> Self:
        command = self._command()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=_CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        prefer(self._process.pid, self.priority)
        self.mark("steady")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Its process id while it is ours to end."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it still asks."""
        return self._process is not None and self._process.poll() is None

    @property
    def failure(self) -> str:
        """Why it ended although nobody stopped it; empty as long as it did not."""
        process = self._process
        if process is not None and process.poll() is not None and not self._ended_in_order():
            why = self._reason() or self._log.read_text(errors="replace")
            self._failure = (
                f"the {self.name} ended by itself with status {process.returncode}: "
                f"{why.strip()[-500:]}"
            )
        return self._failure

    def stop(self) -> None:
        """End it when its requests under way have ended; safe to repeat."""
        failed = self.failure
        process, self._process = self._process, None
        if process is None or failed:
            return
        process.terminate()
        try:
            process.wait(timeout=self._grace + _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=_STOP_SECONDS)

    def mark(self, phase: str, at: float | None = None) -> None:
        """Say that `phase` begins, at the monotonic time `at` or now."""
        self.marks.append((phase, time.monotonic() if at is None else at))

    def ensure_asking(self) -> None:
        """Raise `CutoverError` when it ended by itself: nothing can be concluded then."""
        if self.failure:
            raise CutoverError(self.failure, where=self.name)

    def wait_for(self, seconds: float) -> None:
        """Let `seconds` of requests pass."""
        end = time.monotonic() + seconds
        eventually(
            lambda: time.monotonic() >= end or Pending("clients are asking"),
            within=seconds + 5,
            what=f"{seconds:g} s of requests",
        )
