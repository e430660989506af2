"""The clients of a profile: what they ask, whom, and how its outcome is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from load.checks import verdict
from load.generator.exchange import Door, Exchanger, Failed, request_bytes
from load.request_log import Writer
from load.traffic import Traffic

#: Told of each request: method, route, latency (s), bytes of the answer, `ok` or what was wrong.
Tell = Callable[[str, str, float, int, str], None]
_ATTEMPTS_MAY_REPEAT: Final = ("GET", "HEAD")


class Clients:
    """Asks the routes of `traffic` at `entries` (URLs) and records every request.

    Entries are asked in turn. With `failover`, clients stay with the one that answered last, and
    try the others when they get no byte of an answer from it: as a browser does where a name has
    several addresses. Without, a dropped request is a failed one.
    """

    def __init__(
        self,
        traffic: Traffic,
        entries: Sequence[str],
        tell: Tell,
        writer: Writer | None,
        *,
        failover: bool,
    ) -> None:
        self._traffic = traffic
        self._tell = tell
        self._writer = writer
        self._failover = failover
        self._exchanger = Exchanger(kept=traffic.connections == "kept")
        self._doors = [Door.of(url) for url in entries]
        self._targets = [route.target({"": "http://127.0.0.1"}) for route in traffic.routes]
        self._requests = [
            [
                request_bytes(
                    door,
                    route.method,
                    route.path,
                    route.body.encode(),
                    route.content_type,
                    kept=traffic.connections == "kept",
                )
                for door in self._doors
            ]
            for route in traffic.routes
        ]
        self._last_good = 0

    def ask(self, seq: int, route: int, due: float) -> None:
        """Send request number `seq`, due at the monotonic time `due`, and record its outcome.

        Never raises an `Exception`: what went wrong in an unforeseen way is a bad request too.
        """
        started = time.monotonic()
        entry = self._last_good if self._failover else seq % len(self._doors)
        result, served_by, size = "", "", 0
        try:
            entry, status, body = self._answer(entry, route, started)
            size = len(body)
            result, served_by = verdict(self._targets[route], status, body)
        except Failed as failed:
            result = failed.reason
        except Exception as error:  # noqa: BLE001 - see above
            result = f"broken: {type(error).__name__}: {error}"[:120]
        self._record(seq, route, due, started, entry, result, served_by, size)

    def refuse(self, seq: int, route: int, due: float, why: str) -> None:
        """Record a request that was not sent: a bad result, never a wait."""
        self._record(seq, route, due, time.monotonic(), 0, f"refused by its client: {why}", "", 0)

    def close(self) -> None:
        """Close what is kept open."""
        self._exchanger.close()

    def _answer(self, first: int, route: int, started: float) -> tuple[int, int, bytes]:
        """Return the entry that answered, status and body. Raises `Failed`."""
        method = self._traffic.routes[route].method
        tries = 1
        if self._failover and method in _ATTEMPTS_MAY_REPEAT and len(self._doors) > 1:
            # The first gets the rest of the time when none of the others answers: it may be slow.
            tries = len(self._doors) + 1
        failures: list[Failed] = []
        for attempt in range(tries):
            entry = (first + attempt) % len(self._doors)
            left = self._traffic.timeout - (time.monotonic() - started)
            if left <= 0:
                break
            # An entry that says nothing must leave time for the others.
            share = left / (tries - attempt)
            request = self._requests[route][entry]
            try:
                status, body = self._exchanger.ask(self._doors[entry], request, method, share)
            except Failed as failed:
                failures.append(failed)
                if attempt + 1 < tries and (failed.untouched or failed.reason == "timeout"):
                    continue
                break
            self._last_good = entry
            return entry, status, body
        raise failures[0] if failures else Failed("timeout")

    def _record(
        self,
        seq: int,
        route: int,
        due: float,
        started: float,
        entry: int,
        result: str,
        served_by: str,
        size: int,
    ) -> None:
        ended = time.monotonic()
        if self._writer is not None:
            self._writer.request(seq, route, due, started, ended, entry, result, served_by)
        asked: Any = self._traffic.routes[route]
        self._tell(asked.method, asked.name, ended - due, size, result)
