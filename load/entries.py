"""Which entries of a cluster clients would use: those that answer rightly before the load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from load.asking import Pool, ask
from load.traffic import Route

_SECONDS: Final = 2.0


def answering(route: Route, entries: Mapping[str, str]) -> dict[str, str]:
    """Return the entries (name → URL) that answer `route` rightly; all of them when none does.

    Where a port is published on the nodes that run a task, the others refuse: clients do not know
    those. A GET is sent to each, whatever the route's method is.
    """

    async def right() -> list[bool]:
        now = time.monotonic()
        samples = await asyncio.gather(
            *(
                ask(route.target({name: url}), 0, now, _SECONDS, Pool())
                for name, url in entries.items()
            )
        )
        return [sample.ok for sample in samples]

    good = dict(zip(entries, asyncio.run(right()), strict=True))
    return {name: url for name, url in entries.items() if good[name]} or dict(entries)
