"""One sample: a target asked at all its entries side by side, judged, and timed."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from load import http10
from load.checks import Target, verdict
from load.samples import NOT_AWAITED, NOT_SENT, Sample

MOST_UNDER_WAY: Final = 500

# What the machine that asks ran out of: its own fault, not the cluster's.
_EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


@dataclass
class Pool:
    """How many connections are under way. A full pool is a bad result, never a wait."""

    most: int = MOST_UNDER_WAY
    under_way: int = field(default=0, init=False)


async def ask(target: Target, seq: int, due: float, timeout: float, pool: Pool) -> Sample:
    """Ask all entries side by side; the first right answer within `timeout` s ends the sample.

    Never raises: a request that went wrong in an unforeseen way is a bad sample, not a missing one.
    """
    started = time.monotonic()
    if pool.under_way + len(target.entries) > pool.most:
        full = dict.fromkeys(target.entries, f"{NOT_SENT}: {pool.under_way} under way already")
        return Sample(target.name, seq, due, started, started, False, full)
    results: dict[str, str] = {}
    served_by, ended = "", None
    asks = {
        asyncio.create_task(_get(target, url, timeout, pool)): entry
        for entry, url in target.entries.items()
    }
    waiting = set(asks)
    while waiting and ended is None:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            results[asks[task]], who = task.result()
            if results[asks[task]] == "ok" and ended is None:
                served_by, ended = who, time.monotonic()
    for task in waiting:
        task.cancel()
        results[asks[task]] = NOT_AWAITED
    ok = ended is not None
    return Sample(target.name, seq, due, started, ended or time.monotonic(), ok, results, served_by)


async def _get(target: Target, url: str, timeout: float, pool: Pool) -> tuple[str, str]:
    """Return `ok` or what went wrong, and who served it."""
    pool.under_way += 1
    try:
        async with asyncio.timeout(timeout):
            status, body = await http10.get(url)
        return verdict(target, status, body)
    except Exception as error:  # noqa: BLE001 - see `ask`
        return kind(error), ""
    finally:
        pool.under_way -= 1


def kind(error: Exception) -> str:
    """Name what kept a request from being answered."""
    match error:
        case http10.BadAnswer():
            return str(error)
        case TimeoutError():
            return "timeout"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
        case socket.gaierror():
            return "no such name"
        case OSError(errno=number) if number in _EXHAUSTED:
            return f"{NOT_SENT}: {error}"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return "unreachable"
        case _:
            return f"broken: {type(error).__name__}: {error}"[:120]
