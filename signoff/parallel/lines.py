"""Progress lines on their way from the workers to the one terminal: a named pipe.

A worker never waits for it. The pipe is in a folder of the run's, which goes with its reader.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

# A write of at most this many bytes (PIPE_BUF) is never mixed with another's.
_LONGEST = 4096
_END = b"\0\n"


class Reader:
    """Reads lines on a thread of its own and hands each to `show`, until `close`."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self.path = self._folder / "lines"
        os.mkfifo(self.path, mode=0o600)
        # For reading and writing: there is no end of file between two workers.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._show = show
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with os.fdopen(self._pipe, "rb", closefd=False) as lines:
            for line in lines:
                if line == _END:
                    return
                self._show(line.decode(errors="replace").rstrip("\n"))

    def close(self) -> None:
        """Show what has come so far, and end."""
        os.write(self._pipe, _END)
        self._thread.join(timeout=5)
        os.close(self._pipe)
        shutil.rmtree(self._folder, ignore_errors=True)


class Writer:
    """Writes lines to the `Reader` at `path`, each with a prefix; loses what cannot be read."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._prefix = prefix

    def __call__(self, text: str) -> None:
        """Write what is not empty of the lines of `text`."""
        for line in filter(str.strip, text.splitlines()):
            data = f"{self._prefix}{line}".encode()[: _LONGEST - 1] + b"\n"
            with suppress(OSError):  # it is full, or its reader was killed
                os.write(self._pipe, data)
