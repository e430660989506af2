"""Steps about the whole plan: its containers in their places, their memory, staging's isolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import MEMORY_DIVISOR
from fixtures.cluster.swarm import Snapshot
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks import catalogue
from fixtures.tables import as_text, column, rows
from signoff.allure_bridge import attach_text
from verify.plan import answers, containers, expected, isolation, memory, usage
from verify.plan.containers import Container
from verify.plan.expected import Expected
from verify.plan.isolation import Sides
from verify.plan.lost_server import lose
from verify.plan.memory import Server

STANDINS = {
    "Appwrite's 22, Keycloak, oauth2-proxy, the five frontends, the five of staging, dev-mongo, "
    "bacula-director, Mailcow's rspamd, clamd, sogo and its ten others": "busybox answers HTTP "
    "with the service's name; it does nothing else",
    "Postfix, Dovecot, nginx, MariaDB, InfluxDB": "real, Debian's packages; the mail servers have "
    "nobody's mail",
}


@dataclass
class Look:
    """The plan's services, looked at twice: containers before and after, Swarm's word after."""

    plan: list[Expected]
    first: list[Container]
    last: list[Container]
    snapshot: Snapshot

    @property
    def services(self) -> list[str]:
        """Full names."""
        return [one.full_name for one in self.plan]


@pytest.fixture
def divisor(cluster: Cluster) -> float:
    """Return what the cluster's memory was divided by."""
    return MEMORY_DIVISOR if cluster.is_twin else 1.0


@given("every stack of the plan stands", target_fixture="since")
def plan_stands(
    cluster: Cluster, deployed: None, on_demand: OnDemandStacks | None, run: Any
) -> str:
    """On a twin; servers have theirs. Gives the time when their deployment began, if known."""
    if on_demand is None:
        return ""
    run.standins |= STANDINS
    run.environment["memory of the plan's services"] = f"divided by {MEMORY_DIVISOR:g}"
    return on_demand.stand_together(catalogue.PLAN)


@when(
    parsers.parse("the plan's containers are watched for {seconds:g} seconds"),
    target_fixture="seen",
)
def watched(cluster: Cluster, seconds: float, datatable: Any) -> Look:
    """Looked at twice, that far apart; the table names every service and its place."""
    plan = expected.expected(rows(datatable, "stack", "services", "place"))
    first, last = containers.read_twice(cluster, apart=seconds)
    return Look(plan, first, last, cluster.snapshot())


@then("each of them runs and is healthy")
def healthy(seen: Look, measure: Any) -> None:
    """By Swarm's word and by the engine's of each container."""
    problems = containers.health_problems(seen.snapshot, seen.services, seen.last)
    measure.violations("services of the plan run, healthy", problems, checked=len(seen.plan))


@then(parsers.parse("at least {least:d} containers of the plan run"))
def how_many(seen: Look, least: int, measure: Any) -> None:
    """The containers of the table's services, counted by the engines."""
    count = sum(c.service in seen.services and c.state == "running" for c in seen.last)
    measure("containers of the plan", count, limit=least, unit="containers", relation=">=", n=count)


@then("each runs in its place, and no other service of the plan's stacks runs")
def places(seen: Look, measure: Any) -> None:
    """A service that the table does not name would be looked at by nobody."""
    problems, checked = expected.place_problems(seen.snapshot, seen.plan)
    stacks = {*catalogue.STACKS, *catalogue.PLAN} - set(catalogue.OWN_STACKS)
    unknown = expected.unknown(seen.snapshot, seen.plan, stacks)
    problems += [f"{service.name} is not in the table" for service in unknown]
    measure.violations("containers of the plan in their places", problems, checked=checked)


@then("none of them was restarted, or has failed since it was deployed")
def restarts(seen: Look, since: str, measure: Any) -> None:
    """Between the two looks, and by Swarm's own history of tasks."""
    problems = containers.restart_problems(seen.first, seen.last, seen.services)
    failed, checked = containers.failure_problems(seen.snapshot, seen.services, since)
    measure.violations("containers that restart", problems + failed, checked=checked)


@then("every one that speaks a protocol answers as itself")
def answer(cluster: Cluster, seen: Look, measure: Any) -> None:
    """By name, from inside a network that it is in."""
    named = set(seen.services)
    asked = [a for s in seen.snapshot.services if s.name in named and (a := answers.how_asked(s))]
    told = answers.look(cluster, seen.snapshot, asked, seen.last)
    problems = answers.answer_problems(seen.snapshot, asked, told)
    measure.violations("services answer as themselves", problems, checked=len(asked))


@given("the plan's servers have this memory", target_fixture="servers")
def servers_memory(datatable: Any) -> list[Server]:
    """What each has, and what of it the plan gives to containers."""
    return memory.servers(rows(datatable, "server", "RAM GB", "budget GB"))


@then("every service of the plan has a memory limit, and its containers have it too")
def limited(cluster: Cluster, measure: Any) -> None:
    """By the specification, and by what the engine enforces."""
    problems, checked = memory.unlimited(cluster.snapshot(), containers.read(cluster))
    measure.violations("services with a memory limit", problems, checked=checked)


