"""Steps about what is seen of the nodes on their network, and through it."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, then

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import alive_tasks
from fixtures.tables import column, rows
from verify.discovery import netcheck_service
from verify.security import engine_api, firewall, ports, wire, wire_findings


@then("traffic of these overlays between any two nodes is encrypted on the wire")
def encrypted(cluster: Cluster, datatable: Any, measure: Any) -> None:
    """Markers between tasks on all nodes, looked for in what their nodes send."""
    networks = column(datatable, "network")
    arrived, taps, numbers = wire.exchange(cluster, netcheck_service(cluster), networks)
    snapshot = cluster.snapshot()
    others = wire_findings.others_in_use(alive_tasks(snapshot.tasks, snapshot.nodes), networks)
    judged = wire_findings.judge(
        arrived,
        taps,
        numbers,
        wire.flags(cluster, [*networks, *others]),
        ports.addresses(cluster),
        networks=networks,
        esp=capabilities.probe(cluster).esp,
        others=others,
    )
    criterion = "overlay traffic is encrypted on the wire"
    if judged.doubts and not judged.problems:
        measure.inconclusive(criterion, "; ".join(judged.doubts))
    if judged.unproven and not judged.problems:
        measure.unproven(criterion, wire_findings.summary(judged.unproven, judged.checked))
    measure.violations(criterion, judged.problems, checked=judged.checked)


@given("every TCP port of every node is tried from outside of the Swarm", target_fixture="exposed")
def scanned(cluster: Cluster) -> dict[str, frozenset[int]]:
    """From the backup host: node → open ports."""
    return ports.open_from(ports.outsider(cluster), ports.addresses(cluster))


@then("these ports are open, and no other")
def exposure(
    cluster: Cluster,
    exposed: dict[str, frozenset[int]],
    datatable: Any,
    run: Any,
    measure: Any,
) -> None:
    """From outside; beside that, what services publish whatever a firewall lets through."""
    if others := ports.untried(cluster):
        run.notes.append(f"No port was tried at IPv6 addresses: {'; '.join(others)}.")
    listed = rows(datatable, "node", "TCP", "UDP")
    published = ports.published(cluster)
    found = ports.unlisted(published, {row["node"]: row["TCP"] for row in listed})
    missing = sorted(set(exposed) - {row["node"] for row in listed})
    found += [f"{node} is not in the list" for node in missing]
    for row in listed:
        wanted = ports.expected(row["TCP"], row["node"], published)
        found += ports.exposure_problems(row["node"], exposed[row["node"]], wanted)
        heard = ports.listening(cluster.node(row["node"]), "udp")
        allowed = ports.expected(row["UDP"], row["node"], {})
        found += [f"{row['node']}: UDP {p} listens" for p in sorted(set(heard) - allowed)]
    measure.violations("exposed ports equal the list", found, checked=len(exposed))


@then("no engine takes orders over TCP without a client's certificate")
def no_engine(cluster: Cluster, run: Any, measure: Any) -> None:
    """Neither from outside nor from a container, at any port; an engine that does is seen.

    An engine's own word counts, too: not every address that it answers at can be known here.
    """
    criterion = "the engine's API needs a client's certificate"
    if not engine_api.control(cluster.leader()):
        measure.inconclusive(criterion, "the probe does not see an engine that answers")
    doors = engine_api.doors(cluster, ports.addresses(cluster))
    found = engine_api.answering_from_outside(ports.outsider(cluster), doors)
    inside = [*doors, *engine_api.bridges(cluster)]
    found += engine_api.answering_to_containers(cluster, netcheck_service(cluster), inside)
    reachable, loopback = engine_api.own_words(cluster)
    run.notes += [f"{each}, to whoever is on that node" for each in loopback]
    found += reachable
    measure.violations(criterion, found, checked=len(doors))


@then("no engine's socket is open to others than root and its group")
def sockets(cluster: Cluster, measure: Any) -> None:
    """By mode and owner of the files."""
    criterion = "the engine's socket"
    found, blind, checked = engine_api.socket_problems(cluster)
    if blind and not found:
        measure.inconclusive(criterion, f"not at {engine_api.SOCKET} on {', '.join(blind)}")
    measure.violations(criterion, found, checked=checked)


@then("these ports admit every other node, and nobody from outside of the Swarm")
def between_nodes(cluster: Cluster, datatable: Any, measure: Any) -> None:
    """Each is tried from each other node and from the backup host."""
    outside = ports.outsider(cluster)
    every = firewall.doors(
        rows(datatable, "port", "protocol", "of"),
        [manager.name for manager in cluster.managers],
        list(cluster.nodes),
    )
    let_in = firewall.knock(cluster, outside, every, ports.addresses(cluster))
    found = firewall.problems(let_in, outside.name)
    measure.violations("Swarm's ports are open between nodes only", found, checked=len(let_in))
