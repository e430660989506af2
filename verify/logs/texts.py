"""Lines of given lengths and characters, each unlike any other."""

from __future__ import annotations

from typing import Final

from fixtures.errors import CutoverError

#: The longest UTF-8 character; a head that is a multiple of it keeps characters on even places.
_ALIGNED: Final = 4


def line_of(head: str, size: int, characters: str) -> str:
    """Return a line of exactly `size` bytes of UTF-8: `head`, then `characters` again and again.

    Raises `CutoverError` when that does not come out even.
    """
    line = head + " " * (-len(head.encode()) % _ALIGNED)
    left = size - len(line.encode())
    period = len(characters.encode())
    while left >= period > 0:
        line += characters * (left // period)
        left %= period
    for character in characters:
        if len(character.encode()) > left:
            break
        line += character
        left -= len(character.encode())
    if left:
        raise CutoverError(
            f"no {size} bytes of {characters!r}", where="feature", remedy="Take another size."
        )
    return line
