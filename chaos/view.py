"""What plans may know of a live cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from chaos.fault import Placed
from chaos.targets import NoTarget, hostname_in_role, hostnames_in_group
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.swarm import Snapshot, alive_tasks
from fixtures.errors import CannotProve

_POWER: Final = "power control"
_RULE: Final = "unshare -n iptables -t mangle -A OUTPUT -p udp"
_PROBES: Final = {
    "netem": "unshare -n sh -c 'ip link set lo up; tc qdisc add dev lo root netem delay 1ms'",
    "tbf": "unshare -n sh -c 'tc qdisc add dev lo root tbf rate 1mbit burst 16kb latency 50ms'",
    "statistic": f"{_RULE} -m statistic --mode random --probability 0.5 -j DROP",
    "nfqueue": f"{_RULE} -j NFQUEUE --queue-num 1 --queue-bypass && python3 -c 'import select'",
}


class ClusterView:
    """A `View` of one snapshot, so that a plan is made from one moment.

    The managers are asked when a plan needs their word: without quorum a node can still be named.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._has: dict[str, bool] = {}

    @cached_property
    def snapshot(self) -> Snapshot:
        """What the managers say. Raises `NoControlPlane`."""
        return self._cluster.snapshot()

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the inventory's nodes."""
        return list(self._cluster.nodes)

    @property
    def managers(self) -> Sequence[str]:
        """Names of its managers."""
        return [node.name for node in self._cluster.managers]

    @property
    def is_twin(self) -> bool:
        """Whether its nodes are containers of one machine."""
        return self._cluster.is_twin

    def node(self, words: str) -> str:
        """Return the name of the one node that `words` name. Raises `NoTarget`."""
        if words in self._cluster.nodes:
            return words
        return self._cluster.node(hostname_in_role(self.snapshot, words, list(self.nodes))).name

    def group(self, words: str) -> tuple[str, ...]:
        """Return the names of the nodes that `words` name. Raises `NoTarget`."""
        return hostnames_in_group(self.snapshot, words, list(self.nodes))

    def address(self, node: str) -> str:
        """Return the address by which the Swarm's nodes know `node`."""
        seen = self.snapshot.node_named(node)
        if seen is not None and not seen.address.startswith(("0.", "127.")) and seen.address:
            return seen.address
        # Some engines say 0.0.0.0 of the leader: the node itself knows.
        info = self._cluster.node(node).ask(lambda api: api.info())
        return str(info["Swarm"]["NodeAddr"])

    def service(self, name: str) -> str:
        """Return the service's full name. Raises `CutoverError`."""
        return self.snapshot.service_called(name).name

    def virtual_addresses(self, service: str) -> Sequence[str]:
        """Return the service's virtual addresses; none where it is resolved to its tasks."""
        return self.snapshot.service_called(service).virtual_addresses

    def tasks(self, service: str) -> Sequence[Placed]:
        """Return the running tasks of a service on living nodes. Raises `NoTarget` without any."""
        found = [
            Placed(
                self.snapshot.hostname_of(task.node_id),
                task.container_id,
                task.pid,
                dict(task.addresses),
            )
            for task in sorted(
                alive_tasks(self.snapshot.tasks_of(self.service(service)), self.snapshot.nodes),
                key=lambda task: (task.slot or 0, task.node_id),
            )
            if task.container_id
        ]
        if not found:
            raise NoTarget(f"{service} has no running task", where="target")
        return found

    def read(self, node: str, command: str) -> str:
        """Return what a command that changes nothing prints on `node`, stripped."""
        return self._cluster.node(node).run(command, timeout=10).stdout.strip()

    def has(self, capability: str) -> bool:
        """Whether every node has `capability`: asked, never assumed, once a view."""
        if capability == _POWER:
            return self._cluster.is_twin or all(
                node.power is not None for node in self._cluster.inventory.nodes.values()
            )
        if capability not in self._has:
            command = f"{_PROBES[capability]} >/dev/null 2>&1"
            living = [name for name in self.nodes if self._cluster.node(name).has_power]
            self._has[capability] = all(
                self._cluster.node(name).run(command, check=False).rc == 0 for name in living
            )
        return self._has[capability]

    def require(self, capability: str) -> None:
        """Raise `CannotProve` when the cluster lacks `capability`."""
        if not self.has(capability):
            raise CannotProve(
                f"the nodes have no {capability}",
                where="chaos",
                remedy="Name power commands in the inventory (docs/real-servers.md)."
                if capability == _POWER
                else "The fault cannot be injected on this kernel.",
            )
