"""Nodes share their images' layers, and nothing that a container writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures.cluster.cluster import Cluster, Node
from fixtures.images import recipes

_DATA = "{{.GraphDriver.Data.LowerDir}}:{{.GraphDriver.Data.UpperDir}}"
_LAYERS = f"docker image inspect --format '{_DATA}' {recipes.tag('redis')} | tr : '\\n'"
_WRITE = f"docker run --rm --network none {recipes.tag('redis')} sh -c"


def test_what_a_container_writes_is_on_its_own_node_only(cluster: Cluster) -> None:
    one, other = cluster.node("gmktec"), cluster.node("hpr")

    def files(node: Node) -> str:
        listing = f"find $({_LAYERS}) -type f -exec stat -c '%n %i %s %Y %a' {{}} + | sort"
        return node.run(listing, timeout=60).stdout

    with ThreadPoolExecutor(2) as pool:
        before, there = pool.map(files, (one, other))
    assert "/etc/passwd " in before
    if before != there:
        pytest.skip("this engine's images cannot be shared")
    change = "echo x >>/etc/passwd; chmod 600 /usr/bin/redis-*; rm -rf /usr/share /var/lib"
    one.run(f"{_WRITE} '{change}'", timeout=60)
    assert files(other) == before
    assert files(one) == before
