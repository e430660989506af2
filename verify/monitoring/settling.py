"""Looking again until nothing is wrong: discovery and scrapes come by their intervals."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually


def repeated(look: Callable[[], list[str]], *, within: float, what: str) -> list[str]:
    """Look until there are no problems, at most `within` seconds; return the last ones."""
    last: list[str] = []

    def once() -> bool | Pending:
        nonlocal last
        last = look()
        return Pending("; ".join(last)) if last else True

    try:
        eventually(once, within=within, every=0.5, what=what, retry_on=(CutoverError,))
    except NeverTrue as never:
        return last or [str(never)]
    return []