@then("what is reserved on each server stays within its budget")
def reserved(
    cluster: Cluster, servers: list[Server], divisor: float, run: Any, measure: Any
) -> None:
    """As the tasks run now."""
    snapshot = cluster.snapshot()
    ledger = memory.as_they_run(snapshot, divisor)
    for server in servers:
        measure.note(
            f"reserved on {server.name}", ledger.reserved(server.name) / memory.GB, unit="GB"
        )
    if nothing := memory.unreserved(snapshot):
        run.notes.append(f"These reserve no memory: {', '.join(nothing)}.")
    budgets = {server.name: server.budget for server in servers}
    problems = memory.over(ledger, budgets, what="reserved", of="budget")
    problems += memory.outside(ledger, budgets)
    measure.violations("reserved memory within the budget", problems, checked=len(ledger.tasks))


@then(
    parsers.parse(
        "in the plan's places, what may move counted on {home}, the limits fit each server's memory"
    )
)
def limits_fit(
    cluster: Cluster, servers: list[Server], divisor: float, home: str, measure: Any
) -> None:
    """So nothing swaps, whatever they do. What they add up to as they run now is shown."""
    snapshot = cluster.snapshot()
    layout = memory.as_laid_out(snapshot, divisor, home)
    running = memory.as_they_run(snapshot, divisor)
    attach_text(as_text(memory.table(running, layout, servers)), "Memory of the plan by server")
    for server in servers:
        measure.note(f"limits on {server.name}", running.limits(server.name) / memory.GB, unit="GB")
    ram = {server.name: server.ram for server in servers}
    problems = memory.over(layout, ram, what="limits", of="memory")
    measure.violations("memory limits fit the servers", problems, checked=len(layout.tasks))


@then("with any one server lost these find room elsewhere")
def room(
    cluster: Cluster,
    servers: list[Server],
    divisor: float,
    datatable: Any,
    run: Any,
    measure: Any,
) -> None:
    """Computed, as Swarm's scheduler decides. What else would not fit or may not move is told."""
    snapshot = cluster.snapshot()
    names = [snapshot.service_called(one).name for one in column(datatable, "service")]
    losses = [lose(snapshot, server.name, servers, divisor) for server in servers]
    attach_text("\n".join(loss.story() for loss in losses), "With one server lost")
    for loss in losses:
        run.notes.append(loss.story())
        measure.note(f"tasks pinned to {loss.server}", len(loss.pinned), unit="tasks")
    problems = [problem for loss in losses for problem in loss.problems(names)]
    checked = sum(len(loss.moved) + len(loss.no_room) + len(loss.pinned) for loss in losses)
    measure.violations("production finds room without a server", problems, checked=checked)


@then("what the containers really use is reported")
def used(cluster: Cluster, measure: Any) -> None:
    """Of each node, over some seconds; on a twin of the machine too."""
    for name, value, unit in usage.read(cluster):
        measure.note(name, value, unit=unit)


@then(
    parsers.parse("these stacks run on {server} alone, and nothing of production runs there"),
    target_fixture="parted",
)
def apart(cluster: Cluster, server: str, datatable: Any, measure: Any) -> Sides:
    """Gives both sides' services to the next steps."""
    snapshot = cluster.snapshot()
    parted = isolation.sides(snapshot, column(datatable, "stack"))
    problems, checked = isolation.node_problems(snapshot, parted, server)
    found = checked if parted.staging and parted.production else 0
    measure.violations("staging and production on their own servers", problems, checked=found)
    return parted


@then("they share no network with production")
def networks_apart(cluster: Cluster, parted: Sides, measure: Any) -> None:
    """By the networks of the running tasks."""
    problems, checked = isolation.network_problems(cluster.snapshot(), parted)
    measure.violations("networks shared by staging and production", problems, checked=checked)


@then("they share no secret with production")
def secrets_apart(cluster: Cluster, parted: Sides, measure: Any) -> None:
    """By name, and by what the tasks have in /run/secrets, whose digests are compared only."""
    digests = isolation.secret_digests(cluster, containers.read(cluster))
    services = cluster.snapshot().services
    problems, checked = isolation.secret_problems(services, parted, digests)
    criterion = "secrets shared by staging and production"
    if (unread := isolation.unread(services, parted, digests)) and not problems:
        measure.inconclusive(criterion, f"only {'; '.join(unread)} could be read")
    measure.violations(criterion, problems, checked=checked)


@then("from none of their networks these databases are found by name or reached at an address")
def unreachable(cluster: Cluster, parted: Sides, datatable: Any, measure: Any) -> None:
    """Tried from inside; the same look from production's networks has to find them."""
    databases = column(datatable, "database")
    tried = isolation.tried(cluster, parted, databases)
    criterion = "production's databases out of staging's reach"
    if tried.blind:
        measure.inconclusive(
            criterion, f"production does not reach {', '.join(tried.blind)} either"
        )
    measure.violations(criterion, tried.problems, checked=tried.looks)
