"""A worker's side: it runs what it is given on a twin of its own, and says what it does."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from fixtures import progress
from signoff.parallel.lines import Writer
from signoff.recorder import Measure, Recorder
from signoff.run import RUN, Run

#: Under which the controller's word is in xdist's `workerinput`, and ours on a report.
KEY: Final = "cutover"
SAID: Final = "cutover_said"
OWN_SECONDS: Final = "cutover_seconds"


def work_of(config: pytest.Config) -> dict[str, Any] | None:
    """Return what the controller of a run of features told this process; None elsewhere."""
    told: dict[str, Any] | None = getattr(config, "workerinput", {}).get(KEY)
    return told


def join(config: pytest.Config, work: dict[str, Any]) -> None:
    """Make this process a worker of the controller's run."""
    config.option.twin = work["twin"]
    config.option.seed = work["seed"]
    config.option.allure_report_dir = work["allure"]
    config.option.clean_alluredir = False  # the others write there too
    folder = Path(work["folder"])
    config.stash[RUN] = Run(
        folder=folder,
        recorder=Recorder(folder / "measurements.jsonl"),
        started="",
        seed=work["seed"],
        command="",
    )
    # Ctrl-C is for the controller, which passes it on once: a worker that heals is left in peace.
    os.setpgid(0, 0)
    progress.set_sink(Writer(Path(work["lines"]), f"[{work['twin']}] "))
    config.pluginmanager.register(Worker(Path(work["stop"])), "cutover-worker")


def tell(report: pytest.TestReport, run: Run, mine: Measure) -> None:
    """Send what the run says so far with the last report of a scenario, and say its verdicts."""
    said = {
        "cluster": run.cluster,
        "notes": run.notes,
        "standins": run.standins,
        "environment": run.environment,
    }
    setattr(report, SAID, said)
    verdicts = Counter(str(m.verdict) for m in mine.recorded)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    progress.say(f"  = {mine.scenario}: {counted or 'nothing was measured'}")


class Worker:
    """Ends the session when the run is to end; `stop` is there when it is."""

    def __init__(self, stop: Path) -> None:
        self._stop = stop
        self._session: pytest.Session | None = None
        self._standing = 0.0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, which a later hook is not given."""
        self._session = session

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Begin no further scenario after one that failed too many."""
        done = yield
        if self._stop.exists():
            item.session.shouldstop = "another worker ended the run"
        return done

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Let an error of this worker's end the whole run: xdist passes `shouldstop` on."""
        if isinstance(excinfo.value, pytest.exit.Exception) and self._session:
            self._session.shouldstop = str(excinfo.value.msg)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Take the time of what is for all scenarios: the twin with its stacks."""
        began = time.monotonic()
        try:
            return (yield)
        finally:
            if fixturedef.scope == "session":
                self._standing += time.monotonic() - began

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take that time off the scenario that happened to be the first."""
        report = yield
        setattr(report, OWN_SECONDS, report.duration - self._standing)
        self._standing = 0.0
        return report
