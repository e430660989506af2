"""What writers and servers together show: what was lost, and how long nothing was acknowledged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fixtures.cluster.power import Instant
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import NeverTrue, Pending, Waited, eventually, how_long
from load.outages import GOODS_TO_TRUST, Recovery, Silence, in_vain, longest_silence, recovery
from load.writes import checker
from load.writes.checker import Checked, Loss
from load.writes.history import Write
from load.writes.run import WriteRun
from load.writes.stores import Store

_LOOK_SECONDS = 60.0


@dataclass
class Writers:
    """Writers and where they write to. `checked` is what `examine` found.

    `saved_at` is when all of before was saved (monotonic seconds), if somebody had that done.
    """

    run: WriteRun
    store: Store
    checked: Checked | None = None
    saved_at: float | None = None

    def examine(self) -> Checked:
        """End the writers and look for every key; safe to repeat.

        On the server that accepts writes now, or on all that do: see `checker.on_every`. Raises
        `CutoverError` when none does within a minute.
        """
        self.run.stop()
        if self.checked is None:
            try:
                found = eventually(
                    self._found,
                    within=_LOOK_SECONDS,
                    every=1.0,
                    retry_on=(Unreachable,),
                    what="the keys are read back",
                )
            except NeverTrue as error:
                raise CutoverError(str(error), where=" or ".join(self.store.servers)) from error
            self.checked = checker.check(self.run.writes(), found)
        return self.checked

    def _found(self) -> dict[int, int] | Pending:
        """Return the keys on what accepts writes; one that does not answer is not counted."""
        found, silent = [], []
        for server in self.store.servers:
            try:
                if self.store.writable(server):
                    found.append(self.store.found(server))
            except Unreachable as error:
                silent.append(str(error))
        if not found:
            return Pending("; ".join(silent) or "none accepts writes")
        return checker.on_every(found)

    def saved(self) -> set[int]:
        """Return the keys of the writes that were acknowledged surely before `saved_at`."""
        if self.saved_at is None:
            return set()
        end = self.saved_at - self.run.clock_error
        return {
            write.key
            for write in self.run.writes()
            if write.acknowledged and write.ended is not None and write.ended < end
        }

    def loss(self, outage: Instant) -> Loss:
        """Return how far back what was lost reaches from the outage."""
        return checker.loss(self.examine(), outage.at, outage.error, self.run.clock_error)

    def outage(self, faults: Sequence[Instant]) -> Instant | None:
        """Return the moment of the first fault that these writers met.

        Without one, when acknowledgements ceased for longest; None when they never did.
        """
        if met := self.met(faults):
            return met[0]
        ceased = checker.last_before_silence(self.run.writes())
        return None if ceased is None else Instant(ceased, 0.0)

    def met(self, moments: Sequence[Instant]) -> list[Instant]:
        """Return those of after the first write: earlier ones were other writers' trouble."""
        begun = min((write.due for write in self.run.writes()), default=math.inf)
        return [moment for moment in moments if moment.at >= begun]

    def acknowledged_again(self, since: Instant, *, within: float) -> Recovery:
        """Measure when writes were acknowledged again for good after `since`.

        Only writes that were surely sent after it can show that. Watches until they do, or for
        `within` seconds. Raises `CutoverError` when the writer itself ended.
        """
        error = since.error + self.run.clock_error
        seen: list[Recovery] = []

        def recovered() -> bool | Pending:
            if self.run.running:
                self.run.ensure_writing()
            samples = self.run.samples()
            seen[:] = [recovery(samples, since.at, error)]
            if sum(sample.started > since.at + error for sample in samples) < GOODS_TO_TRUST:
                return Pending("no writes of after the fault have ended")
            return Pending(seen[0].reason) if seen[0].reason else True

        waited = how_long(
            recovered, within=within, since=since.at, what="writes are acknowledged again"
        )
        return in_vain(seen[0], waited.seconds, waited.reason) if waited.reason else seen[0]

    def newest(self, faults: Sequence[tuple[Instant, Instant | None]]) -> Instant | None:
        """Return when a fault last began or, where it was undone (the second), ended.

        Without one, when acknowledgements ceased for longest.
        """
        moments = self.met([ended or begun for begun, ended in faults])
        return max(moments, key=lambda moment: moment.at, default=self.outage([]))

    def silence(self) -> Silence | None:
        """Return the longest time without an acknowledgement; None for fewer than three."""
        return longest_silence(self.run.samples())

    def same_on(self, copy: str, original: str, *, within: float) -> Waited:
        """Measure how long it takes until server `copy` has what `original` has."""
        self.run.stop()

        def same() -> bool | Pending:
            there, here = self.store.found(original), self.store.found(copy)
            if there == here:
                return True
            missing, more = len(there.keys() - here.keys()), len(here.keys() - there.keys())
            return Pending(
                f"of {len(there)} keys on {original}, {missing} are not on {copy}, which has "
                f"{more} others"
            )

        return how_long(
            same,
            within=within,
            every=0.5,
            retry_on=(CutoverError,),
            what=f"{copy} has the same writes as {original}",
        )


def oldest_lost(lost: Sequence[Write], most: int = 3) -> str:
    """Name some lost writes for a reader, oldest first."""
    ordered = sorted(lost, key=lambda write: write.key)
    named = [f"{write.key} (acknowledged by {write.detail})" for write in ordered[:most]]
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(named) + more
