"""Backups that restic keeps: which there are, and laid out as the plan's jobs would have them.

restic runs where its job does, and reads from its repository on the backup host. Source: restic's
manual, "Scripting" (snapshots --json) and "Printing files to stdout" (dump).
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.ssh import CommandFailed
from fixtures.waiting import Pending, Waited, how_long
from verify.backups.isolated import Container
from verify.backups.names import Kind
from verify.backups.store import Store

JOB: Final = "restic-backup"
_LIST_SECONDS: Final = 60.0
_UNPACK_SECONDS: Final = 600.0
#: What is unpacked goes by itself after so long, also when the harness was killed.
_LIFETIME_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of snapshot: restic's tag, what is dumped of it and how, and the file's name."""

    tag: str
    dump: str
    pack: str
    name: str


def parts(database: str) -> dict[Kind, Part]:
    """Return what one run of the job keeps."""
    return {
        Kind.POSTGRES: Part(
            "postgres", f"/{database}.sql", "gzip", f"postgres/last/{database}-%Y%m%d-%H%M%S.sql.gz"
        ),
        Kind.ROLES: Part(
            "globals", "/globals.sql", "gzip", "postgres/last/globals-%Y%m%d-%H%M%S.sql.gz"
        ),
        Kind.REDIS: Part("redis", "/redis.rdb", "cat", "redis/redis-%Y%m%d-%H%M%S.rdb"),
        Kind.VOLUMES: Part("volumes", "/backup", "gzip", "volumes/backup-%Y-%m-%dT%H-%M-%S.tar.gz"),
    }


@dataclass(frozen=True)
class Repository:
    """The repository behind the job that runs in `container`."""

    container: Container
    database: str

    @property
    def node(self) -> Node:
        """The node that restic runs on."""
        return self.container.node

    def newest(self) -> dict[str, datetime]:
        """Return tag → when its newest snapshot was begun (UTC, cut to the second)."""
        listed = self.container.run(
            JOB, "snapshots", "--json", "--latest", "1", "--group-by", "tags", timeout=_LIST_SECONDS
        )
        return read_snapshots(listed.stdout)

    def begun_after(self, moment: datetime) -> bool | Pending:
        """Return True when a whole run was begun after `moment`."""
        try:
            newest = self.newest()
        except CommandFailed as error:  # before its first run there is no repository
            return Pending(error.what)
        late = [part.tag for part in parts(self.database).values() if part.tag not in newest]
        late += [tag for tag, begun in newest.items() if begun <= moment]
        return Pending(f"no new snapshot of {', '.join(late)}") if late else True

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[Store]:
        """Yield the newest snapshots as files in the layout of the plan's jobs, on the job's node.

        Raises what `Node.run` does, also when restic finds its data damaged.
        """
        folder = f"/tmp/cutover-restic-{secrets.token_hex(4)}"  # noqa: S108 - on the node
        self.node.run(
            f"mkdir -m 0700 {folder} && cd {folder} && mkdir -p postgres/last redis volumes &&"
            f" (setsid sh -c 'sleep {_LIFETIME_SECONDS}; rm -rf {folder}' >/dev/null 2>&1 &)"
        )
        try:
            newest = self.newest()
            for part in parts(self.database).values():
                begun = newest[part.tag]
                path = f"{folder}/{begun.strftime(part.name)}"
                dump = self.container.command(JOB, "dump", "--tag", part.tag, "latest", part.dump)
                unpack = (
                    f"{dump} | {part.pack} > {path} && touch -d @{begun.timestamp():.0f} {path}"
                )
                self.node.run(
                    shlex.join(["bash", "-o", "pipefail", "-c", unpack]), timeout=_UNPACK_SECONDS
                )
            yield Store(self.node, folder)
        finally:
            self.node.run(f"rm -rf {folder}", check=False)

    def check(self) -> list[str]:
        """Have restic read every byte of its repository; return what it finds wrong."""
        done = self.container.run(JOB, "check", "--read-data", timeout=_UNPACK_SECONDS, check=False)
        said = " ".join((done.stderr or done.stdout).split())
        return [] if done.rc == 0 else [said[-400:] or f"restic check ended with {done.rc}"]


def read_snapshots(printed: str) -> dict[str, datetime]:
    """Read `restic snapshots --json --group-by tags`: tag → the newest snapshot's time."""
    newest: dict[str, datetime] = {}
    for group in json.loads(printed):
        for snapshot in group["snapshots"]:
            begun = datetime.fromisoformat(snapshot["time"]).astimezone(UTC).replace(microsecond=0)
            for tag in snapshot.get("tags") or ():
                newest[tag] = max(begun, newest.get(tag, begun))
    return newest


def repository(cluster: Cluster, database: str) -> Repository:
    """Return the repository of the running job. Raises `Unreachable` when the job does not run."""
    node, task = cluster.a_task(cluster.snapshot().service_called(JOB).name)
    return Repository(Container(node, task.container_id), database)


def wait_for_run(repo: Repository, since: datetime, *, elapsed: float, within: float) -> Waited:
    """Wait until a whole run was begun after `since`, `elapsed` seconds ago; never raises for it.

    `within` in seconds from `since`.
    """
    return how_long(
        lambda: repo.begun_after(since),
        within=within,
        since=time.monotonic() - elapsed,
        every=1.0,
        what="a run of restic",
    )
