"""What must turn a scenario red: each property is broken, and its scenario must say so."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fixtures import folders
from fixtures.cluster.cluster import Cluster
from tests.twin.conftest import Outcome
from tests.twin.replicas import replica_following
from verify.replication import pair_of
from verify.steady import await_steady

RunFeatures = Callable[..., Outcome]


@contextmanager
def changed(cluster: Cluster, do: str, undo: str) -> Iterator[None]:
    """Run a docker command on the leader, and another in the end."""
    cluster.leader().run(f"docker {do}", timeout=60)
    try:
        yield
    finally:
        cluster.leader().run(f"docker {undo}", timeout=60)
        await_steady(cluster, within=120)


def test_a_missing_node_label(cluster: Cluster, run_features: RunFeatures) -> None:
    with changed(
        cluster,
        "node update --label-rm tier gmktec",
        "node update --label-add tier=core gmktec",
    ):
        outcome = run_features("features/cluster/formation.feature", "-k", "labels")
    assert outcome.status == 1
    assert outcome.verdicts("node labels") == ["missed"]
    assert "gmktec: label tier" in outcome.reason("node labels")


def test_a_heartbeat_too_slow_for_a_lost_leader(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    with changed(
        cluster, "swarm update --dispatcher-heartbeat 5s", "swarm update --dispatcher-heartbeat 3s"
    ):
        outcome = run_features("features/failover/timers.feature")
    assert outcome.status == 1
    assert outcome.verdicts("worst case of noticing a lost leader") == ["missed"]


def test_an_edge_that_answers_200_with_a_wrong_body(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    config = """
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
frontend edge
    bind :8080
    http-request return status 200 content-type application/json string '{"service": "nobody"}'
"""
    leader = cluster.leader()
    leader.run("docker config create sabotage-edge -", stdin=config.encode())
    good = [c.name for c in leader.docker.configs.list() if "haproxy" in c.name]
    target = "target=/usr/local/etc/haproxy/haproxy.cfg"
    service = "docker service update --quiet --detach=false"
    wrong = f"--config-rm {good[0]} --config-add source=sabotage-edge,{target}"
    right = f"--config-rm sabotage-edge --config-add source={good[0]},{target}"
    try:
        leader.run(f"{service} {wrong} edge_edge", timeout=120)
        outcome = run_features("features/cluster/edge.feature")
    finally:
        leader.run(f"{service} {right} edge_edge", timeout=120)
        leader.run("docker config rm sabotage-edge")
        await_steady(cluster, within=120)
    assert outcome.status == 1
    assert outcome.verdicts("answers through the edge") == ["missed"]
    assert "wrong body" in outcome.reason("answers through the edge")


def test_an_entry_that_never_existed(
    cluster: Cluster, run_features: RunFeatures, tmp_path: Path
) -> None:
    folder = folders.cluster_folder(cluster.name)
    inventory = yaml.safe_load((folder / "inventory.yml").read_text())
    for node in inventory["nodes"].values():
        node["entry"] = "http://127.0.0.1:9"  # the discard port: nothing listens there
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump(inventory))
    outcome = run_features("features/cluster/edge.feature", inventory=path)
    assert outcome.status == 1
    assert outcome.verdicts("answers through the edge") == ["missed"]
    assert "refused" in outcome.reason("answers through the edge")


@pytest.mark.parametrize(
    "conninfo",
    ["", "host=127.0.0.1 port=5432 user=replicator application_name=gibd-postgres-replica"],
    ids=["detached from its primary", "pointed at itself"],
)
def test_a_replica_that_does_not_stream(
    cluster: Cluster, run_features: RunFeatures, conninfo: str
) -> None:
    pair = pair_of(cluster, primary="gibd-postgres", replica="gibd-postgres-replica")
    with replica_following(cluster, pair, conninfo):
        outcome = run_features(
            "features/replication/postgresql.feature", "-k", "right_replica and gibd"
        )
    assert outcome.status == 1
    assert outcome.verdicts("PostgreSQL streams to the replica") == ["missed"]
    assert "receiver is absent" in outcome.reason("PostgreSQL streams to the replica")


def test_a_service_pinned_to_the_dead_node(cluster: Cluster, run_features: RunFeatures) -> None:
    leader = cluster.leader()
    (image,) = {
        image
        for service in leader.docker.services.list(filters={"name": "canary_canary"})
        for image in [service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]]
    }
    create = shlex.join(
        [
            *("docker", "service", "create", "--quiet", "--detach", "--no-resolve-image"),
            *("--name", "sabotage-pinned", "--constraint", "node.hostname==hpr"),
            *("--endpoint-mode", "dnsrr", "--network", "public", image, "sleep", "infinity"),
        ]
    )
    leader.run(create, timeout=60)
    try:
        outcome = run_features("features/failover/node_loss.feature", "-k", "worker")
    finally:
        cluster.leader().run("docker service rm sabotage-pinned")
        await_steady(cluster, within=180)
    assert outcome.status == 1
    assert outcome.verdicts("services run elsewhere") == ["missed"]
    assert "sabotage-pinned.1" in outcome.reason("services run elsewhere")


@contextmanager
def deaf_packet_filter(cluster: Cluster, name: str) -> Iterator[None]:
    """Let a node's iptables say yes to our rules and do nothing.

    So does one that writes to tables which the kernel does not look at (nft and legacy side by
    side): the field's usual reason for a partition that is none.
    """
    place = "/usr/local/sbin/iptables"
    script = '#!/bin/sh\ncase "$*" in *CUTOVER-*) exit 0;; esac\nexec /usr/sbin/iptables "$@"\n'
    node = cluster.node(name)
    node.run(f"cat >{place} && chmod +x {place}", stdin=script.encode())
    try:
        assert node.run("command -v iptables").stdout.strip() == place
        yield
    finally:
        node.run(f"rm -f {place}")


def test_a_fault_that_does_nothing_is_not_a_system_that_withstands_it(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    with deaf_packet_filter(cluster, "hpr"):
        outcome = run_features("features/traps/isolation.feature", "-k", "moment")
    assert outcome.status == 1
    assert [(c["verdict"], c["cause"]) for c in outcome.signoff["criteria"]] == [
        ("inconclusive", "fault")
    ]


def test_tasks_that_leave_a_node_at_every_hiccup_are_seen_to_leave(
    cluster: Cluster, run_features: RunFeatures
) -> None:
    with changed(
        cluster,
        "swarm update --dispatcher-heartbeat 1s",
        "swarm update --dispatcher-heartbeat 3s",
    ):
        outcome = run_features("features/traps/isolation.feature", "-k", "moment")
    (left,) = [
        seen["value"]
        for seen in outcome.signoff["observations"]
        if seen["name"] == "tasks that left the flapping node"
    ]
    assert left > 0
