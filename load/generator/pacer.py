"""Sends requests when they are due, whatever became of those before: an open loop.

Request i is due at t0 plus what the schedule says, and its latency counts from then. A pacer that
waited for answers would ask less while the system is slow, and never see what its clients see
(coordinated omission, Gil Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import gevent
import gevent.pool


class Asks(Protocol):
    """Who sends the requests."""

    def ask(self, seq: int, route: int, due: float) -> None:
        """Send one, and return when it has ended."""

    def refuse(self, seq: int, route: int, due: float, why: str) -> None:
        """Record one that cannot be sent."""


class Pacer:
    """One process' share of a schedule.

    Requests `first`, `first + every`, … are due at `t0` (monotonic seconds) + `due`; `routes` says
    which route each request of the whole schedule asks. At most `most_under_way` at once: one that
    is due beyond that is recorded as refused.
    """

    def __init__(
        self,
        clients: Asks,
        due: Sequence[float],
        routes: Sequence[int],
        *,
        t0: float,
        first: int,
        every: int,
        most_under_way: int,
    ) -> None:
        self._clients = clients
        self._due = due
        self._routes = routes
        self._t0 = t0
        self._first = first
        self._every = every
        self._pool = gevent.pool.Pool(most_under_way)

    def run(self) -> None:
        """Send them all, and return when the last is sent."""
        for index, offset in enumerate(self._due):
            seq = self._first + index * self._every
            due = self._t0 + offset
            # Also when late: those under way must get their turn.
            gevent.sleep(max(0.0, due - time.monotonic()))
            if self._pool.full():
                self._clients.refuse(
                    seq, self._routes[seq], due, f"{self._pool.size} are under way already"
                )
            else:
                self._pool.spawn(self._clients.ask, seq, self._routes[seq], due)

    def finish(self, seconds: float) -> None:
        """Wait for those under way, at most `seconds`: to drop them would hide the slow ones."""
        self._pool.join(timeout=seconds)
