"""The pytest plugin: runs of features are recorded, judged and signed off."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd.scenario import scenario_wrapper_template_registry

from fixtures import progress
from fixtures.errors import CannotProve, CutoverError
from signoff import allure_files, options, terminal
from signoff import folder as folders
from signoff.bdd.collection import FeatureFile, collect, left_out, tags_below
from signoff.bdd.traps import FeatureTrap, check_steps, step_contexts, undefined_steps
from signoff.measurement import Cause, Verdict
from signoff.outcome import Inconclusive, Missed, ProvedNothing
from signoff.parallel import controller, worker
from signoff.recorder import Measure, Recorder
from signoff.run import RUN, Run

_MEASURE = pytest.StashKey[Measure]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add cutover's options."""
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, register tags as markers and, for features, make the run's folder."""
    for tag in sorted(tags_below(config.rootpath / "features")):
        config.addinivalue_line("markers", f"{tag}: a tag in features/")
    if (work := worker.work_of(config)) is not None:
        worker.join(config, work)
        options.check(config)
        return
    options.check(config)
    if not _asks_for_features(config) or config.option.collectonly:
        return
    reports = config.option.reports or config.rootpath / "reports"
    try:
        folder = folders.new_run_folder(reports)
    except OSError as error:
        raise pytest.UsageError(
            f"--reports: {reports}: no folder can be made there ({error.strerror}). "
            "Name a folder that you may write to."
        ) from error
    command = f"pytest {shlex.join(config.invocation_params.args)}"
    if "--seed" not in command:
        command += f" --seed {config.option.seed}"
    config.stash[RUN] = Run(
        folder=folder,
        recorder=Recorder(folder / "measurements.jsonl"),
        started=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        seed=config.option.seed,
        command=command,
        complete=_asks_for_all(config),
        features=config.rootpath / "features",
        accepted=options.accepted(config),
    )
    if not config.option.allure_report_dir:
        config.option.allure_report_dir = str(folder / "allure-results")
    controller.lead(config, config.stash[RUN])


def _asks_for_features(config: pytest.Config) -> bool:
    features = (config.rootpath / "features").resolve()
    for argument in config.args:
        path = (config.invocation_params.dir / argument.split("::")[0]).resolve()
        if path.suffix == ".feature" or path == features or features in path.parents:
            return True
    return False


