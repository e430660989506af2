"""`python -m load FILE.msgpack …`: show what a load generator recorded.

The file is in a run's `evidence/`. By hand, load is made with Locust itself: docs/load.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from fixtures.tables import as_text
from load.outages import longest_silence
from load.phases import Phase
from load.request_log import RequestLog
from load.results import failures, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Print; returns the exit status, 2 for a file that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m load", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="of one run")
    options = parser.parse_args(arguments)
    try:
        log = RequestLog.of(options.files)
        log.read_on()
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: cannot be read ({error.strerror})\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    samples = sorted(log.samples, key=lambda sample: sample.due)
    if not samples:
        sys.stderr.write("error: no request is recorded there\n")
        return 2
    whole = Phase("whole run", samples[0].due, math.nextafter(samples[-1].due, math.inf))
    print(as_text([result.row() for result in results(samples, [whole])]))  # noqa: T201
    for line in failures(samples):
        print(f"failed: {line}")  # noqa: T201
    if silence := longest_silence(samples):
        print(  # noqa: T201
            f"longest time without a good answer: {silence.seconds:.2f} ± {silence.error:.2f} s, "
            f"{silence.start - samples[0].due:.1f} s after the first request"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
