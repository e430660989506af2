"""A machine that is this one: what a store does by ssh is done by a local shell."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

from fixtures.cluster.ssh import CommandFailed, Completed


class LocalConnection:
    """Stands for a `Connection`."""

    node = "here"

    def popen(self, command: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sh", "-c", command], **options)

    def run(
        self,
        command: str,
        *,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        stdin_stays_open: bool = False,
        check: bool = True,
    ) -> Completed:
        done = subprocess.run(
            ["sh", "-c", command], input=stdin, capture_output=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise CommandFailed(done.stderr.decode(), where=shlex.quote(command)[:40])
        return Completed(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    def close(self) -> None:
        pass
