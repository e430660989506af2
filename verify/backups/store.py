"""Where backups lie, and how their bytes get to whoever reads them."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from fixtures.cluster.machine import Machine
from fixtures.cluster.ssh import CommandFailed, Completed
from fixtures.errors import CutoverError, RemoteTimeout, Unreachable
from fixtures.waiting import Pending
from verify.backups import names
from verify.backups.listing import FIND, Entry, parse_listing
from verify.backups.names import Backup, Kind

_LIST_SECONDS: Final = 30.0
#: A file is finished when it has not been written to for so long, by its own node's clock.
SETTLED_SECONDS: Final = 3.0
# What timeout(1) exits with.
_TIMED_OUT: Final = 124
# What the listing exits with when there is no folder; find itself knows 0 and 1.
_NO_FOLDER: Final = 9
# Of a command's error output this much is kept.
_MOST_ERRORS: Final = 64 * 1024


class NothingThere(CutoverError):
    """The store's folder does not exist: never made, lost, or a link to nothing."""


class Unreadable(CommandFailed):
    """A file of the store cannot be read there, which says something of the backup itself."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder `path` of backups on `node`, which may be no member of the Swarm.

    `path` may be a link (the remote's `latest`); it is followed anew at each call.
    """

    node: Machine
    path: str

    def __str__(self) -> str:
        return f"{self.path} on {self.node.name}"

    def entries(self) -> list[Entry]:
        """List it. Raises `NothingThere`, `Unreachable` or `RemoteTimeout`.

        What could not be listed all the same is a plain `CommandFailed`.
        """
        # cd fails for a link to nothing, where find would show the link itself and succeed.
        command = f"cd {shlex.quote(self.path)}/ || exit {_NO_FOLDER}\n{FIND}"
        listed = self.node.run(command, timeout=_LIST_SECONDS, check=False)
        if listed.rc == _NO_FOLDER:
            raise NothingThere(listed.stderr.strip(), where=str(self))
        if listed.rc:
            raise CommandFailed(
                f"cannot be listed: {listed.stderr.strip()}",
                where=str(self),
                remedy="All of it must be readable for who logs in there.",
            )
        return parse_listing(listed.stdout)

    def backups(self, kind: Kind, database: str = "") -> list[Backup]:
        """Return the backups of a kind (and database), oldest first. Raises like `entries`."""
        return names.backups((e.path for e in self.entries() if e.is_file), kind, database)

    def finished(self, kind: Kind, database: str = "") -> list[Backup]:
        """Return those of `backups` that nobody writes to any more."""
        # Read before the list: what is written to during a slow look is not settled.
        settled = self.now().timestamp() - SETTLED_SECONDS
        written = {e.path: e.mtime for e in self.entries() if e.is_file}
        found = names.backups(written, kind, database)
        return [backup for backup in found if written[backup.path] <= settled]

    def now(self) -> datetime:
        """Return the time of the store's node, which the names there are given by."""
        return datetime.fromtimestamp(float(self.node.run("date +%s.%N").stdout), UTC)

    def begun_after(self, moment: datetime, kind: Kind, database: str = "") -> Backup | Pending:
        """Return the first backup begun after `moment` (the store's clock) that is finished.

        A database's also needs the roles that the same run saved: a dump restores none. Names are
        cut off (to the second, the minute, the day), so one of `moment` itself does not count.
        """
        now = self.now().timestamp()
        entries = self.entries()
        sizes = {e.path: e for e in entries if e.is_file}
        newer = [backup for backup in names.backups(sizes, kind, database) if backup.taken > moment]
        if not newer:
            return Pending(f"no {kind} backup in {self} was begun after {moment:%H:%M:%S}")
        quiet = now - sizes[newer[0].path].mtime
        if quiet < SETTLED_SECONDS:
            return Pending(f"{newer[0].path} is being written")
        if kind is Kind.POSTGRES and not any(
            roles.taken >= newer[0].taken for roles in names.backups(sizes, Kind.ROLES)
        ):
            return Pending(f"no roles are saved with {newer[0].path}, whose restore needs them")
        return newer[0]

    def is_being_written(self, backup: Backup) -> bool:
        """Say whether it was written to just now. Raises like `entries`."""
        now = self.now().timestamp()
        written = max((e.mtime for e in self.entries() if e.path == backup.path), default=0.0)
        return now - written < SETTLED_SECONDS

    def send(self, path: str, to: Machine, command: str, *, timeout: float) -> Completed:
        """Stream one file to the standard input of `command` on `to`, through the harness.

        Nothing of it lands on the harness's disk. Returns how `command` ended, its output
        included. Raises `Unreadable` when the file cannot be read, `Unreachable`, `RemoteTimeout`.
        """
        # ssh ends with 255 for a signal as for a lost connection; a shell ends with a number.
        reading = f"timeout -k 2 {timeout:g} cat {shlex.quote(self._full(path))} || exit $?"
        writing = f"timeout -k 2 {timeout:g} sh -c {shlex.quote(command)}"
        reader = self.node.connection.popen(
            reading, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            writer = to.connection.popen(
                writing, stdin=reader.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except BaseException:
            _end(reader)
            raise
        assert reader.stdout is not None
        reader.stdout.close()  # the writer has it: when it ends early, the reader must notice
        complaints: list[bytes] = []
        assert reader.stderr is not None
        listening = threading.Thread(
            target=lambda: complaints.append(reader.stderr.read(_MOST_ERRORS)),  # type: ignore[union-attr]
            daemon=True,
        )
        listening.start()
        try:
            out, err = writer.communicate(timeout=timeout + 5)
            reader.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise RemoteTimeout(
                f"{path} was not taken within {timeout:g} s", where=f"node {to.name}"
            ) from None
        finally:
            _end(reader)
            _end(writer)
        listening.join(timeout=5)
        done = Completed(
            command, writer.returncode, out.decode(errors="replace"), err.decode(errors="replace")
        )
        if done.rc == 255:
            raise Unreachable(done.stderr.strip(), where=f"node {to.name}")
        # What timeout(1) ended with is no answer of the command's: the node was slow.
        if _TIMED_OUT in (done.rc, reader.returncode):
            raise RemoteTimeout(
                f"{path} was not taken within {timeout:g} s", where=f"node {to.name}"
            )
        said = b" ".join(complaints).decode(errors="replace").strip()
        # Whatever the command says of what it got: it did not get it all.
        if reader.returncode == 255:
            raise Unreachable(said, where=f"node {self.node.name}")
        # When the command refuses early, the reader's broken pipe is not the reader's fault.
        if reader.returncode != 0 and done.rc == 0:
            raise Unreadable(f"cannot read {path}: {said}", where=str(self))
        return done

    def _full(self, path: str) -> str:
        return str(PurePosixPath(self.path) / path)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
