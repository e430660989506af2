"""Which entries of a cluster clients would use: those that answer rightly before the load."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from load.asking import Pool, ask
from load.checks import Target

_SECONDS: Final = 2.0
_ROUNDS: Final = 3


def by_entry(target: Target) -> list[Target]:
    """Return one target an entry, called `NAME at ENTRY`."""
    return [
        replace(target, name=f"{target.name} at {name}", entries={name: url})
        for name, url in target.entries.items()
    ]


def answering(target: Target) -> list[str]:
    """Return the entries that answer rightly, asked some times; all of them when none does.

    Where a port is published on the nodes that run a task, the others refuse: clients do not know
    those. A GET is sent to each, whatever the route's method is.
    """

    async def right() -> list[bool]:
        asked = [replace(each, name=target.name) for each in by_entry(target)]
        good = [False] * len(asked)
        for _ in range(_ROUNDS):
            now = time.monotonic()
            samples = await asyncio.gather(*(ask(one, 0, now, _SECONDS, Pool()) for one in asked))
            good = [known or sample.ok for known, sample in zip(good, samples, strict=True)]
        return good

    good = dict(zip(target.entries, asyncio.run(right()), strict=True))
    return [name for name in target.entries if good[name]] or list(target.entries)
