"""Shows scenarios in Allure as Gherkin: labels, steps, and the steps that were never reached.

allure-pytest alone knows nothing of steps, and allure-pytest-bdd cannot be installed beside it.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import allure
import pytest
from allure_commons import plugin_manager
from allure_commons.model2 import Parameter, Status, StatusDetails, TestStepResult
from allure_commons.types import AttachmentType
from allure_commons.utils import now

from fixtures.errors import CannotProve

_SEVERITIES = ("blocker", "critical", "normal", "minor", "trivial")
_KINDS = {
    ".json": AttachmentType.JSON,
    ".jsonl": AttachmentType.TEXT,
    ".svg": AttachmentType.SVG,
    ".png": AttachmentType.PNG,
    ".html": AttachmentType.HTML,
}


class _Steps:
    """The steps of the scenario that runs now."""

    def __init__(self) -> None:
        self.open: Any = None
        self.left: list[Any] = []


_steps = _Steps()


def pytest_bdd_before_scenario(request: pytest.FixtureRequest, feature: Any, scenario: Any) -> None:
    """Label the test with what the feature file says of it."""
    _steps.left = list(scenario.steps)
    allure.dynamic.title(scenario.name)
    allure.dynamic.feature(feature.name)
    allure.dynamic.story(scenario.rule.name if scenario.rule else scenario.name)
    allure.dynamic.description(
        "\n\n".join(filter(None, [feature.description, scenario.description]))
    )
    area = Path(feature.filename).parent.name
    allure.dynamic.epic(area.replace("_", " ").capitalize())
    tags = sorted(feature.tags | scenario.tags)
    for severity in _SEVERITIES:
        if severity in tags:
            allure.dynamic.severity(severity)
    allure.dynamic.tag(*(tag for tag in tags if tag not in _SEVERITIES))


def pytest_bdd_before_step(step: Any) -> None:
    """Open an Allure step; a data table shows as its parameters."""
    _steps.left = [other for other in _steps.left if other is not step]
    _steps.open = allure.step(f"{step.keyword} {step.name}")
    _steps.open.params = _table(step)
    _steps.open.__enter__()


def pytest_bdd_after_step() -> None:
    """Close it."""
    _close(None)


def pytest_bdd_step_error(exception: Exception) -> None:
    """Close it as failed; `after_step` does not come then. The rest shows as skipped."""
    _close(exception)
    _show_unreached()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Close what a skip or an interrupt leaves open: pytest-bdd calls no hook for those."""
    try:
        yield
    except BaseException as error:
        if _steps.open is not None:
            _close(error)
            _show_unreached()
        raise


def pytest_bdd_step_func_lookup_error() -> None:
    """Show what was not reached."""
    _show_unreached()


def _close(error: BaseException | None) -> None:
    step, _steps.open = _steps.open, None
    if isinstance(error, CannotProve):
        error = pytest.skip.Exception(str(error)).with_traceback(error.__traceback__)
    if step is not None:
        step.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)


def _show_unreached() -> None:
    left, _steps.left = _steps.left, []
    for step in left:
        uuid = str(uuid4())
        logger = _logger()
        if logger is None:
            return
        result = TestStepResult(
            name=f"{step.keyword} {step.name}",
            start=now(),
            parameters=[Parameter(name=k, value=v) for k, v in _table(step).items()],
            statusDetails=StatusDetails(message="not reached"),
        )
        logger.start_step(None, uuid, result)
        logger.stop_step(uuid, stop=now(), status=Status.SKIPPED)


def _logger() -> Any:
    for plugin in plugin_manager.get_plugins():
        if hasattr(plugin, "allure_logger"):
            return plugin.allure_logger
    return None


def _table(step: Any) -> dict[str, str]:
    rows = step.datatable.raw() if step.datatable and hasattr(step.datatable, "raw") else None
    if rows is None and step.datatable:
        rows = [[cell.value for cell in row.cells] for row in step.datatable.rows]
    if not rows:
        return {}
    return {f"row {i}" if i else "table": " | ".join(row) for i, row in enumerate(rows)}


def attach_file(path: Path, name: str) -> None:
    """Attach a file, shown by what its name says it is."""
    allure.attach.file(
        str(path), name=name, attachment_type=_KINDS.get(path.suffix, AttachmentType.TEXT)
    )


def attach_text(text: str, name: str) -> None:
    """Attach text."""
    allure.attach(text, name=name, attachment_type=AttachmentType.TEXT)


def attach_json(value: Any, name: str) -> None:
    """Attach a value as JSON."""
    allure.attach(json.dumps(value, indent=2), name=name, attachment_type=AttachmentType.JSON)
