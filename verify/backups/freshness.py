"""How old the newest backup is, by its name and by what is in it: pure.

A `latest` link and an mtime prove nothing: a job that fails leaves the link where it was, and one
that copies yesterday's dump gives it today's date. What counts is the older of the date in the
name and the moment that the content itself shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verify.backups.names import Backup


@dataclass(frozen=True, slots=True)
class Age:
    """`periods` of the schedule since the newest backup; `reason` says what made it so old.

    Without any backup it is infinite.
    """

    periods: float
    error: float
    reason: str


def age(
    found: Sequence[Backup],
    now: datetime,
    period: float,
    *,
    content: datetime | None = None,
    content_error: float = 1.0,
    problems: Sequence[str] = (),
) -> Age:
    """Return the age of the newest of `found`, in periods of `period` seconds.

    `content` is when its content shows that it was made, ± `content_error` seconds; a name is as
    precise as it says. One from the future is no proof of anything, nor is one that is not whole,
    which `problems` say: its age counts as infinite.
    """
    if not found:
        return Age(math.inf, 0.0, "there is no backup")
    newest = max(found)
    by_name = (now - newest.taken).total_seconds()
    if by_name < -1:
        return Age(math.inf, 0.0, f"{newest.path} says that it is of the future")
    if problems:
        return Age(math.inf, 0.0, f"the newest is not whole: {'; '.join(problems)}")
    if content is not None:
        by_content = (now - content).total_seconds()
        if by_content > by_name + content_error:
            reason = f"{newest.path} holds data of {content:%Y-%m-%d %H:%M:%S}"
            return Age(by_content / period, content_error / period, reason)
    return Age(by_name / period, newest.precision / period, newest.path)
