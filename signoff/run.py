"""A run of features, and what is known of it while it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from signoff import plan_lines
from signoff.acceptance import Accepted
from signoff.bdd.collection import features_below
from signoff.recorder import Recorder
from signoff.summary import Signoff


@dataclass
class Run:
    """A run of features: what it says beside its measurements.

    `features` is the folder whose `plan.yml` says what proves the plan's lines.
    """

    folder: Path
    recorder: Recorder
    started: str
    seed: int
    command: str
    cluster: str = "(none)"
    notes: list[str] = field(default_factory=list)
    standins: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    complete: bool = True
    features: Path | None = None
    accepted: list[Accepted] = field(default_factory=list)

    def signoff(self) -> Signoff:
        """Sum the run up."""
        return Signoff(
            cluster=self.cluster,
            started=self.started,
            seed=self.seed,
            command=self.command,
            measurements=self.recorder.measurements,
            observations=self.recorder.observations,
            drills=self.recorder.drills,
            notes=self.notes,
            standins=self.standins,
            environment=self.environment,
            complete=self.complete,
            not_run=[name for name in self.collected if name not in self.ended],
            failed=self.failed,
            plan=self._plan(),
            accepted=self.accepted,
        )

    def _plan(self) -> list[plan_lines.Judged]:
        if self.features is None or not (table := self.features / plan_lines.TABLE).exists():
            return []
        return plan_lines.judge_lines(
            plan_lines.read(table), self.recorder.measurements, features_below(self.features)
        )


#: The run that a pytest session is, or is a worker of.
RUN: Final = pytest.StashKey[Run]()
