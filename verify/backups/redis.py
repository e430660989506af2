"""A Redis: its fingerprint, a mark, what a dump says of itself, and its restore."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from fixtures.waiting import Pending
from verify.backups.comparing import Fingerprint
from verify.backups.isolated import Container, isolated, started
from verify.backups.names import Backup
from verify.backups.store import Store

_SCRIPT: Final = Path(__file__).with_name("redis_fingerprint.sh").read_text(encoding="utf-8")
_LUA: Final = Path(__file__).with_name("redis_fingerprint.lua").read_bytes()
_FINGERPRINT_SECONDS: Final = 120.0
_RESTORE_SECONDS: Final = 300.0
MARK: Final = "cutover:backup-mark:"
#: A mark goes by itself, also when the harness was killed; no backup is awaited for as long.
_MARK_SECONDS: Final = 86400
_LOGIN: Final = (
    "if [ -r /run/secrets/redis_password ]; then "
    "REDISCLI_AUTH=$(cat /run/secrets/redis_password); export REDISCLI_AUTH; fi; "
)
NEVER: Final = -1
_MARKED: Final = "[cutover] the mark is in it"


@dataclass(frozen=True, slots=True)
class Redis:
    """The Redis that the service of that full name runs."""

    cluster: Cluster
    service: str

    def container(self) -> Container:
        """Return where it runs now. Raises `Unreachable` when it does not."""
        node, task = self.cluster.a_task(self.service)
        return Container(node, task.container_id)

    def fingerprint(self) -> Fingerprint:
        """Read all keys of all databases. Raises `CutoverError`."""
        return fingerprint(self.container())

    def mark(self) -> str:
        """Write a key that no earlier backup can hold, and return its token.

        Raises `CutoverError` when it is refused: redis-cli ends well all the same.
        """
        token = secrets.token_hex(16)
        said = self.cli(f"redis-cli --raw SET {MARK}{token} 1 EX {_MARK_SECONDS}").strip()
        if said != "OK":
            raise CutoverError(f"takes no mark: {said[:200]}", where=f"Redis {self.service}")
        return token

    def has_mark(self, token: str) -> bool:
        """Whether a mark is there: a full cache throws keys out, those with an expiry first."""
        return self.cli(f"redis-cli --raw EXISTS {MARK}{token}").strip() == "1"

    def unmark(self, token: str) -> None:
        """Remove a mark; safe to repeat."""
        self.cli(f"redis-cli --raw DEL {MARK}{token}")

    def cli(self, command: str, *, stdin: str = "") -> str:
        """Run a shell command with redis-cli in it, which is logged in. Raises `CutoverError`."""
        return self.container().run("sh", "-c", _LOGIN + command, stdin=stdin.encode()).stdout


@dataclass(frozen=True, slots=True)
class Restored:
    """A Redis in an isolated container. `complaints` are why it did not load the dump.

    `made` is the dump's own date.
    """

    container: Container
    complaints: list[str] = field(default_factory=list)
    made: datetime | None = None

    def fingerprint(self) -> Fingerprint:
        """Read it as the source is read; empty when it did not start."""
        return {} if self.complaints else fingerprint(self.container)


def fingerprint(container: Container) -> Fingerprint:
    """Read all keys of a Redis in a container. Raises `CutoverError`."""
    done = container.run("sh", "-c", _SCRIPT, stdin=_LUA, timeout=_FINGERPRINT_SECONDS)
    return parse_fingerprint(done.stdout)


def parse_fingerprint(printed: str) -> Fingerprint:
    """Read the script's lines. Raises `CutoverError` for an unfinished or a wrong answer.

    A key that a SCAN returned twice is there once.
    """
    *lines, ending = printed.splitlines() or [""]
    if ending != "end":
        raise CutoverError(f"unfinished: {printed[-200:]!r}", where="the fingerprint of a Redis")
    facts: dict[tuple[str, str], str | int | float] = {}
    for line in lines:
        try:
            number, key, kind, expiry, digest = line.split(" ")
            name = f"{number}:{bytes.fromhex(key).decode(errors='backslashreplace')}"
        except ValueError as error:
            raise CutoverError(f"printed {line[:200]!r}", where="fingerprint of Redis") from error
        facts["type", name] = kind
        facts["value", name] = digest
        facts["expiry in ms", name] = int(expiry)
    return facts


def expiring(facts: Fingerprint, before: datetime) -> Collection[tuple[str, str]]:
    """Return all facts of the keys that expire before a moment: a restore may lack them rightly."""
    limit = before.timestamp() * 1000
    gone = {
        name
        for (kind, name), value in facts.items()
        if kind == "expiry in ms" and isinstance(value, int) and NEVER < value < limit
    }
    return {key for key in facts if key[1] in gone}


@dataclass(frozen=True, slots=True)
class DumpCheck:
    """What redis-check-rdb says: whether it is whole, when it was made, and how many keys it has.

    `made` is its own `ctime`, None when it does not say; `problem` is empty when it is whole.
    `marked`: the mark asked for is in it.
    """

    problem: str
    made: datetime | None
    keys: int
    marked: bool = False


def check_dump(store: Store, dump: Backup, *, node: Node, image: str, mark: str = "") -> DumpCheck:
    """Run redis-check-rdb over a dump, in a container of `image` on `node`; look for a mark in it.

    RDB compresses a long string only if that saves some bytes, which a mark's random digits do not:
    its key stands there as it is.
    """
    with isolated(node, image, ("sleep", "infinity")) as container:
        into = "cat >/tmp/dump.rdb && redis-check-rdb /tmp/dump.rdb"
        if mark:
            find = f"LC_ALL=C grep -qF {MARK}{mark} /tmp/dump.rdb"
            into += f" && {{ ! {find} || echo '{_MARKED}'; }}"
        command = container.command("sh", "-c", into)
        done = store.send(dump.path, node, command, timeout=_RESTORE_SECONDS)
    return parse_check(done.rc, done.stdout + done.stderr)


def parse_check(rc: int, printed: str) -> DumpCheck:
    """Read what redis-check-rdb printed."""
    made = re.search(r"AUX FIELD ctime = '(\d+)'", printed)
    keys = re.search(r"\[info\] (\d+) keys read", printed)
    looks_good = "RDB looks OK" in printed
    problem = ""
    if rc != 0 or not looks_good:
        errors = [line for line in printed.splitlines() if "ERROR" in line or "error" in line]
        problem = "; ".join(errors) or f"redis-check-rdb ended with {rc}: {printed[-200:].strip()}"
    return DumpCheck(
        problem,
        datetime.fromtimestamp(int(made[1]), UTC) if made else None,
        int(keys[1]) if keys else 0,
        _MARKED in printed,
    )


@contextlib.contextmanager
def restored(store: Store, dump: Backup, *, node: Node, image: str) -> Iterator[Restored]:
    """Load a dump into a fresh Redis on `node`. Raises `CutoverError` if it could not be tried."""
    with isolated(node, image, ("sleep", "infinity")) as container:
        into = container.command("sh", "-c", "cat >/data/dump.rdb")
        sent = store.send(dump.path, node, into, timeout=_RESTORE_SECONDS)
        if sent.rc != 0:
            raise CutoverError(sent.stderr.strip(), where=f"the isolated Redis on {node.name}")
        read = ("redis-check-rdb", "/data/dump.rdb")
        checked = container.run(*read, timeout=_RESTORE_SECONDS, check=False)
        # Not as an argument of docker run: the dump has to be there before the server starts.
        server = "exec docker-entrypoint.sh redis-server --dir /data --save '' >/tmp/log 2>&1"
        start = ["docker", "exec", "--detach", container.name, "sh", "-c", server]
        node.run(shlex.join(start))
        problem = started(
            lambda: _loaded(container),
            container,
            what="an isolated Redis",
            log=container.command("tail", "-n", "20", "/tmp/log"),  # noqa: S108 - in it
        )
        made = parse_check(checked.rc, checked.stdout).made
        yield Restored(container, [problem] if problem else [], made)


def _loaded(container: Container) -> str | Pending:
    """Return the empty text once it answers, or why it ended."""
    look = (
        "redis-cli ping 2>&1 | grep -qx PONG && echo PONG && exit; "
        "grep -E 'Fatal|FATAL|rror|Terminating|exit' /tmp/log | head -n 3"
    )
    said = container.run("sh", "-c", look, check=False).stdout.strip()
    if said == "PONG":
        return ""
    return f"Redis does not start from it: {said}" if said else Pending("Redis is loading")
