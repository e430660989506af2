"""Turns what pytest-bdd passes over in silence into errors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from gherkin.errors import CompositeParserException, ParserError
from gherkin.parser import Parser
from pytest_bdd.compat import get_fixture_names, getfixturedefs
from pytest_bdd.scenario import find_fixturedefs_for_step, scenario_wrapper_template_registry
from pytest_bdd.steps import StepFunctionContext, step_function_context_registry

# As pytest-bdd has it.
_PLACEHOLDER = re.compile(r"<(.+?)>")


class FeatureTrap(Exception):
    """A feature or step file that would not test what it seems to; says where and what to do."""


def check_feature(path: Path) -> None:
    """Refuse a feature file whose scenarios would not all run as they are written.

    It has none, two of one name (the last would win), one without steps, or an outline that its
    examples do not fill. Raises `FeatureTrap`.
    """
    found: dict[str, int] = {}
    for scenario in _scenarios(_parsed(path)):
        name, line = scenario["name"], scenario["location"]["line"]
        if name in found:
            raise FeatureTrap(
                f"{path}:{line}: a second scenario is called {name!r} (the first stands in line "
                f"{found[name]}) and would make it vanish. Give it a name of its own."
            )
        if not scenario.get("steps"):
            raise FeatureTrap(f"{path}:{line}: {name!r} has no steps and would pass. Write some.")
        _check_examples(f"{path}:{line}", scenario)
        found[name] = line
    if not found:
        raise FeatureTrap(f"{path}: has no scenario. Write one, or remove the file.")


def count_scenarios(path: Path) -> int:
    """Return how many scenarios a run of the whole file has; each example counts.

    Raises `FeatureTrap` when it is no Gherkin.
    """
    return sum(
        sum(len(table.get("tableBody", ())) for table in scenario["examples"]) or 1
        for scenario in _scenarios(_parsed(path))
    )


def names(path: Path) -> tuple[str, list[str]]:
    """Return the feature's name, and the names of its scenarios. Raises `FeatureTrap`."""
    feature = _parsed(path)
    return feature.get("name", ""), [scenario["name"] for scenario in _scenarios(feature)]


def filled_names(path: Path) -> tuple[str, list[str]]:
    """Return the feature's name, and its scenarios' as a run has them: an outline's once filled in.

    Raises `FeatureTrap`.
    """
    feature = _parsed(path)
    found: list[str] = []
    for scenario in _scenarios(feature):
        examples = [
            dict(zip(_cells(table["tableHeader"]), _cells(row), strict=True))
            for table in scenario["examples"]
            for row in table.get("tableBody", ())
        ]
        found += [_filled(scenario["name"], example) for example in examples or [{}]]
    return feature.get("name", ""), found


def _cells(row: dict[str, Any]) -> list[str]:
    return [cell["value"] for cell in row["cells"]]


def _filled(name: str, example: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: example.get(match[1], match[0]), name)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        document: Any = Parser().parse(path.read_text(encoding="utf-8"))
    except (CompositeParserException, ParserError) as error:
        detail = " ".join(str(error).split())
        raise FeatureTrap(
            f"{path}: not Gherkin: {detail}. Mend the syntax at that line."
        ) from error
    return document.get("feature") or {}


def _check_examples(where: str, scenario: dict[str, Any]) -> None:
    """Refuse an outline that would run once with its placeholders unfilled."""
    name, tables = scenario["name"], scenario["examples"]
    outline = scenario["keyword"].strip() in ("Scenario Outline", "Scenario Template")
    if (outline and not tables) or any(not table.get("tableBody") for table in tables):
        raise FeatureTrap(
            f"{where}: the outline {name!r} has no examples and would run with its placeholders "
            "unfilled. Give it an Examples table with at least one row."
        )
    used = set(_PLACEHOLDER.findall(json.dumps([name, scenario["steps"]], ensure_ascii=False)))
    for table in tables:
        columns = {cell["value"] for cell in table["tableHeader"]["cells"]}
        if missing := sorted(used - columns):
            raise FeatureTrap(
                f"{where}: no column of the examples of {name!r} is called {', '.join(missing)}. "
                "Add the column, or mend the placeholder."
            )


def _scenarios(feature: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for child in feature.get("children", []):
        if "scenario" in child:
            yield child["scenario"]
        elif "rule" in child:
            yield from _scenarios(child["rule"])


def check_steps(contexts: Iterable[StepFunctionContext]) -> None:
    """Refuse `async def` steps (never awaited) and two steps of one text (the last would win).

    Raises `FeatureTrap`.
    """
    seen: dict[tuple[str, str], str] = {}
    for context in contexts:
        where = _where(context.step_func)
        if inspect.iscoroutinefunction(context.step_func):
            raise FeatureTrap(
                f"{where}: the step is `async def` and would pass without running. "
                "Make it an ordinary function."
            )
        key = (str(context.type or "step"), str(context.parser.name))
        other = seen.setdefault(key, where)
        if other != where:
            raise FeatureTrap(
                f"{where}: the step {key[1]!r} is defined at {other} too, and only one of them "
                "would run. Change one text."
            )


def step_contexts(item: pytest.Item) -> list[StepFunctionContext]:
    """Return every step definition that `item` could use; pytest-bdd keeps each as a fixture."""
    manager = item.session._fixturemanager
    contexts = (
        step_function_context_registry.get(definition.func)
        for name in get_fixture_names(fixturemanager=manager)
        for definition in getfixturedefs(manager, name, item) or ()
    )
    return [context for context in contexts if context is not None]


def undefined_steps(items: Iterable[pytest.Item]) -> list[str]:
    """Name the steps of `items` that no definition matches; pytest-bdd would notice on the way."""
    missing: list[str] = []
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        template = scenario_wrapper_template_registry[item.obj]
        callspec = getattr(item, "callspec", None)
        example = callspec.params.get("_pytest_bdd_example", {}) if callspec else {}
        manager = item.session._fixturemanager
        missing += [
            f"{template.feature.filename}:{step.line_number}: no step matches "
            f"`{step.type} {step.name}`. Define it in steps/, or mend the text."
            for step in template.render(example).steps
            if not any(find_fixturedefs_for_step(step, manager, item))
        ]
    return sorted(set(missing))


def _where(function: Any) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
