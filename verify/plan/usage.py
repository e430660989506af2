"""What the nodes really use with the whole plan on them: memory and CPU, for the report."""

from __future__ import annotations

from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.waiting import Pending, eventually
from verify import budget
from verify.budget import GB, Source, load_between, memory_of, source_for
from verify.node_usage import Reading

SECONDS: Final = 5.0


def read(cluster: Cluster) -> list[tuple[str, float, str]]:
    """Watch every node for some seconds; returns name, value and unit of each figure."""

    def watch(node: Node) -> tuple[Reading, Reading]:
        first = budget.read(node)
        last: list[Reading] = []

        def later() -> bool | Pending:
            last[:] = [budget.read(node)]
            return last[0].at - first.at >= SECONDS or Pending("not yet")

        eventually(later, within=60, every=SECONDS / 2, what=f"{node.name} watched")
        return first, last[0]

    figures = []
    found = cluster.on_all(watch)
    for name, (first, last) in found.items():
        source = source_for(cluster.inventory.kind, last)
        load, _ = load_between(source, first, last)
        figures.append((f"memory in use on {name}", memory_of(source, last) / GB, "GB"))
        figures.append((f"CPU load of {name}", load, "per core"))
    if cluster.is_twin:
        first, last = next(iter(found.values()))
        load, _ = load_between(Source.PROC, first, last)
        figures.append(("memory in use on the twin's machine", last.memory / GB, "GB"))
        figures.append(("CPU load of the twin's machine", load, "per core"))
    return figures
