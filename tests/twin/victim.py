"""A harness to be killed: `python -m tests.twin.victim TWIN SEED` keeps random faults in force.

It says `begin` before its first fault, what is in force as it comes, and `all` after the last.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys

from chaos import catalogue
from chaos.guard import Permission
from chaos.ledger import Ledger
from chaos.session import Chaos
from fixtures.cluster.opening import opened, source_of
from fixtures.errors import CutoverError
from tests.twin.menu import LASTING

_MOST = 4


def main(twin: str, seed: int) -> None:
    chance = random.Random(seed)
    chosen = chance.sample(LASTING, chance.randint(1, _MOST))
    with opened(source_of(twin=twin)) as cluster:
        chaos = Chaos(cluster, Ledger.of(cluster.name, cluster.source), lambda: True)
        print("begin", flush=True)
        try:
            for name, arguments in chosen:
                # One that the guard refuses beside the others, or that cannot show, is left out.
                with contextlib.suppress(CutoverError):
                    chaos.begin(catalogue.make(name, arguments), Permission(several_domains=True))
                    print(f"{name} {arguments}", flush=True)
            print("all", flush=True)
            signal.pause()
        finally:
            chaos.close()


if __name__ == "__main__":
    # A shell's background job has it ignored, and Python would leave it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1], int(sys.argv[2]))
