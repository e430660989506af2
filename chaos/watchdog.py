"""The dead man's switch: a process that undoes faults when the one that injected them dies.

It reads its standard input, a pipe whose other end only its owner holds: `done` means that nothing
is left to do, the end of the file without it that the owner died, however that came about. It then
opens the cluster by itself and undoes what the ledger says is open of that owner.

Its own death undoes nothing; the next run, or `python -m chaos heal`, then does. What lies on nodes
has a timer there besides.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chaos.ledger import Owner

# Longer than a heal may wait for what comes back last (`healing.IN_THE_END_SECONDS`).
_DISMISS_SECONDS: Final = 360.0
_CHECKOUT: Final = Path(__file__).resolve().parents[1]


class Watchdog:
    """The owner's side: start it before the first fault, dismiss it after the last."""

    def __init__(self, source: str, owner: Owner) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "chaos.watchdog"),
                *(source, str(owner.pid), str(owner.started)),
            ],
            cwd=_CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still watches."""
        return self._process.poll() is None

    def dismiss(self, *, still_open: bool = False) -> None:
        """Let it end: with nothing to do, or after one more try if something is `still_open`."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            if not still_open:
                self._process.stdin.write(b"done\n")
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_DISMISS_SECONDS if still_open else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)


def main(arguments: list[str]) -> int:
    """Wait for the owner's end; returns the exit status."""
    # The owner's Ctrl-C and its terminal's end are the owner's business.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    source, pid, started = arguments
    # Before the wait, so that no time is lost after it.
    from chaos.healing import heal
    from chaos.ledger import Ledger, Owner
    from fixtures.cluster.opening import cluster_name, opened
    from fixtures.errors import CutoverError

    owner = Owner(int(pid), int(started))
    ledger = Ledger.of(cluster_name(source), source)
    if "done" in sys.stdin.read():
        return 0
    entries = [entry for entry in ledger.open() if entry.owner == owner]
    if not entries:
        return 0
    try:
        with opened(source) as cluster:
            return 1 if heal(cluster, ledger, entries).failures else 0
    except CutoverError:
        return 1  # the twin is gone, or cannot be reached: the ledger keeps what is open


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
