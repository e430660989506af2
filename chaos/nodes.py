"""Faults that take a node or a task away, and how each is put right."""

from __future__ import annotations

import time

from chaos.guard import Situation, check_allowed, check_node_loss
from fixtures import progress
from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.power import Instant
from fixtures.errors import CannotProve, CutoverError


class NodeFaults:
    """Takes nodes away and remembers how to give them back; one for each scenario.

    `happened` says whether any fault was injected, `healed_at` when healing last began (monotonic
    seconds). `heal` undoes what is still in force, in
    reverse order, and goes on past an undo that fails.
    """

    def __init__(self, cluster: Cluster, allowed_cluster: str | None = None) -> None:
        self._cluster = cluster
        self._allowed_cluster = allowed_cluster
        self._lost: list[str] = []
        self.happened = False
        self.healed_at: float | None = None

    @property
    def lost(self) -> tuple[str, ...]:
        """Names of the nodes that are without power through this."""
        return tuple(self._lost)

    def _situation(self) -> Situation:
        return Situation(
            cluster=self._cluster.name,
            is_twin=self._cluster.is_twin,
            allowed_cluster=self._allowed_cluster,
            nodes=self._cluster.nodes,
            managers=[node.name for node in self._cluster.managers],
            lost=self._lost,
        )

    def permit(self) -> None:
        """Refuse, before anything is moved for a fault, what the guard would refuse anyway.

        Raises `Refused` on a cluster that is not a twin and was not named.
        """
        check_allowed(self._situation())

    def power_off(self, node: Node, *, quorum_may_be_lost: bool = False) -> Instant:
        """Cut the node's power; returns when. Raises `Refused` by the guard, `CannotProve`."""
        check_node_loss(self._situation(), node.name, quorum_may_be_lost=quorum_may_be_lost)
        # Both before it happens: an undo or a proof too many does no harm.
        before = self.happened
        self.happened = True
        self._lost.append(node.name)
        try:
            instant = node.power_off()
        except CannotProve:
            self._lost.remove(node.name)
            self.happened = before
            raise
        progress.say(f"  ✂ {node.name} has lost its power")
        return instant

    def power_on(self, node: Node) -> Instant:
        """Give the node its power back; returns when that was asked for."""
        instant = node.power_on()
        if node.name in self._lost:
            self._lost.remove(node.name)
        progress.say(f"  ↺ {node.name} has its power back")
        return instant

    def kill_task(self, service: str) -> Instant:
        """Kill the container of a running task of `service` (SIGKILL); Swarm starts another."""
        node, task = self._cluster.a_task(service)
        check_allowed(self._situation())
        self.happened = True
        return node.kill_container(task.container_id)

    def heal(self) -> float:
        """Undo all that is in force; safe to repeat.

        Returns the monotonic time at which the undoing began, in seconds. Raises `CutoverError`
        naming what could not be undone.
        """
        began = self.healed_at = time.monotonic()
        failures = []
        for name in reversed(self.lost):
            try:
                self.power_on(self._cluster.node(name))
            except Exception as error:  # noqa: BLE001 - the other nodes must be healed too
                failures.append(f"{name}: {error}")
        if failures:
            raise CutoverError(
                f"could not be given their power back: {'; '.join(failures)}",
                where="chaos",
                remedy="On a twin: make down. On servers: switch them on by hand.",
            )
        return began
