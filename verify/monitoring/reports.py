"""What jobs that end tell the push gateway of their success, in the plan's way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from fixtures.errors import CannotProve
from fixtures.stacks.scraping import BACKUP_AGES
from verify.monitoring.api import Monitoring

BACKUP: Final = "backup_last_success_timestamp_seconds"
MIRROR: Final = "gitlab_mirror_last_sync_timestamp"
MIRROR_JOB: Final = "gitlab-mirror"


def group_of(job: str) -> str:
    """Return the push gateway's group of a job."""
    return f"job/{job}" if job == MIRROR_JOB else f"job/backup/backup/{job}"


@dataclass
class Report:
    """Pushes and takes back the reports of jobs, on a twin: servers' own must not be falsified."""

    monitoring: Monitoring
    pushed: set[str] = field(default_factory=set)

    def fresh(self) -> None:
        """Report that every job has just succeeded; servers' jobs report by themselves."""
        if self.monitoring.cluster.is_twin:
            for job in (MIRROR_JOB, *BACKUP_AGES):
                self.push(job, 0.0)

    def push(self, job: str, age: float) -> None:
        """Report a success `age` seconds ago. Raises `CannotProve` on servers."""
        self._twin_only()
        metric = MIRROR if job == MIRROR_JOB else BACKUP
        self.monitoring.push(group_of(job), metric, time.time() - age)
        self.pushed.add(job)

    def forget(self, job: str) -> None:
        """Let nothing be known of a job. Raises `CannotProve` on servers."""
        self._twin_only()
        self.monitoring.unpush(group_of(job))
        self.pushed.discard(job)

    def _twin_only(self) -> None:
        if not self.monitoring.cluster.is_twin:
            raise CannotProve(
                "a job's report would be falsified", where="the push gateway of servers"
            )

    def forget_all(self) -> None:
        """Take back what was pushed."""
        for job in sorted(self.pushed):
            self.forget(job)
