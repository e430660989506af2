"""Steps about a server's budget of CPU, memory and swap."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, parsers, then, when

from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.stacks.arrange import bring_back, not_on
from fixtures.tables import column
from signoff.allure_bridge import attach_text
from verify import budget
from verify.budget import Watched
from verify.steady import await_steady

ARRANGE_SECONDS = 120.0


@given(parsers.parse("{name} runs a task of each of these services"))
def runs_its_share(cluster: Cluster, chaos: Chaos, name: str, datatable: Any) -> None:
    """A node that lost its tasks in an earlier scenario would keep any budget."""
    services, node = column(datatable, "service"), cluster.node(name)
    if not_on(cluster, services, node):
        chaos.permit()
        bring_back(cluster, services, node, within=ARRANGE_SECONDS)
        await_steady(cluster, within=ARRANGE_SECONDS)


@when(parsers.parse("{node} is watched for {seconds:g} seconds"), target_fixture="watched")
def watch(cluster: Cluster, run: Any, node: str, seconds: float) -> Watched:
    """Look at its CPU time, memory and swap, and at its exporters' word for them."""
    watched = budget.watch(cluster, cluster.node(node), seconds)
    run.notes += [note for note in watched.notes() if note not in run.notes]
    attach_text(watched.table(), f"Readings of {node}")
    return watched


@then(parsers.parse("its average CPU load is below {limit:g} per core"))
def cpu_load(watched: Watched, limit: float, measure: Any) -> None:
    """Over the whole window, of all cores; 1 is every core busy all the time."""
    criterion = f"CPU load of {watched.node}"
    if doubts := watched.doubts_of_load(limit):
        measure.inconclusive(criterion, "; ".join(doubts))
    highest, load = watched.highest_load(), watched.load()
    measure.note(
        f"{criterion}, highest in {budget.EVERY_SECONDS:g} s",
        highest.value,
        unit="per core",
        error=highest.error,
        n=highest.n,
    )
    measure(
        criterion,
        load.value,
        limit=limit,
        unit="per core",
        relation="<",
        error=load.error,
        n=load.n,
    )


@then(parsers.parse("it uses less than {limit:g} GB of memory"))
def memory(watched: Watched, limit: float, measure: Any) -> None:
    """At every look; on a twin scaled up by what its services' memory was divided by."""
    criterion = f"memory in use on {watched.node}"
    if doubts := watched.doubts_of_memory():
        measure.inconclusive(criterion, "; ".join(doubts))
    used = watched.memory_gb()
    measure.note(f"{criterion}, not scaled", used.value / watched.memory_scale, unit="GB", n=used.n)
    measure(criterion, used.value, limit=limit, unit="GB", relation="<", error=used.error, n=used.n)


@then("it does not swap")
def swap(watched: Watched, measure: Any) -> None:
    """Nothing is in swap, and nothing went in or out of it meanwhile."""
    problems = watched.swapping()
    measure.violations(f"swap on {watched.node}", problems, checked=len(watched.readings))
