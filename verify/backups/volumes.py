"""Docker volumes: the fingerprint of a tree, a mark, and its restore from an archive."""

from __future__ import annotations

import contextlib
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from fixtures.cluster.cluster import Node
from fixtures.errors import CutoverError
from verify.backups.comparing import Fingerprint, Value
from verify.backups.isolated import Container, isolated
from verify.backups.names import Backup
from verify.backups.store import Store

_SCRIPT: Final = Path(__file__).with_name("volume_fingerprint.sh").read_text(encoding="utf-8")
_SECONDS: Final = 300.0
_FIELDS: Final = 7
MARK: Final = ".cutover-backup-mark"
#: Where the archive's members lie in it, and where a restore puts them.
ARCHIVE_ROOT: Final = "backup"
_INTO: Final = "/tmp/restored"  # noqa: S108 - in a fresh container
#: Archives round a file's time to the second.
TOLERANCE: Final = {"mtime": 1.0}


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes `names` of `node`, looked at through a container of `image`.

    `image` needs GNU find, tar and sha256sum.
    """

    node: Node
    names: tuple[str, ...]
    image: str

    def fingerprint(self) -> Fingerprint:
        """Read all trees. Raises `CutoverError`."""
        with self._looking() as container:
            return fingerprint(container, f"/{ARCHIVE_ROOT}", self.names)

    def mark(self) -> str:
        """Put a file that no earlier backup can hold into the first volume; returns its content."""
        token = secrets.token_hex(16)
        with self._looking("rw") as container:
            path = f"/{ARCHIVE_ROOT}/{self.names[0]}/{MARK}"
            container.run("sh", "-c", f"cat >{shlex.quote(path)}", stdin=token.encode())
        return token

    def unmark(self) -> None:
        """Remove the mark; safe to repeat."""
        with self._looking("rw") as container:
            container.run("rm", "-f", f"/{ARCHIVE_ROOT}/{self.names[0]}/{MARK}")

    def shell(self, script: str) -> None:
        """Run a script in the root of every volume, which it may change. Raises `CutoverError`."""
        with self._looking("rw") as container:
            for name in self.names:
                into = f"cd {shlex.quote(f'/{ARCHIVE_ROOT}/{name}')} && {{ {script}; }}"
                container.run("sh", "-c", into)

    @contextlib.contextmanager
    def _looking(self, mode: str = "ro") -> Iterator[Container]:
        existing = self.node.run("docker volume ls --quiet").stdout.split()
        missing = [name for name in self.names if name not in existing]
        if missing:  # docker run would make them
            raise CutoverError(f"no volume {', '.join(missing)}", where=f"node {self.node.name}")
        mounts = [f"{name}:/{ARCHIVE_ROOT}/{name}:{mode}" for name in self.names]
        with isolated(self.node, self.image, ("sleep", "infinity"), mounts=mounts) as container:
            yield container


@dataclass(frozen=True, slots=True)
class Restored:
    """Trees in an isolated container. `complaints` are the errors of the unpacking."""

    container: Container
    names: tuple[str, ...]
    complaints: list[str] = field(default_factory=list)
    made: datetime | None = None

    def fingerprint(self) -> Fingerprint:
        """Read them as the source is read; a volume that is not there has no facts."""
        return fingerprint(self.container, f"{_INTO}/{ARCHIVE_ROOT}", self.names)


@contextlib.contextmanager
def restored(
    store: Store, archive: Backup, names: Sequence[str], *, node: Node, image: str
) -> Iterator[Restored]:
    """Unpack an archive into a fresh container on `node`, owners and modes and all."""
    with isolated(node, image, ("sleep", "infinity")) as container:
        unpack = (
            f"mkdir {_INTO} && tar --extract --gzip --file - --directory {_INTO}"
            " --preserve-permissions --same-owner --numeric-owner"
        )
        command = container.command("sh", "-c", unpack)
        done = store.send(archive.path, node, command, timeout=_SECONDS)
        complaints = done.stderr.splitlines()[:5] if done.rc else []
        if done.rc and not complaints:
            complaints = [f"tar ended with {done.rc}"]
        yield Restored(container, tuple(names), complaints)


def fingerprint(container: Container, folder: str, names: Sequence[str]) -> Fingerprint:
    """Read the trees `names` in `folder` of a container. Raises `CutoverError`."""
    facts: dict[tuple[str, str], Value] = {}
    for name in names:
        script = f"cd {shlex.quote(f'{folder}/{name}')} 2>/dev/null || exit 0\n{_SCRIPT}"
        done = container.run("sh", "-c", script, timeout=_SECONDS)
        facts |= parse_tree(done.stdout, name)
    return facts


def parse_tree(printed: str, volume: str) -> Fingerprint:
    """Read what the script printed of one volume; nothing printed is no volume.

    A folder's mtime is left out: it changes with whatever is put into it. Raises `CutoverError`.
    """
    if not printed:
        return {}
    entries, found, sums = printed.partition("sha256\0")
    values = entries.split("\0")[:-1]
    if not found or len(values) % _FIELDS:
        raise CutoverError(f"unfinished: {printed[-100:]!r}", where=f"tree of volume {volume}")
    facts: dict[tuple[str, str], Value] = {}
    for start in range(0, len(values), _FIELDS):
        kind, mode, uid, gid, mtime, target, path = values[start : start + _FIELDS]
        name = f"{volume}/{path}"
        facts["type", name] = f"{kind} {target}".strip()
        facts["owner", name] = f"{uid}:{gid}"
        if kind != "l":  # a link's own mode means nothing
            facts["mode", name] = mode
        if kind == "f":
            facts["mtime", name] = float(mtime)
    for line in sums.split("\0")[:-1]:
        digest, path = line.split("  ", 1)
        facts["data", f"{volume}/{path.removeprefix('./')}"] = digest
    return facts
