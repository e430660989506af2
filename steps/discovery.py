"""Steps about service discovery."""

from __future__ import annotations

from typing import Any

from pytest_bdd import parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.tables import column
from verify import discovery


@then(
    parsers.parse(
        "from every node these services resolve to their running tasks and answer "
        "within {seconds:g} seconds"
    )
)
def discovered(cluster: Cluster, seconds: float, datatable: Any, measure: Any) -> None:
    """Every name gives exactly the running tasks, and each address answers its protocol."""
    wanted = discovery.endpoints_of(cluster.snapshot(), column(datatable, "service"))
    problems = discovery.problems_within(cluster, wanted, within=seconds)
    measure.violations("service discovery", problems, checked=len(wanted) * len(cluster.nodes))
