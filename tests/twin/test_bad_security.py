"""A leak in every place, a node without its firewall, an engine for everybody: all seen at once."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker.types import EndpointSpec, Mount, RestartPolicy, SecretReference

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster, Node
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import Outcome
from verify.security import ports, secret_values, wire, wire_findings
from verify.security.rotation import Logins, held, not_taken, refused_within
from verify.security.secret_values import Secret

RunFeatures = Callable[..., Outcome]

FEATURES = [f"features/security/{name}.feature" for name in ("secrets", "network", "containers")]
LEAKY, IMAGE, VOLUME, PORT = "leaky", "cutover-leaky:1", "cutover-leaky", 8099
#: Says its argument, copies it to a file, and listens.
PROGRAM = f"""
import socket, sys, time
print(sys.argv[1], flush=True)
open("/leaked", "w").write(sys.argv[1])
door = socket.create_server(("0.0.0.0", {PORT}))
time.sleep(600)
"""
#: What `socat TCP-LISTEN:2375,fork UNIX:/run/docker.sock` does.
OPEN_ENGINE = """
import socket, threading
door = socket.create_server(("0.0.0.0", 2375))
def serve(link):
    engine = socket.socket(socket.AF_UNIX); engine.connect("/run/docker.sock")
    engine.sendall(link.recv(4096))
    while part := engine.recv(4096):
        link.sendall(part)
    link.close()
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""
NO_FIREWALL = """
iptables-save -t filter | grep -- '-j SWARM-NODES' | sed 's/^-A/-D/' |
  while read -r rule; do iptables -w 5 $rule; done
iptables -w 5 -I DOCKER-USER -j RETURN
"""
FIREWALL = """
iptables -w 5 -D DOCKER-USER -j RETURN
iptables-save -t filter | grep -- '-j SWARM-NODES' ||
  grep -- '-A INPUT' /etc/iptables/rules.v4 | while read -r rule; do iptables -w 5 $rule; done
"""
# What CVE-2023-28841 was: nothing refuses what came in clear, nothing marks what is to be sealed.
UNSEALED = """
for table in filter mangle; do
  iptables-save -t $table | grep -e '--dport 4789 .*-j DROP' -e '--dport 4789 .*-j MARK' |
    sed 's/^-A/-D/' | while read -r rule; do eval "iptables -w 5 -t $table $rule"; done
done
"""


@contextmanager
def leaky_service(cluster: Cluster, node: Node, secret: Secret) -> Iterator[None]:
    """A service that has its password everywhere but in a secret, and more rights than it needs."""
    leader = cluster.leader()
    web = cluster.snapshot().service_called("netcheck").name

    ports: Any = {PORT: (PORT, "tcp", "host")}  # docker-py takes numbers, its stubs do not

    def create(api: Any) -> None:
        (known,) = api.api.secrets(filters={"name": secret.name})
        elsewhere = SecretReference(known["ID"], secret.name, filename="/etc/password")
        container = api.api.inspect_service(web)["Spec"]["TaskTemplate"]["ContainerSpec"]
        api.services.create(
            container["Image"],
            command=["python3", "-c", PROGRAM, secret.value],
            name=LEAKY,
            env=[f"PASSWORD={secret.value}"],
            labels={"password": secret.value},
            mounts=[Mount("/run/docker.sock", "/run/docker.sock", type="bind")],
            user="0",
            secrets=[elsewhere],
            cap_add=["CAP_NET_ADMIN"],
            constraints=[f"node.hostname == {node.name}"],
            restart_policy=RestartPolicy("none"),
            endpoint_spec=EndpointSpec(mode="dnsrr", ports=ports),
        )

    def running() -> bool | Pending:
        tasks = cluster.snapshot().tasks_of(LEAKY)
        return any(t.running for t in tasks) or Pending("; ".join(t.error for t in tasks))

    try:
        leader.ask(create)
        eventually(running, within=30, what="the leak")
        (task,) = cluster.snapshot().tasks_of(LEAKY)
        repository, tag = IMAGE.split(":")
        conf = {"Labels": {"password": secret.value}}
        node.ask(lambda api: api.api.commit(task.container_id, repository, tag, conf=conf))
        yield
    finally:
        leader.run(f"docker service rm {LEAKY}", check=False)
        image = (
            f"docker ps -aq --filter name={LEAKY} | xargs -r docker rm -f; docker rmi -f {IMAGE}"
        )
        node.run(image, check=False)


