"""The data node is lost with its disk: the database starts empty elsewhere and is restored."""

from __future__ import annotations

import math
import secrets
import shlex
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from fixtures.cluster.cluster import Cluster, Node
from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CannotProve, CutoverError, RemoteTimeout, Unreachable
from fixtures.waiting import Pending, eventually
from verify.backups import postgres
from verify.backups.isolated import Container
from verify.backups.names import Backup
from verify.backups.postgres import MARKS, Postgres
from verify.backups.store import Store
from verify.replication import Server, connected

_UPDATE_SECONDS: Final = 60.0
_START_SECONDS: Final = 180.0
#: A writer that was silent for longer before the loss cannot show how much of the past is gone.
SILENT_SECONDS: Final = 2.0
_RETRIED: Final = (CommandFailed, RemoteTimeout, Unreachable)
#: What a person does: the new server's own database is empty, so it makes room for the saved one.
_MAKE_ROOM: Final = (
    'drop database if exists "{0}" with (force);\ncreate database "{0}" template template0;'
)
_POST: Final = (
    "import urllib.request as r;"
    "q=r.Request('http://127.0.0.1:8080/items',data=b'{}',method='POST',"
    "headers={'Content-Type':'application/json'});print(r.urlopen(q,timeout=5).status)"
)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a restore did not bring back of `acknowledged` writes.

    `seconds` is from the acknowledgement of the first that is missing to the loss of the node: how
    much of the past is gone.
    """

    acknowledged: int
    lost: int
    seconds: float


class Writer:
    """Commits a row every `every` seconds, and keeps when each was acknowledged (monotonic).

    `ended_by` is why it stopped by itself: the loss of the node, or what keeps it from proving any.
    """

    def __init__(self, cluster: Cluster, source: Postgres, *, every: float) -> None:
        self.acknowledged: dict[str, float] = {}
        self.ended_by = ""
        self._cluster, self._source, self._every = cluster, source, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End; safe to repeat."""
        self._stop.set()
        self._thread.join(timeout=30)

    def _write(self) -> None:
        server = Server(self._source.service, self._source.service, self._source.database)
        insert = sql.SQL("insert into {} (token) values (%s)").format(sql.Identifier(MARKS))
        try:
            with connected(self._cluster, server) as connection:
                while not self._stop.wait(self._every):
                    token = secrets.token_hex(16)
                    connection.execute(insert, [token])
                    self.acknowledged[token] = time.monotonic()
        except (CutoverError, psycopg.Error) as error:
            self.ended_by = " ".join(str(error).split())


def loss(acknowledged: dict[str, float], present: set[str], lost_at: float) -> Loss:
    """Compare what was acknowledged before `lost_at` with what a restored server has."""
    before = {token: at for token, at in acknowledged.items() if at <= lost_at}
    missing = [at for token, at in before.items() if token not in present]
    return Loss(len(before), len(missing), lost_at - min(missing) if missing else 0.0)


def silence(acknowledged: dict[str, float], lost_at: float) -> float:
    """Return the seconds from the last acknowledgement before `lost_at` to it, infinite if none."""
    return lost_at - max((at for at in acknowledged.values() if at <= lost_at), default=-math.inf)


