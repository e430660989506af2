"""`python -m chaos.docs`: write the table of faults into docs/faults.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from chaos import catalogue

FILE: Final = Path(__file__).resolve().parents[1] / "docs" / "faults.md"
_BEGIN: Final = "<!-- faults -->\n"
_END: Final = "<!-- /faults -->"


def with_table(text: str) -> str:
    """Return `text` with the table between its marks. Raises `ValueError` without them."""
    before, _, rest = text.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise ValueError(f"the page lacks {_BEGIN.strip()} … {_END}")
    return f"{before}{_BEGIN}\n{catalogue.as_markdown()}\n{_END}{after}"


def main() -> int:
    """Write the page; returns the exit status."""
    argparse.ArgumentParser(prog="python -m chaos.docs", description=__doc__).parse_args()
    FILE.write_text(with_table(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
