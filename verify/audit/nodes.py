"""The inventory's nodes, as far as placement and memory are concerned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.constraints import eligible
from fixtures.cluster.inventory import Inventory
from fixtures.cluster.swarm import SwarmNode
from fixtures.sizes import parse_memory
from verify.audit.stack import Service

#: docker service create --constraint: KEY == VALUE or KEY != VALUE. A single = is refused.
CONSTRAINT: Final = re.compile(r"\s*[\w.\-/]+\s*(==|!=)\s*\S.*")


@dataclass(frozen=True)
class Nodes:
    """Which nodes there are, and how many bytes of memory each has, where that is known."""

    nodes: Mapping[str, SwarmNode]
    memory: Mapping[str, int]

    def fitting(self, service: Service) -> list[str]:
        """Return the nodes on which a task of the service may run, in file order.

        An id is in no inventory, so a constraint on one excludes all nodes but one that is unknown:
        the service then fits "one node".
        """
        constraints = [entry.text for entry in service.constraints]
        if any(re.match(r"\s*node\.id\s*==", text) for text in constraints):
            return ["one node"]
        return [name for name, node in self.nodes.items() if eligible(node, constraints)]


def nodes_of(inventory: Inventory) -> Nodes:
    """Take the nodes out of an inventory."""
    return Nodes(
        {
            name: SwarmNode(
                id="",
                hostname=name,
                role=entry.role.value,
                state="ready",
                availability="active",
                leader=False,
                reachability="",
                address=entry.address,
                engine_version="",
                labels=entry.labels,
            )
            for name, entry in inventory.nodes.items()
        },
        {
            name: parse_memory(entry.memory)
            for name, entry in inventory.nodes.items()
            if entry.memory is not None
        },
    )