@contextmanager
def everything_wrong(cluster: Cluster, secret: Secret) -> Iterator[None]:
    value = secret.value.encode()
    bare, open_to_all, copied = (cluster.node(n) for n in ("hpr", "gmktec", "wsasus"))
    store = "/var/lib/docker/swarm/copy"
    with ExitStack() as stack:
        stack.enter_context(leaky_service(cluster, bare, secret))
        stack.callback(bare.run, f"docker volume rm {VOLUME}; rm -f /var/log/leak.log")
        bare.run(f"docker volume create {VOLUME}")
        bare.run(f"cat >/var/lib/docker/volumes/{VOLUME}/_data/config", stdin=value)
        bare.run("cat >/var/log/leak.log", stdin=value)
        stack.callback(bare.run, FIREWALL, check=False)
        bare.run(NO_FIREWALL)
        stack.callback(copied.run, f"rm -f {store}")
        copied.run(f"cat >{store}", stdin=value)
        stack.callback(open_to_all.run, "chmod 660 /run/docker.sock")
        open_to_all.run("chmod 666 /run/docker.sock")
        stack.callback(open_to_all.run, "kill $(cat /run/open-engine.pid)", check=False)
        start = f"setsid python3 -c {shlex.quote(OPEN_ENGINE)} </dev/null >/dev/null 2>&1 &"
        open_to_all.run(f"{start} echo $! >/run/open-engine.pid")
        yield


def test_every_leak_and_every_open_door_is_seen(
    cluster: Cluster, run_features: RunFeatures, tmp_path: Path
) -> None:
    (secret,) = (s for s in secret_values.in_use(cluster) if s.name == "redis_password")
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "old.md").write_text(secret.value)
    with everything_wrong(cluster, secret):
        outcome = run_features(*FEATURES)
    (reports / "old.md").unlink()
    assert outcome.status == 1
    for place, spot in {
        "the environment of processes": "in /proc/",
        "command lines": "in /proc/",
        "the settings of containers": f"in {LEAKY}",
        "the settings, labels and history of images": f"in {IMAGE}",
        "services, configs, networks and all labels": f"in service {LEAKY}",
        "the logs of containers": "-json.log on hpr",
        "the logs of the node": "in /var/log/leak.log on hpr",
        "what containers wrote outside of volumes": "/leaked on hpr",
        "small files in volumes": f"{VOLUME}/_data/config on hpr",
        "reports and ledgers of the harness": "in reports/old.md",
    }.items():
        criterion = f"no secret in {place}"
        assert outcome.verdicts(criterion) == ["missed"], place
        reason = outcome.reason(criterion)
        assert "redis_password" in reason, place
        assert spot in reason.replace(f"{tmp_path}/", ""), place
    for criterion, reasons in {
        "secrets are in memory only": [f"{LEAKY}.1", "has a secret at /etc/password"],
        "the engine's socket": ["/run/docker.sock on gmktec has mode 666"],
        "secrets encrypted at rest": ["redis_password in /var/lib/docker/swarm/copy on wsasus"],
        "exposed ports equal the list": [
            f"{LEAKY} publishes {PORT} on hpr",
            f"hpr: {PORT} is open and not in the list",
            "gmktec: 2375 is open and not in the list",
        ],
        "the engine's API needs a client's certificate": [" 2375 plain", "to containers on hpr"],
        "Swarm's ports are open between nodes only": [
            f"{port} of hpr lets backup-host in" for port in ("7946/tcp", "7946/udp", "4789/udp")
        ],
        "containers' rights": [
            f"{LEAKY} on hpr: {right}"
            for right in ("Docker socket", "capability NET_ADMIN", "root")
        ],
    }.items():
        assert outcome.verdicts(criterion) == ["missed"], criterion
        for reason in reasons:
            assert reason in outcome.reason(criterion)
    told = [path for path in reports.rglob("*") if path.is_file()]
    assert secret.value not in outcome.output
    assert not [path for path in told if secret.value.encode() in path.read_bytes()]


