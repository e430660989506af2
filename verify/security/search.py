"""Look for values in a node's files without a value in any command line, environment or output."""

from __future__ import annotations

import secrets as random_source
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from fixtures.cluster.ssh import Completed
from fixtures.errors import CutoverError
from verify.security.secret_values import Secret, forms

_SECONDS: Final = 60.0
#: Some GB of rotated logs.
_UNZIP_SECONDS: Final = 300.0
_CONTROL: Final = "control"
# The patterns lie in memory (/dev/shm) for as long as the search runs. The control is a file that
# holds a pattern of its own, and where rotated logs are read the same compressed: a search that
# does not find it finds nothing.
_SEARCH: Final = """
umask 077
place=$(mktemp -d /dev/shm/cutover-search.XXXXXX) || exit 3
trap 'rm -rf "$place"' EXIT HUP INT TERM
cat >"$place/patterns"
tail -n 1 "$place/patterns" >"$place/control"
@ZIP@
{ @LIST@
} >"$place/files" 2>/dev/null
echo "searched $(tr -cd '\\0' <"$place/files" | wc -c)"
printf '%s\\0' "$place"/control* >>"$place/files"
{ xargs -0 -r -a "$place/files" grep -lasF -f "$place/patterns" --
  @UNZIP@
} | sed "s|^$place/|found |;t;s/^/found /"
exit 0
"""
_ZIP: Final = 'gzip -c "$place/control" >"$place/control.gz"'
_UNZIP: Final = """grep -z '\\.gz$' "$place/files" | xargs -0 -r -n 1 -P 2 sh -c '
    gzip -dc -- "$1" 2>/dev/null | grep -aqF -f "$0" && echo "$1"' "$place/patterns"
"""


class Machine(Protocol):
    """What runs a shell command: a machine over SSH, or this one."""

    name: str

    def run(self, command: str, *, timeout: float = ..., stdin: bytes | None = ...) -> Completed:
        """Return the finished command; `timeout` in seconds. Raises an error for a failed one."""


class ThisMachine:
    """The machine on which the harness runs."""

    name = "the harness's machine"

    def run(
        self, command: str, *, timeout: float = _SECONDS, stdin: bytes | None = None
    ) -> Completed:
        """Run a shell command here. Raises `CutoverError`."""
        try:
            done = subprocess.run(
                ["sh", "-c", command], input=stdin, capture_output=True, timeout=timeout, check=True
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise CutoverError("the search failed", where=self.name) from error
        return Completed(command, 0, done.stdout.decode(errors="replace"), "")


@dataclass(frozen=True, slots=True)
class Found:
    """`files` in which a secret stands, with the names of the secrets; how many were `searched`."""

    files: Mapping[str, tuple[str, ...]]
    searched: int

    def problems(self, where: str) -> list[str]:
        """Say where which secret stands."""
        return [f"{', '.join(names)} in {path} on {where}" for path, names in self.files.items()]


def search(machine: Machine, listing: str, secrets: list[Secret], *, unzip: bool = False) -> Found:
    """Look for `secrets` in the files that the shell script `listing` prints, each ended by NUL.

    `unzip`: those that end in .gz are read through gzip, too. Raises `CutoverError` when the search
    itself does not work.
    """
    every = frozenset[bytes]().union(*(forms(secret) for secret in secrets))
    hits, searched = _grep(machine, listing, every, unzip=unzip)
    names: dict[str, list[str]] = {path: [] for path in hits}
    if hits:
        again = f"printf '%s\\0' {' '.join(shlex.quote(path) for path in hits)}"
        for secret in secrets:
            for path in _grep(machine, again, forms(secret), unzip=unzip)[0]:
                names.setdefault(path, []).append(secret.name)
    return Found(
        {p: tuple(n) or ("a secret that is gone now",) for p, n in names.items()}, searched
    )


def contains(machine: Machine, listing: str, text: str) -> tuple[list[str], int]:
    """Return the files of `listing` that hold `text`, and how many were searched."""
    return _grep(machine, listing, frozenset({text.encode()}))


def _grep(
    machine: Machine, listing: str, patterns: frozenset[bytes], *, unzip: bool = False
) -> tuple[list[str], int]:
    control = f"cutover-control-{random_source.token_hex(16)}".encode()
    script = _SEARCH.replace("@LIST@", listing)
    script = script.replace("@ZIP@", _ZIP if unzip else "")
    done = machine.run(
        script.replace("@UNZIP@", _UNZIP if unzip else ":"),
        stdin=b"\n".join([*sorted(patterns), control]) + b"\n",
        timeout=_UNZIP_SECONDS if unzip else _SECONDS,
    )
    first, *found = done.stdout.splitlines()
    paths = [line.removeprefix("found ") for line in found]
    controls = {_CONTROL, f"{_CONTROL}.gz"} if unzip else {_CONTROL}
    if not controls.issubset(paths):
        raise CutoverError("the search does not find its own control", where=machine.name)
    return [path for path in paths if path not in controls], int(first.removeprefix("searched "))
