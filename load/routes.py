"""The routes through the edge, and the answer that only the right service gives."""

from __future__ import annotations

from collections.abc import Sequence

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from load.checks import Target

# Name → route, JSON key, and the value that must stand there.
ROUTES = {
    "edge": ("/", "service", "ws-gateway"),
    "canary": ("/canary", "service", "canary"),
}


def named_targets(cluster: Cluster, names: Sequence[str]) -> list[Target]:
    """Return the targets called `names`, asked at every entry. Raises `CutoverError`."""
    unknown = sorted(set(names) - set(ROUTES))
    if unknown:
        raise CutoverError(
            f"no route is called {', '.join(unknown)}",
            where="feature",
            remedy=f"There are: {', '.join(ROUTES)}.",
        )
    return [route_target(cluster, name, *ROUTES[name]) for name in names]


def route_target(cluster: Cluster, name: str, route: str, key: str, value: str) -> Target:
    """Return a target for one route. Raises `CutoverError` when the inventory names no entry."""
    if not cluster.entries:
        raise CutoverError(
            "no node has an entry",
            where=f"inventory of {cluster.name}, nodes.*.entry",
            remedy="Give the URL at which clients reach the edge on each node.",
        )
    entries = {node: f"{url.rstrip('/')}{route}" for node, url in cluster.entries.items()}
    return Target(name, entries, key, value)