def _asks_for_all(config: pytest.Config) -> bool:
    features = (config.rootpath / "features").resolve()
    return any(
        (config.invocation_params.dir / argument).resolve() == features for argument in config.args
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the run."""
    run = config.stash.get(RUN, None)
    return [f"cutover: seed {run.seed}, reports in {run.folder}"] if run else []


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect feature files."""
    return collect(file_path, parent)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Send progress lines past pytest's capture."""
    if worker.work_of(session.config) is not None:
        return
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = session.config.pluginmanager.get_plugin("capturemanager")

    def sink(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)
            reporter._tw.flush()

    if reporter is not None and capture is not None and session.config.stash.get(RUN, None):
        progress.set_sink(sink)
    if leader := controller.of(session.config):
        leader.listen(progress.say)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Refuse steps that would not run, before any scenario does."""
    scenarios = [item for item in items if isinstance(item.parent, FeatureFile)]
    if not scenarios:
        return
    try:
        check_steps(step_contexts(scenarios[0]))
        if missing := undefined_steps(scenarios):
            raise FeatureTrap("\n".join(missing))
    except FeatureTrap as trap:
        if worker.work_of(session.config) is not None:
            pytest.exit(f"error: {trap}", returncode=pytest.ExitCode.USAGE_ERROR)
        raise pytest.UsageError(str(trap)) from trap
    if run := session.config.stash.get(RUN, None):
        run.collected = [item.nodeid for item in scenarios]
        # Not `pytest_deselected`: --ignore, --last-failed and broken files do not go through it.
        if left_out((item.path for item in scenarios), session.config.rootpath / "features"):
            run.complete = False


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Record and judge what the scenario measures."""
    mine: Measure = request.node.stash[_MEASURE]
    return mine


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """What the run says beside its measurements: notes, stand-ins, environment."""
    return pytestconfig.stash[RUN]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give every scenario its own `Measure`."""
    run = item.config.stash.get(RUN, None)
    if run is None or not isinstance(item.parent, FeatureFile):
        return
    scenario = _rendered(item)
    feature = scenario.feature.name or ""
    item.stash[_MEASURE] = Measure(
        run.recorder, feature=feature, scenario=scenario.name, item=item.nodeid
    )
    if worker.work_of(item.config) is not None:
        run.recorder.begun(item.nodeid, feature, scenario.name)
    progress.say(f"\n{feature}: {scenario.name}")


def _rendered(item: pytest.Item) -> Any:
    template = scenario_wrapper_template_registry.get(item.obj)  # type: ignore[attr-defined]
    assert template is not None
    callspec = getattr(item, "callspec", None)
    return template.render(callspec.params.get("_pytest_bdd_example", {}) if callspec else {})


def pytest_bdd_before_step(step: Any) -> None:
    """Tell the story as it goes."""
    progress.say(f"  {step.keyword} {step.name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a scenario that passes without having measured anything."""
    yield
    mine = item.stash.get(_MEASURE, None)
    if mine is not None and not mine.recorded:
        raise ProvedNothing("this scenario proved nothing: no step recorded a measurement")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give every scenario its line in the sign-off, however it ended."""
    report = yield
    run, mine = item.config.stash.get(RUN, None), item.stash.get(_MEASURE, None)
    if run is None or mine is None:
        return report
    run.begun.add(item.nodeid)
    # One that is interrupted has no report of its tear-down.
    if call.when == "teardown":
        run.ended.add(item.nodeid)
    if call.excinfo is not None:
        verdict, reason, cause = _ending(call.excinfo.value, call.when, mine)
        if verdict is not None:
            mine.record_only(verdict, reason, cause)
        if verdict is Verdict.UNPROVEN:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: unproven: {reason}")
        if report.outcome == "failed":
            run.failed.append(item.nodeid)
    if call.when == "teardown" and worker.work_of(item.config) is not None:
        worker.tell(report, run, mine)
    return report


def _ending(
    error: BaseException, when: str, mine: Measure
) -> tuple[Verdict | None, str, Cause | None]:
    """Return the verdict on a scenario that ended with `error`; None if it is recorded already."""
    text = str(error).strip() or type(error).__name__
    match error:
        case Missed() | Inconclusive():
            return None, text, None
        case pytest.skip.Exception() if mine.is_unproven:
            return None, text, None
        # A skip that no measurement made (a tag, a library) has not shown anything either.
        case CannotProve() | pytest.skip.Exception():
            return Verdict.UNPROVEN, text, None
        case ProvedNothing():
            return Verdict.INCONCLUSIVE, text, Cause.HARNESS
        case AssertionError() if when == "call":
            return Verdict.MISSED, text, Cause.SYSTEM
    # An exception may say itself whose failure it is.
    cause = Cause(getattr(error, "cause", Cause.HARNESS))
    if cause is Cause.HARNESS:
        text = f"harness error in {when}: {type(error).__name__}: {text}"
    return Verdict.INCONCLUSIVE, text, cause


def pytest_exception_interact(call: pytest.CallInfo[Any]) -> None:
    """Print what the user can mend without a traceback."""
    if call.excinfo is not None and isinstance(call.excinfo.value, CutoverError):
        call.excinfo.traceback = call.excinfo.traceback[-1:]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the sign-off and point `latest` at it."""
    if worker.work_of(session.config) is not None:
        return
    progress.set_sink(None)
    run = session.config.stash.get(RUN, None)
    if run is None:
        return
    if leader := controller.of(session.config):
        leader.gather()
    if not run.begun:
        # Allure prepares an empty folder in it.
        if not any(path.is_file() for path in run.folder.rglob("*")):
            shutil.rmtree(run.folder, ignore_errors=True)
        return
    if not run.complete:
        run.notes.append("Only a part of the features was run: such a run is never READY.")
    folders.write(run.signoff(), run.folder)
    allure_files.write(run.signoff(), Path(session.config.option.allure_report_dir))
    folders.make_latest(run.folder)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Close with the table of criteria."""
    run = config.stash.get(RUN, None)
    if run is not None and run.begun and worker.work_of(config) is None:
        terminal.write(terminalreporter, run.signoff(), run.folder)