@dataclass
class Moved:
    """The database's service, its usual node and the one where it starts empty.

    `replica` is the service (full name) that holds a copy: it goes meanwhile. An empty primary does
    not start beside a standby that has the data, and a disaster that left one needs no backup.
    """

    cluster: Cluster
    source: Postgres
    replica: str
    home: str
    to: Node
    failure_action: str = ""

    def start_empty(self) -> Container:
        """Have the service run on the other node, on a volume that is new; returns where.

        Raises `CannotProve` on servers and `NeverTrue` when it does not start.
        """
        if not self.cluster.is_twin:
            raise CannotProve("a server's database is not moved", where=self.source.service)
        form = "{{.Spec.UpdateConfig.FailureAction}}"
        inspect = f"docker service inspect --format '{form}' {self.source.service}"
        self.failure_action = self.cluster.leader().run(inspect).stdout.strip()
        self._forget()
        self._scale_replica(0)
        eventually(
            lambda: not self._replicas() or Pending("it still runs"),
            within=_START_SECONDS,
            what=f"{self.replica} gone",
        )
        self._constrain(self.home, self.to.name)
        return eventually(
            lambda: self._accepting(self.to.name),
            within=_START_SECONDS,
            every=0.5,
            what=f"{self.source.service} empty on {self.to.name}",
            retry_on=_RETRIED,
        )

    def put_back(self) -> None:
        """Have both run as usual again, on their own volumes; the other volume goes.

        Each part is done whatever became of the others; then raises what went wrong.
        """
        with ExitStack() as last_first:
            if self.failure_action:
                action = f"--update-failure-action {self.failure_action}"
                last_first.callback(self._update, action, self.source.service)
            last_first.callback(self._wait_for_home)
            last_first.callback(self._forget)
            last_first.callback(self._scale_replica, 1)
            last_first.callback(self._constrain, self.to.name, self.home)

    def _wait_for_home(self) -> None:
        eventually(
            lambda: self._accepting(self.home),
            within=_START_SECONDS,
            every=0.5,
            what=f"{self.source.service} on {self.home} again",
            retry_on=_RETRIED,
        )

    def _accepting(self, on: str) -> Container | Pending:
        node, task = self.cluster.a_task(self.source.service, on=on)
        container = Container(node, task.container_id)
        ready = container.run(
            "pg_isready", "--quiet", "--host", "127.0.0.1", timeout=10, check=False
        )
        return container if ready.rc == 0 else Pending(f"pg_isready ended with {ready.rc}")

    def _replicas(self) -> list[str]:
        """The nodes with power on which the replica still runs."""
        snapshot = self.cluster.snapshot()
        on = [snapshot.hostname_of(t.node_id) for t in snapshot.tasks_of(self.replica) if t.running]
        return [name for name in on if self.cluster.node(name).has_power]

    def _scale_replica(self, replicas: int) -> None:
        self._update(f"--replicas {replicas}", self.replica)

    def _constrain(self, off: str, on: str) -> None:
        # A task that fails while its node boots must not have Swarm roll back to the other node.
        self._update(
            "--update-failure-action continue"
            f" --constraint-rm {shlex.quote(f'node.hostname == {off}')}"
            f" --constraint-add {shlex.quote(f'node.hostname == {on}')}",
            self.source.service,
        )

    def _update(self, change: str, service: str) -> None:
        self.cluster.leader().run(
            f"docker service update --quiet --detach {change} {service}", timeout=_UPDATE_SECONDS
        )

    def _volume(self) -> str:
        # Swarm names a stack's volume STACK_VOLUME, and the volume is called as its service.
        return f"{self.source.service}-data"

    def _forget(self) -> None:
        """Remove the other node's volume, left by this or an earlier drill."""
        volume = self._volume()
        # A container that ended holds its volume until Swarm cleans up.
        ended = f"docker ps --all --quiet --filter volume={volume} --filter status=exited"
        remove = f"{ended} | xargs -r docker rm --volumes && docker volume rm --force {volume}"
        eventually(
            lambda: self.to.run(remove, timeout=_UPDATE_SECONDS),
            within=_START_SECONDS,
            every=0.5,
            what=f"volume {volume} gone from {self.to.name}",
            retry_on=_RETRIED,
        )


def restore_into(container: Container, store: Store, dump: Backup, source: Postgres) -> list[str]:
    """Restore the roles and a dump into a running server; returns what that complained of."""
    postgres.psql(container, "postgres", source.user, _MAKE_ROOM.format(source.database))
    roles = postgres.roles_for(store, dump)
    complaints = []
    if roles is not None:
        complaints += postgres.load(store, roles, container, "postgres", source.user, stop=False)
    return complaints + postgres.load(
        store, dump, container, source.database, source.user, stop=True
    )


def tokens_in(cluster: Cluster, source: Postgres) -> set[str]:
    """Log in over the network as an application does, and read all marks. Raises `Unreachable`."""
    server = Server(source.service, source.service, source.database)
    query = sql.SQL("select token from {}").format(sql.Identifier(MARKS))
    with connected(cluster, server) as connection:
        rows = connection.execute(query).fetchall()
    return {row[0] for row in rows}


def application_writes(cluster: Cluster, application: str) -> bool | Pending:
    """Have a service with items write one through its own connections, by the database's name."""
    full = cluster.snapshot().service_called(application).name
    try:
        answer = cluster.in_task(full, ["python3", "-c", _POST])
    except _RETRIED as error:
        return Pending(error.what)
    return answer.strip() == "201" or Pending(f"{application} answers {answer.strip()}")
