"""What a twin is made of."""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest

from fixtures.cluster.inventory import Role
from fixtures.cluster.twin import blueprint
from fixtures.errors import CutoverError


def test_the_plan_has_three_managers_and_a_worker() -> None:
    assert Counter(n.role for n in blueprint.NODES) == {Role.MANAGER: 3, Role.WORKER: 1}
    assert [n.name for n in blueprint.NODES if n.role is Role.WORKER] == ["hpr"]


def test_nothing_of_production_is_allowed_on_the_worker() -> None:
    for node in blueprint.NODES:
        assert ("production" in node.labels) == (node.role is Role.MANAGER)


def test_the_capability_that_some_hosts_cannot_grant_is_not_asked_for() -> None:
    assert "SYS_RESOURCE" not in blueprint.CAPABILITIES
    assert len(set(blueprint.CAPABILITIES)) == len(blueprint.CAPABILITIES)


@pytest.mark.parametrize("name", ["a", "default", "twin-2", "0", "a" * 20])
def test_a_fit_name_is_returned(name: str) -> None:
    assert blueprint.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a b", "a/b", "..", "a" * 21, "a\n", "ä"]
)
def test_an_unfit_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(CutoverError, match=r"--twin: .* cannot name a twin\. Use 1 to 20"):
        blueprint.check_name(name)


def test_two_twins_share_no_name() -> None:
    names = [blueprint.container_name(t, n.name) for t in ("a", "b") for n in blueprint.NODES]
    assert len(set(names)) == len(names)
    assert blueprint.network_name("a") != blueprint.network_name("b")


def test_the_lowest_free_subnet_is_taken() -> None:
    assert blueprint.free_subnet(set()) == 0
    assert blueprint.free_subnet({"198.18.0.0/24", "198.18.2.0/24", "192.0.2.0/24"}) == 1


def test_with_all_subnets_taken_the_remedy_is_named() -> None:
    taken = {blueprint.UNDERLAY.format(index=i) for i in range(blueprint.UNDERLAY_COUNT)}
    with pytest.raises(CutoverError, match="make down"):
        blueprint.free_subnet(taken)


def test_addresses_are_distinct_and_lie_in_their_subnet() -> None:
    last = blueprint.UNDERLAY_COUNT - 1
    subnet = ipaddress.ip_network(blueprint.UNDERLAY.format(index=last))
    addresses = {ipaddress.ip_address(blueprint.node_address(last, n)) for n in blueprint.NODES}
    assert len(addresses) == len(blueprint.NODES)
    assert all(address in subnet for address in addresses)


def test_no_subnet_can_meet_a_network_that_exists() -> None:
    """RFC 2544 sets 198.18.0.0/15 aside; underlay and overlays must not meet each other either."""
    reserved = ipaddress.ip_network("198.18.0.0/15")
    overlays = ipaddress.ip_network(blueprint.OVERLAY_POOL)
    assert overlays.subnet_of(reserved)
    for index in range(blueprint.UNDERLAY_COUNT):
        underlay = ipaddress.ip_network(blueprint.UNDERLAY.format(index=index))
        assert underlay.subnet_of(reserved)
        assert not underlay.overlaps(overlays)
