"""Service discovery seen from containers on every node: names, addresses, answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.swarm import Snapshot, alive_tasks
from fixtures.errors import CutoverError, RemoteTimeout, Unreachable
from fixtures.stacks import catalogue
from fixtures.waiting import NeverTrue, Pending, eventually

_PROBE = Path(__file__).with_name("discovery_probe.py")
_PROBE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What must be found: `name` as containers call it, `service` as Swarm does."""

    name: str
    service: str
    port: int
    protocol: str
    path: str = "/health"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one node's container found of one endpoint."""

    name: str
    addresses: tuple[str, ...]
    task_addresses: tuple[str, ...]
    failures: tuple[str, ...]


def look_from_every_node(
    cluster: Cluster,
    netcheck: str,
    endpoints: Sequence[Endpoint],
    *,
    nodes: Sequence[str] | None = None,
) -> dict[str, list[Finding]]:
    """Ask the `netcheck` task (a global service's full name) of every node, or of `nodes`, at once.

    Returns node name → findings. A node without such a task raises `CutoverError`: a node that is
    not asked would otherwise pass.
    """
    snapshot = cluster.snapshot()
    containers = {
        snapshot.hostname_of(task.node_id): task.container_id
        for task in alive_tasks(snapshot.tasks_of(netcheck), snapshot.nodes)
    }
    asked = list(cluster.nodes) if nodes is None else list(nodes)
    missing = sorted(set(asked) - set(containers))
    if missing:
        raise CutoverError(
            f"no task on {', '.join(missing)}",
            where=f"service {netcheck}",
            remedy="Deploy the netcheck stack: discovery is asked from every node.",
        )
    question = json.dumps(
        [
            {"name": e.name, "port": e.port, "protocol": e.protocol, "path": e.path}
            for e in endpoints
        ]
    )

    def look(node: Node) -> list[Finding]:
        command = ["docker", "exec", "-i", containers[node.name], "python3", "-", question]
        answer = node.run(
            shlex.join(command), stdin=_PROBE.read_bytes(), timeout=_PROBE_SECONDS
        ).stdout
        return [_finding(item) for item in json.loads(answer)]

    return cluster.on_all(look, [cluster.node(name) for name in asked])


def discovery_problems(
    found: Mapping[str, Sequence[Finding]], endpoints: Sequence[Endpoint], snapshot: Snapshot
) -> list[str]:
    """Compare what the nodes found with what Swarm says runs.

    `tasks.<name>` must give exactly the running tasks' addresses on one network: a missing one is
    a task that nobody reaches, one too many is the stale address of a dead task.
    """
    problems = []
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    for node, findings in found.items():
        for finding in findings:
            where = f"{finding.name} from {node}"
            problems += [f"{where}: {failure}" for failure in finding.failures]
            expected = _addresses_by_network(snapshot, by_name[finding.name].service)
            if not expected:
                problems.append(f"{where}: no task of it runs")
            elif not finding.failures and set(finding.task_addresses) not in expected.values():
                resolved = ", ".join(finding.task_addresses) or "nothing"
                problems.append(
                    f"{where}: resolves to {resolved}, its tasks have "
                    + " or ".join(
                        f"{', '.join(sorted(addresses))} on {network}"
                        for network, addresses in expected.items()
                    )
                )
        unasked = sorted(set(by_name) - {finding.name for finding in findings})
        problems += [f"{name} from {node}: not asked" for name in unasked]
    return problems


def look_from(cluster: Cluster, node: str, name: str) -> Finding:
    """Return what a container on one node finds of one service. Raises `CutoverError`."""
    wanted = endpoints_of(cluster.snapshot(), [name])
    return look_from_every_node(cluster, netcheck_service(cluster), wanted, nodes=[node])[node][0]


def endpoints_of(snapshot: Snapshot, names: Sequence[str]) -> list[Endpoint]:
    """Look up how each service is asked. Raises `CutoverError` for an unknown one."""
    found = []
    for name in names:
        try:
            known = catalogue.service(name)
        except KeyError:
            raise CutoverError(
                f"how to ask {name!r} is not known",
                where="fixtures/stacks/catalogue.py",
                remedy="Add it to SERVICES with its port and protocol.",
            ) from None
        found.append(
            Endpoint(
                name=name,
                service=snapshot.service_called(name).name,
                port=known.port,
                protocol=known.protocol.value,
                path=known.health_path,
            )
        )
    return found


def problems_within(cluster: Cluster, endpoints: Sequence[Endpoint], *, within: float) -> list[str]:
    """Look again and again for up to `within` seconds; return the last look's problems.

    That a node does not answer is one of them. Raises `CutoverError` for what no wait mends.
    """
    last: list[str] = []

    def look() -> bool | Pending:
        try:
            found = look_from_every_node(cluster, netcheck_service(cluster), endpoints)
        except (RemoteTimeout, Unreachable) as error:
            last[:] = [str(error)]
        else:
            last[:] = discovery_problems(found, endpoints, cluster.snapshot())
        return Pending(f"{len(last)} problems, first: {last[0]}") if last else True

    with suppress(NeverTrue):
        eventually(look, within=within, every=1.0, what="service discovery")
    return last


def netcheck_service(cluster: Cluster) -> str:
    """Return the full name of the service from whose containers discovery is asked."""
    return cluster.snapshot().service_called("netcheck").name


def _addresses_by_network(snapshot: Snapshot, service: str) -> dict[str, set[str]]:
    networks: dict[str, set[str]] = {}
    for task in alive_tasks(snapshot.tasks_of(service), snapshot.nodes):
        for network, address in task.addresses.items():
            networks.setdefault(network, set()).add(address)
    return networks


def _finding(item: Mapping[str, Any]) -> Finding:
    return Finding(
        name=str(item["name"]),
        addresses=tuple(item["addresses"]),
        task_addresses=tuple(item["task_addresses"]),
        failures=tuple(item["failures"]),
    )
