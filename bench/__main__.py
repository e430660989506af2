"""`python -m bench [NAME …]`: print one table and write reports/bench.json."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from bench.entry import table
from fixtures import progress
from fixtures.errors import CutoverError

BENCHMARKS = ("twin_up", "plan_up", "failover_overhead", "fault", "load_truth", "load_capacity")


def main() -> int:
    """Run the benchmarks named on the command line, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--output", type=Path, default=Path("reports/bench.json"))
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(
            f"no benchmark is called {', '.join(unknown)}: choose of {', '.join(BENCHMARKS)}"
        )
    entries = []
    try:
        for name in options.names or BENCHMARKS:
            with progress.step(f"benchmark {name}"):
                entries += importlib.import_module(f"bench.{name}").run()
    except CutoverError as error:
        progress.say(str(error))
        return 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([e.as_json() for e in entries], indent=2) + "\n")
    print(table(entries))  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
