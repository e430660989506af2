"""What the nodes' kernels can do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.cluster.capabilities import Capabilities, probe
from fixtures.cluster.ssh import Completed
from fixtures.errors import RemoteTimeout
from tests.unit.builders import FakeCluster

# A word of each probe that no other probe has.
MARKS = {"ipvs": "ip_vs", "esp": "proto esp", "netem": "netem"}


def lacking(*missing: str) -> Callable[..., Completed]:
    """A node whose probes fail for these capabilities."""

    def run(command: str, *, check: bool = True) -> Completed:
        assert not check, "a probe that fails is an answer, not an error"
        failed = any(MARKS[name] in command for name in missing)
        return Completed(command, int(failed), "", "")

    return run


def cluster(**missing: tuple[str, ...]) -> FakeCluster:
    fake = FakeCluster()
    for name, node in fake.nodes.items():
        node.runs = lacking(*missing.get(name, ()))
    return fake


def test_what_every_node_has_the_cluster_has() -> None:
    assert probe(cluster()) == Capabilities(ipvs=True, esp=True, netem=True)


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("node", ["m1", "w1"])
def test_what_one_node_lacks_the_cluster_lacks(name: str, node: str) -> None:
    expected = {**dict.fromkeys(MARKS, True), name: False}
    assert probe(cluster(**{node: (name,)})) == Capabilities(**expected)


def test_different_nodes_may_lack_different_things() -> None:
    seen = probe(cluster(m1=("ipvs",), m2=("esp",), w1=("netem",)))
    assert seen == Capabilities(ipvs=False, esp=False, netem=False)


def test_a_node_that_does_not_answer_is_no_answer() -> None:
    fake = cluster()

    def run(command: str, *, check: bool = True) -> Completed:
        raise RemoteTimeout("no answer")

    fake.nodes["m2"].runs = run
    with pytest.raises(RemoteTimeout):
        probe(fake)


@pytest.mark.parametrize(
    ("ipvs", "endpoint", "port"), [(True, "vip", "ingress"), (False, "dnsrr", "host")]
)
def test_modes_follow_ipvs(ipvs: bool, endpoint: str, port: str) -> None:
    seen = Capabilities(ipvs=ipvs, esp=True, netem=True)
    assert (seen.endpoint_mode, seen.port_mode) == (endpoint, port)


def test_a_kernel_with_everything_needs_no_note() -> None:
    assert Capabilities(ipvs=True, esp=True, netem=True).notes() == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("ipvs", "VIPs and the ingress mesh are not tested"),
        ("esp", "not encrypted; that is unproven"),
    ],
)
def test_what_cannot_be_shown_is_said(missing: str, said: str) -> None:
    (note,) = Capabilities(**{**dict.fromkeys(MARKS, True), missing: False}).notes()
    assert said in note