@pytest.fixture
def sealed(cluster: Cluster) -> Iterator[str]:
    """Yield an `encrypted` network, and a service of its name with a task on every node."""
    name, leader = "cutover-sealed", cluster.leader()
    netcheck = cluster.snapshot().service_called("netcheck").name
    image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    leader.run(
        f"docker network create --driver overlay --opt encrypted {name} >/dev/null &&"
        f" docker service create --detach --quiet --no-resolve-image --name {name} --mode global"
        f" --network {name} --endpoint-mode dnsrr --entrypoint sleep"
        f" $(docker service inspect --format '{image}' {netcheck}) infinity",
        timeout=60,
    )

    def running() -> bool | Pending:
        up = sum(task.running for task in cluster.snapshot().tasks_of(name))
        return up == len(cluster.nodes) or Pending(f"{up} tasks")

    def removed() -> bool | Pending:
        gone = leader.run(f"docker network rm {name}", check=False)
        return gone.rc == 0 or Pending(gone.stderr)

    try:
        eventually(running, within=60, what="a task on every node")
        yield name
    finally:
        leader.run(f"docker service rm {name}", check=False)
        eventually(removed, within=60, what="its network removed")


def test_an_encrypted_network_whose_traffic_is_clear_is_missed(
    cluster: Cluster, sealed: str
) -> None:
    esp = capabilities.probe(cluster).esp

    def look() -> wire_findings.Judged:
        seen = wire.exchange(cluster, sealed, [sealed])
        flagged = wire.flags(cluster, [sealed])
        assert flagged == {sealed: True}
        return wire_findings.judge(
            *seen, flagged, ports.addresses(cluster), networks=[sealed], esp=esp
        )

    before = look()
    assert (before.problems, before.doubts) == ([], [])
    assert bool(before.unproven) is not esp
    cluster.on_all(lambda node: node.run(UNSEALED))
    after = look()
    assert len(after.problems) == after.checked == 12
    assert "in clear, though the network is said to be encrypted" in after.problems[0]


def test_a_value_that_leaves_in_clear_is_seen(cluster: Cluster) -> None:
    node, value = cluster.leader(), b"not-for-everybody"
    peer = next(address for n, address in ports.addresses(cluster).items() if n != node.name)
    with wire.all_tapped(cluster, {node.name: [value]}) as taps:
        node.run(f"bash -c 'cat >/dev/udp/{peer}/9'", stdin=value)
    problems, doubts, _ = wire_findings.sealed_problems(taps, 2377)
    assert (problems, doubts) == ([f"{node.name} sent it in clear"], [])


def test_a_login_that_was_not_changed_or_not_retired_is_seen(cluster: Cluster) -> None:
    with Logins(cluster, "gibd-postgres", "gibd-postgres-replica") as logins:
        login = logins.make(logins.new_value())
        company = cluster.snapshot().service_called("ws-company").name
        unchanged = not_taken(held(cluster, company), {"postgres"}, login, login)
        assert isinstance(unchanged, Pending)
        assert f"without the new secret: {company}.1, {company}.2" in unchanged.reason
        assert refused_within(lambda: logins.accepted(login), within=1) == [
            "the former password is still accepted"
        ]
        logins.retire(login)
        assert refused_within(lambda: logins.accepted(login), within=5) == []
    listed = cluster.leader().run("docker secret ls --format '{{.Name}}'").stdout
    assert "cutover_rotation" not in listed
