"""Reads a file of lines that another process is writing."""

from __future__ import annotations

from pathlib import Path


def whole_lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    """Return the lines behind `offset` (bytes) that are whole, and the offset behind them.

    A torn last line is left for the next call; a file that is not there yet has none.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        whole, newline, _ = file.read().rpartition(b"\n")
    return whole.splitlines(), offset + len(whole) + len(newline)
