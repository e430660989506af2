"""Steps about stack files that are read and not deployed."""

from __future__ import annotations

from typing import Any

from pytest_bdd import parsers, then, when

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import settings_for
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.stacks import catalogue
from signoff.allure_bridge import attach_text
from verify.audit import deployed, drift, text
from verify.audit.audit import Result
from verify.audit.rule import Level


@when("the stack files are audited against the cluster's inventory", target_fixture="audit")
def audit(cluster: Cluster, standing_twin: StandingTwin | None) -> Result:
    """A twin's are ours, with the settings that this run deploys them with."""
    settings = None
    if standing_twin is not None:
        found = capabilities.probe(cluster)
        settings = settings_for(cluster, standing_twin.images, found)
    result = deployed.audited(cluster.inventory, cluster.source, settings)
    attach_text("\n".join(text.lines(result, reasons=True)), "Everything that the audit found")
    return result


@then(parsers.parse("no finding of level {level} or worse is without a written reason"))
def nothing_open(audit: Result, level: str, measure: Any) -> None:
    """Every rule, on every service; what is accepted is reported, too."""
    measure.note("findings accepted for a written reason", len(audit.accepted), unit="findings")
    found = deployed.problems(audit, Level(level))
    measure.violations("the audit of the stack files", found, checked=audit.services)


@then("every service that runs is in an audited file, and on servers with that file's image")
def deployed_as_audited(cluster: Cluster, audit: Result, measure: Any) -> None:
    """Servers run nothing else; a twin has what the run's scenarios need, images of its own."""
    services = cluster.snapshot().services
    running = [s for s in services if s.stack not in catalogue.OWN_STACKS]
    problems = drift.unaudited(audit.declared, running)
    if not cluster.is_twin:
        lasting = {n: image for n, image in audit.declared.items() if n not in audit.jobs}
        problems += drift.differing(lasting, services)
    measure.violations("what runs was audited", problems, checked=len(running))
