"""Steps about ways to do one thing, which the report shows side by side."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, parsers


@given(parsers.parse('the report compares this, "{thing}", as done by "{way}"'))
def compared(measure: Any, thing: str, way: str) -> None:
    """Whatever the scenario measures from here on."""
    measure.compared_as = (thing, way)
