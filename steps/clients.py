"""Steps about what clients see: the availability probe."""

from __future__ import annotations

from typing import Any

from load.availability import AvailabilityProbe
from pytest_bdd import given, parsers

GOOD_BEFORE_FAULT = 20


@given(
    parsers.parse("clients ask the edge and the canary {rate:g} times a second"),
    target_fixture="clients",
)
def clients(start_clients: Any, rate: float) -> AvailabilityProbe:
    """Open-loop requests from outside, good for a while before anything is broken."""
    probe: AvailabilityProbe = start_clients(rate)
    probe.wait_until_good(n=GOOD_BEFORE_FAULT, within=30)
    return probe
