"""Steps about data that outlives what no drill can do: settings, and how saves end."""

from __future__ import annotations

from typing import Any

from pytest_bdd import parsers, then

from fixtures.cluster.cluster import Cluster
from verify import durability, redis_saving


@then(parsers.parse("{server} has what it acknowledges on its disk, by its settings"))
def on_disk(cluster: Cluster, server: str, measure: Any) -> None:
    """Of the server, its databases and roles."""
    found = durability.problems(cluster, server)
    measure.violations(
        "PostgreSQL has acknowledged writes on its disk", found, checked=len(durability.SAFE)
    )


@then(parsers.parse("{redis} saves a single write by its own rules within {seconds:g} seconds"))
def saves_itself(cluster: Cluster, redis: str, seconds: float, measure: Any) -> None:
    """A drill has a snapshot made; at other times nothing but these rules bounds the loss."""
    service = cluster.snapshot().service_called(redis).name
    found = redis_saving.problems(cluster, service, seconds)
    measure.violations("Redis saves by its own rules", found, checked=1)
