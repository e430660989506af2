"""Undo what the ledger says is open: in reverse order, past what fails, as often as one likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from chaos import doing
from chaos.fault import A_MANAGER, NotHealed, Shell, Step
from chaos.ledger import Ledger, Open
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually

# A node that a later fault took away boots first; then what lay on it can be undone.
_REACHABLE_SECONDS: Final = 30.0
#: What faults that are undone last wait for: a node's boot, an election, a database's recovery.
IN_THE_END_SECONDS: Final = 240.0


@dataclass
class Healing:
    """What a heal did: faults undone (with when, and how it was proven), and what failed."""

    began: float
    undone: dict[str, Instant] = field(default_factory=dict)
    proofs: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def raise_failures(self) -> None:
        """Raise `NotHealed` when something could not be put right."""
        if self.failures:
            raise NotHealed(
                f"could not be put right: {'; '.join(self.failures)}",
                where="chaos",
                remedy="Look at that node, then: python -m chaos heal (it can be repeated).",
            )


def heal(
    cluster: Cluster,
    ledger: Ledger,
    entries: Sequence[Open],
    *,
    say: Callable[[str], None] = lambda _: None,
    patience: float = _REACHABLE_SECONDS,
) -> Healing:
    """Undo `entries` (oldest first, as the ledger gives them), then prove that they are gone.

    The newest goes first; one that needs what others give back (`Shell.last`) in the end, and so
    does one that a manager should undo and cannot yet: another fault may have taken the quorum.
    `patience`: seconds to wait for a node that cannot be reached; those in the end have
    `IN_THE_END_SECONDS` together, and each no less than `patience`. Nothing is raised for a fault
    that cannot be undone: it stays open, and `failures` says why.
    """
    healing = Healing(time.monotonic())
    undone: list[Open] = []
    failures: dict[str, str] = {}

    def put_right(entry: Open, waits: float) -> bool:
        try:
            healing.undone[entry.id] = _undo(cluster, entry, waits)
        except (CutoverError, NeverTrue) as error:
            failures[entry.id] = f"{entry.label}: {error}"
            return False
        except Exception as error:  # noqa: BLE001 - the others must be undone too
            failures[entry.id] = f"{entry.label}: {type(error).__name__}: {error}"
            return False
        failures.pop(entry.id, None)
        undone.append(entry)
        say(f"  ↺ undone: {entry.label}")
        return True

    newest_first = list(reversed(entries))
    put_off = []
    for entry in newest_first:
        if _is_last(entry):
            continue
        at_a_manager = _needs_a_manager(entry)
        if not put_right(entry, 0.0 if at_a_manager else patience) and at_a_manager:
            put_off.append(entry)
    deadline = time.monotonic() + IN_THE_END_SECONDS
    for entry in (*put_off, *filter(_is_last, newest_first)):
        put_right(entry, max(patience, deadline - time.monotonic()))
    healing.failures.extend(failures.values())
    for entry in undone:
        try:
            healing.proofs[entry.id] = _prove_gone(cluster, entry)
            ledger.healed(entry.id)
        except Exception as error:  # noqa: BLE001 - as above
            healing.failures.append(f"{entry.label}: not gone: {error}")
    return healing


def _is_last(entry: Open) -> bool:
    return any(isinstance(step, Shell) and step.last for step in entry.steps)


def _needs_a_manager(entry: Open) -> bool:
    return any(
        isinstance(step, Shell) and step.undo and step.node == A_MANAGER for step in entry.steps
    )


def _undo(cluster: Cluster, entry: Open, patience: float) -> Instant:
    instant = None
    failures = []
    for number, step in reversed(list(enumerate(entry.steps))):
        try:
            instant = eventually(
                partial(doing.undo, cluster, step, entry.id, number),
                within=patience,
                what=f"{step.node} lets {entry.label} be undone",
                retry_on=(CutoverError,),
            )
        except Exception as error:  # noqa: BLE001 - the other steps must be undone too
            failures.append(str(error))
    if failures:
        raise NotHealed("; ".join(failures))
    return instant or Instant(time.monotonic(), 0.0)


def _prove_gone(cluster: Cluster, entry: Open) -> str:
    def gone(step: Step) -> str | Pending:
        return doing.gone(cluster, step, entry.id)

    proofs = [
        eventually(
            partial(gone, step),
            within=step.gone_within,
            what=f"{entry.label} gone",
            retry_on=(CutoverError,),
        )
        for step in entry.steps
    ]
    return "; ".join(dict.fromkeys(proofs))
