"""Steps about what containers are allowed."""

from __future__ import annotations

from typing import Any

from pytest_bdd import then

from fixtures.cluster.cluster import Cluster
from fixtures.tables import rows
from verify.security import rights


@then("no container has more rights than these")
def within_rights(cluster: Cluster, datatable: Any, measure: Any) -> None:
    """Of those that run on any node, by the engine's word and by the kernel's."""
    allowed = rows(datatable, "service", "right")
    seen = rights.containers(cluster)
    found = rights.problems(seen, allowed)
    measure.violations("containers' rights", found, checked=len(seen))
