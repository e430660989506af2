"""What became of acknowledged writes: a history against the keys that are there. Pure.

The model is Jepsen's set test: unique elements are added under faults, and read in the end. An add
that was acknowledged must be there. One whose end is not known may or may not be: counting it
either way would accuse or acquit the system for what nobody saw. One that was refused must not.

How much was lost is told as the recovery point: "the point in time, prior to a disruption or system
outage, to which mission/business process data can be recovered after an outage" (NIST SP 800-34
Rev. 1, 3.2.1). Everything acknowledged before that point is there, so it lies between the last
acknowledgement before the oldest lost write's, and that one. The loss in seconds counts from there
to the outage, which is the fault's moment or, when writes were lost that had been acknowledged
after it (a deposed primary that went on), the last of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from load.outages import longest_silence
from load.writes.history import Became, Write, as_samples, settled


@dataclass(frozen=True, slots=True)
class Loss:
    """How far back what was lost reaches: `seconds` ± `error`.

    The error is infinite when every write that was acknowledged before is lost as well: what was
    older than the writing is then lost too, nobody knows how far back. `reason` says so.
    """

    seconds: float
    error: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """Every write in exactly one of the first six; `unexplained` keys were never sent at all.

    `twice` lists keys that are there more than once, whatever they are besides.
    """

    kept: tuple[Write, ...]
    lost: tuple[Write, ...]
    unknown_present: tuple[Write, ...]
    unknown_absent: tuple[Write, ...]
    refused_present: tuple[Write, ...]
    refused_absent: tuple[Write, ...]
    unexplained: tuple[int, ...]
    twice: tuple[int, ...]

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        return len(self.kept) + len(self.lost)

    def impossible(self) -> list[str]:
        """Return, in words, what must not be there whatever the fault was."""
        found = [f"key {key} is there more than once" for key in self.twice]
        found += [
            f"key {write.key} is there and was refused ({write.detail})"
            for write in self.refused_present
        ]
        return found + [f"key {key} is there and was never sent" for key in self.unexplained]

    def table(self) -> list[dict[str, str]]:
        """Return the counts for a reader."""
        rows = {
            "acknowledged, and there": len(self.kept),
            "acknowledged, and lost": len(self.lost),
            "end unknown, and there": len(self.unknown_present),
            "end unknown, and not there": len(self.unknown_absent),
            "refused, and not there": len(self.refused_absent),
            "refused, yet there": len(self.refused_present),
            "never sent, yet there": len(self.unexplained),
            "there more than once": len(self.twice),
        }
        return [{"writes": name, "count": str(count)} for name, count in rows.items()]


def check(writes: Sequence[Write], found: Mapping[int, int]) -> Checked:
    """Sort every write by what its writer was told and whether it is there.

    `found` maps each key that is there to how many times it is.
    """

    def those(became: Became, there: bool) -> tuple[Write, ...]:
        return tuple(w for w in writes if w.became is became and (found.get(w.key, 0) > 0) is there)

    known = {write.key for write in writes}
    return Checked(
        kept=those(Became.ACKNOWLEDGED, there=True),
        lost=those(Became.ACKNOWLEDGED, there=False),
        unknown_present=those(Became.UNKNOWN, there=True),
        unknown_absent=those(Became.UNKNOWN, there=False),
        refused_present=those(Became.REFUSED, there=True),
        refused_absent=those(Became.REFUSED, there=False),
        unexplained=tuple(sorted(k for k, times in found.items() if times > 0 and k not in known)),
        twice=tuple(sorted(key for key, times in found.items() if times > 1)),
    )


def on_every(servers: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the keys that every one of `servers` has, each as often as where it is most often.

    With two servers that accept writes, an application reads from one or the other: a write is
    safe only when both have it.
    """
    together: dict[int, int] | None = None
    for found in servers:
        if together is None:
            together = dict(found)
        else:
            together = {k: max(n, found[k]) for k, n in together.items() if k in found}
    return together or {}


def loss(checked: Checked, outage: float, outage_error: float, clock_error: float) -> Loss:
    """Measure how far back the loss reaches from the `outage` (s, ± `outage_error`).

    `clock_error` (s) is that of the writes' times on the outage's clock. With nothing lost it is 0
    s, and its error the time before the outage in which no write was acknowledged: so long a loss
    could hide there.
    """
    blur = outage_error + clock_error
    acks = sorted(_ended(write) for write in (*checked.kept, *checked.lost))
    lost = sorted(_ended(write) for write in checked.lost)
    if not lost:
        before = [at for at in acks if at <= outage]
        return Loss(0.0, (outage - before[-1] if before else math.inf) + blur)
    oldest, newest = lost[0], lost[-1]
    end = max(outage, newest)
    before = [at for at in acks if at < oldest]
    if not before:
        return Loss(
            end - oldest,
            math.inf,
            "every write acknowledged before is lost too: the loss began before anybody wrote",
        )
    gap = oldest - before[-1]
    return Loss(end - oldest + gap / 2, gap / 2 + blur)


def last_before_silence(writes: Sequence[Write]) -> float | None:
    """Return when the longest time without an acknowledgement began; None without such a time.

    It stands for the outage where no fault of ours has a moment: a promotion that was planned.
    """
    silence = longest_silence(as_samples(settled(list(writes))))
    return None if silence is None else silence.start


def _ended(write: Write) -> float:
    assert write.ended is not None  # an acknowledgement is an end
    return write.ended
