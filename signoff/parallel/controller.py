"""The controller's side: it runs no scenario, tells the workers what to do, and signs off."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.workermanage import WorkerController

from fixtures.waiting import NeverTrue, Pending, eventually
from signoff.bdd.collection import left_out, tags_of
from signoff.measurement import Cause, Measurement, Verdict
from signoff.parallel import gathering
from signoff.parallel.lines import Reader
from signoff.parallel.order import Unit, file_of, units
from signoff.parallel.scheduling import FeatureScheduling
from signoff.parallel.worker import KEY, OWN_SECONDS, SAID
from signoff.run import Run

NAME: Final = "cutover-controller"
QUIET: Final = "quiet"
#: Expected seconds of each file, relative to the root; a run writes those it took to its folder.
DURATIONS: Final = Path("features", "durations.json")
#: How long workers may take to heal and to take their twins down, when the run is interrupted.
_DOWN_SECONDS: Final = 300.0
_RESTARTS: Final = "2"


def workers(config: pytest.Config) -> int:
    """Return how many workers this process is to have; 0 when it runs the scenarios itself."""
    if hasattr(config, "workerinput") or getattr(config.option, "dist", "no") == "no":
        return 0
    return len(config.option.tx or ())


def lead(config: pytest.Config, run: Run) -> None:
    """Make this process the controller of `run`, if it is to have workers."""
    if workers(config):
        if config.option.maxworkerrestart is None:
            config.option.maxworkerrestart = _RESTARTS
        config.pluginmanager.register(Controller(config, run), NAME)


def of(config: pytest.Config) -> Controller | None:
    """Return the controller that this process is, or None."""
    found: Controller | None = config.pluginmanager.get_plugin(NAME)
    return found


class Controller:
    """The hooks of a process that has workers."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._lines: Reader | None = None
        self._nodes: list[WorkerController] = []
        self._said: dict[str, dict[str, Any]] = {}
        self._ran: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}
        self._live = True

    # -- workers come and go -------------------------------------------------------------------

    def listen(self, show: Callable[[str], None]) -> None:
        """Show the workers' progress from now on."""
        self._lines = Reader(self._run.folder.resolve() / ".workers", show)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Tell a worker what it is part of, before it starts."""
        assert self._lines is not None
        self._nodes.append(node)
        node.workerinput[KEY] = {
            "folder": str(self._run.folder),
            "twin": self._twin(node),
            "seed": self._run.seed,
            "allure": str(Path(self._config.option.allure_report_dir).resolve()),
            "lines": str(self._lines.path),
            "stop": str(self._stop),
        }

    def _twin(self, node: WorkerController) -> str:
        return gathering.twin_name(self._config.option.twin, node.gateway.id)

    @property
    def _stop(self) -> Path:
        assert self._lines is not None
        return self._lines.path.with_name("stop")

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> FeatureScheduling:
        """Give files out by what they need and how long they last."""
        return FeatureScheduling(workers(config), self._arranged)

    def _arranged(self, collected: Sequence[str]) -> list[Unit]:
        seconds = expected_seconds(self._config.rootpath)
        return units(collected, self._quiet(collected), seconds, workers(self._config))

    def _quiet(self, collected: Sequence[str]) -> list[str]:
        files = dict.fromkeys(file_of(item) for item in collected)
        return [file for file in files if QUIET in tags_of(self._config.rootpath / file)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Judge whether the run is of all features, as all workers together run it."""
        self._run.collected = list(ids)
        root = self._config.rootpath
        if left_out([root / file_of(item) for item in ids], root / "features"):
            self._run.complete = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Run nothing when a file cannot be read, as without workers."""
        if report.failed and not self._config.option.continue_on_collection_errors:
            session: Any = self._config.pluginmanager.get_plugin("dsession")
            session.shouldstop = "errors during collection"

    # -- scenarios -----------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note of what became of a scenario; after too many failures, end the run soon."""
        run, item = self._run, report.nodeid
        run.begun.add(item)
        if report.when == "teardown":
            run.ended.add(item)
        twin = self._twin(report.node)
        if item not in self._ran.setdefault(twin, []):
            self._ran[twin].append(item)
        if said := getattr(report, SAID, None):
            self._said[twin] = said
        file = file_of(item)
        took = getattr(report, OWN_SECONDS, 0.0)
        self._seconds[file] = self._seconds.get(file, 0.0) + took
        if report.failed:
            run.failed.append(item)
            most = self._config.option.maxfail
            if most and len(run.failed) >= most:
                self._stop.touch()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Give the scenario that a worker did not survive its line in the sign-off."""
        run = self._run
        text = run.recorder.file.read_text(encoding="utf-8") if run.recorder.file.exists() else ""
        words = gathering.gathered(text, run.collected).names
        feature, scenario = words.get(crashitem, (file_of(crashitem), crashitem.split("::")[-1]))
        run.recorder.add(
            Measurement(
                criterion=scenario,
                feature=feature,
                scenario=scenario,
                unit="",
                verdict=Verdict.INCONCLUSIVE,
                cause=Cause.HARNESS,
                reason=f"the worker of twin {self._twin(report.node)} ended while it ran this: it "
                "was killed, or the machine had no memory left",
            ),
            crashitem,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Print no dots between the lines of several workers: they say the verdicts themselves."""
        category, letter, word = yield
        return (category, "", "") if self._live else (category, letter, word)

    # -- the end -------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Pass Ctrl-C on to the workers, which are in process groups of their own."""
        if type(excinfo.value) is KeyboardInterrupt:
            for node in self._working():
                with suppress(ProcessLookupError):
                    os.kill(node.gateway._rinfo().pid, signal.SIGINT)

    def _working(self) -> list[WorkerController]:
        started = [node for node in self._nodes if hasattr(node, "channel")]
        return [n for n in started if not n.channel.isclosed() and n.gateway.hasreceiver()]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let workers that were interrupted heal and take their twins down.

        xdist would end them after some seconds; a second Ctrl-C does.
        """
        self._live = False
        if self._lines is not None:
            self._stop.touch()
        for node in self._working():
            node.shutdown()  # one that waits for work does not end by itself

        def ended() -> bool | Pending:
            left = [self._twin(node) for node in self._working()]
            return Pending(f"still healing or going down: {', '.join(left)}") if left else True

        with suppress(NeverTrue, KeyboardInterrupt):
            eventually(ended, within=_DOWN_SECONDS, every=0.1, what="the workers' end")
        stopped = str(getattr(self._config.pluginmanager.get_plugin("dsession"), "shouldstop", ""))
        if stopped.startswith("error: "):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def gather(self) -> None:
        """Make one run of what the workers measured and said."""
        if self._lines is not None:
            self._lines.close()
        run = self._run
        if not run.recorder.file.exists():
            return
        found = gathering.gathered(run.recorder.file.read_text(encoding="utf-8"), run.collected)
        run.recorder.measurements = found.measurements
        run.recorder.observations = found.observations
        run.recorder.drills = found.drills
        said = dict(sorted(self._said.items()))
        run.notes = gathering.same_once(s["notes"] for s in said.values())
        run.standins = {name: text for s in said.values() for name, text in s["standins"].items()}
        run.environment = gathering.environments({t: s["environment"] for t, s in said.items()})
        run.cluster = ", ".join(dict.fromkeys(s["cluster"] for s in said.values())) or run.cluster
        for twin, items in sorted(self._ran.items()):
            files = dict.fromkeys(Path(file_of(item)).stem for item in items)
            run.environment[f"ran on {twin}"] = ", ".join(files)
        seconds = {file: round(took) for file, took in sorted(self._seconds.items())}
        text = json.dumps(seconds, indent=2) + "\n"
        (run.folder / DURATIONS.name).write_text(text, encoding="utf-8")
        if len(self._ran) > 1:
            quiet = [Path(file).stem for file in self._quiet(sorted(run.begun))]
            run.notes.append(gathering.how_it_ran(sorted(self._ran), quiet))


def expected_seconds(root: Path) -> dict[str, float]:
    """Return the expected seconds of each feature file, as they were measured once."""
    file = root / DURATIONS
    known: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return known
