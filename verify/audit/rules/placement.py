"""Where tasks may run, and what that makes of a lost node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from verify.audit.nodes import CONSTRAINT
from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.rules.volumes import kept_on_its_node, own_data
from verify.audit.stack import Service

_FIELD: Final = "deploy.placement.constraints"


@service_rule(
    "no-matching-node",
    Level.ERROR,
    Criterion.RUNNING,
    "no node of the inventory meets the placement constraints",
    "Correct the constraint, or give a node that label; Swarm leaves the task Pending in silence.",
)
def no_matching_node(service: Service, audit: Audit) -> Iterator[Found]:
    """A constraint that is none, or that no node meets."""
    bad = [entry for entry in service.constraints if not CONSTRAINT.fullmatch(entry.text)]
    for entry in bad:
        yield at(service, entry, _FIELD, f"{entry.text!r} is no constraint: write == or !=")
    if not bad and not audit.fitting(service):
        texts = " and ".join(entry.text for entry in service.constraints)
        yield at(service, service.constraints[0], _FIELD, f"no node has {texts}")


@service_rule(
    "no-replicas",
    Level.ERROR,
    Criterion.RUNNING,
    "no replica is asked for: it is deployed, and runs nowhere",
    "Ask for one or more, or take the service out of the file.",
)
def no_replicas(service: Service, audit: Audit) -> Iterator[Found]:
    """Swarm calls a service of 0/0 tasks complete."""
    if service.replicas == 0:
        yield at(service, "deploy.replicas", "deploy.replicas", "0 replicas: nothing runs")


def _pin(service: Service, audit: Audit) -> str | None:
    """Return the only node that a replicated service fits, if there are others it could go to."""
    fitting = audit.fitting(service)
    alone = len(fitting) == 1 and len(audit.nodes.nodes) > 1
    return fitting[0] if alone and not service.is_global and not service.is_job else None


@service_rule(
    "pinned-local-volume",
    Level.ERROR,
    Criterion.FAILOVER,
    "one node only can run it, and its data lies on that node: it cannot fail over",
    "Replicate the data and promote the replica (and write that as the reason), or keep it on "
    "storage that all nodes reach.",
)
def pinned_local_volume(service: Service, audit: Audit) -> Iterator[Found]:
    """The node is lost, and the service and its data are gone with it."""
    node = _pin(service, audit)
    mounts = [mount for mount in service.mounts if kept_on_its_node(mount, service)]
    if node and mounts:
        names = ", ".join(mount.source or mount.target for mount in mounts)
        yield at(
            service,
            _FIELD,
            _FIELD,
            f"fits {node} only, with {names} on its disk: when {node} is lost it stays down",
        )


@service_rule(
    "pinned",
    Level.ERROR,
    Criterion.FAILOVER,
    "one node only can run it: it cannot fail over",
    "Constrain it by a label that two nodes have.",
)
def pinned(service: Service, audit: Audit) -> Iterator[Found]:
    """As above, without data that would hold it there."""
    node = _pin(service, audit)
    if node and not any(kept_on_its_node(mount, service) for mount in service.mounts):
        yield at(
            service,
            _FIELD,
            _FIELD,
            f"fits {node} only, without data that holds it: when {node} is lost it stays down",
        )


@service_rule(
    "single-replica",
    Level.WARNING,
    Criterion.AVAILABLE,
    "one replica: every loss of its node is an outage of 13 to 57 s and its start",
    "Run two or more, or write why an outage of that length is allowed (a job, a cold standby).",
)
def single_replica(service: Service, audit: Audit) -> Iterator[Found]:
    """Not of data, of which a second would be another database, nor of what is pinned anyway."""
    if service.is_global or service.is_job or service.replicas != 1:
        return
    if own_data(service) or _pin(service, audit):
        return
    message = "one replica" if service.get("deploy.replicas") else "is not set: one replica"
    yield at(service, "deploy.replicas", "deploy.replicas", message)
