"""Steps about the cluster as a whole: formation, placement, steady state."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, parsers, then, when

from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot
from fixtures.tables import rows
from fixtures.waiting import how_long
from verify import formation
from verify.steady import await_steady, unsteady

STEADY_SECONDS = 180.0


@given("the plan's services are running")
def services_running(cluster: Cluster, deployed: None) -> None:
    """Deployed in this session; what an earlier scenario broke has had time to come back."""
    await_steady(cluster, within=STEADY_SECONDS)


@when("every manager is asked for its view of the Swarm", target_fixture="views")
def ask_managers(cluster: Cluster) -> tuple[dict[str, Snapshot], list[str]]:
    """One view a manager, and the managers that did not answer."""
    return formation.views_of_managers(cluster)


@then(
    "every manager sees these members, all Ready and every manager reachable",
)
def members(views: tuple[dict[str, Snapshot], list[str]], datatable: Any, measure: Any) -> None:
    """No manager sees a member missing, of another role, or in trouble."""
    roles = {row["node"]: row["role"] for row in rows(datatable, "node", "role")}
    problems = formation.membership_problems_of_all(*views, roles)
    measure.violations("three managers and one worker", problems, checked=len(roles))


@then("all managers name the same single leader")
def one_leader(views: tuple[dict[str, Snapshot], list[str]], measure: Any) -> None:
    """All views together name one leader."""
    found = formation.leaders(views[0])
    measure("leaders", len(found), limit=1, unit="leaders", relation="==", n=len(views[0]))


@then(parsers.parse("every node runs engine {version} or newer"))
def engine_version(cluster: Cluster, version: str, measure: Any) -> None:
    """No engine is older."""
    nodes = cluster.snapshot().nodes
    problems = formation.version_problems(nodes, version)
    measure.violations(f"engines at least {version}", problems, checked=len(nodes))


@then("the nodes carry these labels")
def labels(cluster: Cluster, datatable: Any, measure: Any) -> None:
    """No label is missing or has another value."""
    expected = rows(datatable, "node", "label", "value")
    problems = formation.label_problems(cluster.snapshot().nodes, expected)
    measure.violations("node labels", problems, checked=len(expected))


@then("the services run in these places")
def placement(cluster: Cluster, datatable: Any, measure: Any) -> None:
    """No task runs elsewhere and no service runs nowhere."""
    places = {row["service"]: row["place"] for row in rows(datatable, "service", "place")}
    problems, checked = formation.placement_problems(cluster.snapshot(), places)
    measure.violations("placement of every task", problems, checked=checked)


@then(parsers.parse("the cluster is steady within {seconds:g} seconds"))
def steady(cluster: Cluster, chaos: Chaos, seconds: float, measure: Any) -> None:
    """Every node whole, every service at its number of tasks, counted from the healing."""
    took = how_long(
        lambda: unsteady(cluster),
        within=seconds,
        since=chaos.healed_at,
        what="cluster steady",
        every=0.5,
    )
    measure.duration("cluster steady again", took, limit=seconds)
