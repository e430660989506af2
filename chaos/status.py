"""What is in force on a cluster: by the ledger, and by what lies on its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos import scripts
from chaos.ledger import Open
from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError

_LOOK_SECONDS: Final = 30.0


def residue(cluster: Cluster) -> dict[str, list[str]]:
    """Return, by node, whatever any fault of ours left there; the ledger is not asked.

    A node that is off, frozen or out of reach is itself something left.
    """

    def look(node: Node) -> list[str]:
        try:
            if not node.has_power:
                return ["it does not run"]
            done = node.run(scripts.residue(), timeout=_LOOK_SECONDS)
        except CutoverError as error:
            return [f"it cannot be looked at: {error}"]
        return done.stdout.splitlines()

    return {name: lines for name, lines in cluster.on_all(look).items() if lines}


def of(cluster: Cluster, opened: Sequence[Open]) -> list[str]:
    """Return a line for each fault in force and for each thing left on a node."""
    lines = [
        f"in force: {entry.label} (id {entry.id}, by process {entry.owner.pid}, which "
        f"{'runs' if entry.owner.alive else 'has ended: python -m chaos heal'})"
        for entry in opened
    ]
    for name, left in residue(cluster).items():
        lines += [f"on {name}: {line}" for line in left]
    return lines
