"""Who of a pair of PostgreSQL servers leads, asked so that a second writer cannot hide."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually, how_long
from verify import discovery
from verify.replication import Pair, Server, connected

POOL_PORT: Final = 6432
#: PGDATA of the stack file.
DATA: Final = "/var/lib/postgresql/data/pgdata"
_ASK_SECONDS: Final = 15.0
# A promotion or a stop can hit between the statements; nothing is left of it either way.
_TRY_TO_WRITE: Final = (
    "timeout 5 psql -U postgres -d postgres -AtXq -v ON_ERROR_STOP=1"
    " -c 'BEGIN; CREATE TABLE cutover_may_write (); ROLLBACK'"
)
# What a standby says to that (SQLSTATE 25006).
_REFUSAL: Final = "read-only transaction"
_NO_CONTAINER: Final = "none"
#: How long a clear answer is waited for: a server's start, a node's boot.
_CLEAR_SECONDS: Final = 30.0
#: A server that was a primary waits half a minute for its peer's word before it leads.
_UNCLEAR_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One look at every server: which accept writes, and who gave no clear answer.

    `silent` are nodes that could not be asked, `unsure` servers that neither wrote nor refused to
    as a standby does (one that is starting may be a writer a moment later).
    """

    writable: tuple[str, ...]
    silent: tuple[str, ...]
    answered: int
    unsure: tuple[str, ...] = ()

    @property
    def clear(self) -> bool:
        """Whether everybody gave a clear answer."""
        return not self.silent and not self.unsure

    def problems(self) -> list[str]:
        """Say why not exactly one accepts writes; empty when one does."""
        if len(self.writable) == 1:
            return []
        return [f"{len(self.writable)} accept writes: {', '.join(self.writable) or 'none'}"]


def who_accepts_writes(cluster: Cluster, pair: Pair) -> Asked:
    """Ask every container of the pair on every node that has power to write.

    The nodes are asked for their containers, not the managers: what a node started by itself after
    its return is not in their books.
    """
    services = (pair.primary.service, pair.replica.service)
    powered = [node for node in cluster.nodes.values() if node.has_power]

    def ask(node: Node) -> str:
        try:
            return node.run(ask_containers(services), timeout=_ASK_SECONDS).stdout
        except CutoverError:
            return _NO_CONTAINER

    return read_answers(cluster.on_all(ask, powered))


def ask_containers(services: Sequence[str]) -> str:
    """Return the script by which a node asks its containers of `services` (see `read_answers`)."""
    # An engine that is dead lists nothing: that is no answer.
    return "\n".join(
        f"found=$(docker ps -q --filter label=com.docker.swarm.service.name={service}"
        " --filter status=running) || exit 9\n"
        "for c in $found; do\n"
        f"  if said=$(docker exec $c {_TRY_TO_WRITE} 2>&1); then echo {service} yes;\n"
        f'  else case "$said" in *"{_REFUSAL}"*) echo {service} no ;;'
        f" *) echo {service} unsure ;; esac; fi\ndone"
        for service in services
    )


def read_answers(answers: dict[str, str]) -> Asked:
    """Read each node's answer: a line a container, `SERVICE yes`, `no` or `unsure`."""
    silent = [node for node, text in answers.items() if text == _NO_CONTAINER]
    lines = [
        (node, *line.split())
        for node, text in answers.items()
        if node not in silent
        for line in text.splitlines()
    ]
    writable = tuple(f"{service} on {node}" for node, service, answer in lines if answer == "yes")
    unsure = tuple(f"{service} on {node}" for node, service, answer in lines if answer == "unsure")
    return Asked(writable, tuple(silent), len(lines), unsure)


def clear_answers(cluster: Cluster, pair: Pair) -> Asked:
    """Ask as `who_accepts_writes` does until everybody answers clearly, or two accept writes.

    After half a minute the last look is returned as it is.
    """
    last: list[Asked] = []

    def look() -> bool | Pending:
        last[:] = [who_accepts_writes(cluster, pair)]
        if last[0].clear or len(last[0].writable) > 1:
            return True
        return Pending(f"no clear answer from {', '.join(last[0].silent + last[0].unsure)}")

    how_long(look, within=_CLEAR_SECONDS, every=0.5, what="who accepts writes")
    return last[0]


def second_writers(cluster: Cluster, pair: Pair, *, seconds: float) -> tuple[list[str], int]:
    """Look for so many seconds; return two writers at once, and how many looks told anything.

    Those are the ones that found a writer and had a clear answer from everybody. The last one has
    to be clear: a server that waits for its peer, or recovers, may lead in the end. While it is
    not, the look goes on for a minute; then nothing was told, and 0 is returned.
    """
    problems: set[str] = set()
    looks = 0
    end = time.monotonic() + seconds

    def look() -> bool | Pending:
        nonlocal looks
        asked = who_accepts_writes(cluster, pair)
        told = bool(asked.writable) and asked.clear
        looks += told
        if len(asked.writable) > 1:
            problems.update(asked.problems())
        if time.monotonic() >= end and (told or problems):
            return True
        unclear = ", ".join(asked.silent + asked.unsure)
        return Pending(f"no clear answer from {unclear}" if unclear else ", ".join(asked.writable))

    try:
        eventually(look, within=seconds + _UNCLEAR_SECONDS, every=0.3, what="who accepts writes")
    except NeverTrue:
        return sorted(problems), 0
    return sorted(problems), looks


def await_known(cluster: Cluster, server: Server, node: str, *, within: float) -> None:
    """Wait until `server` answers by its name from a container on `node`, at most `within` seconds.

    Names of other nodes' tasks come back some half a minute after a node does; until then an old
    primary that starts there hears nothing of its peer, and leads. Raises `NeverTrue`.
    """

    def look() -> bool | Pending:
        try:
            name = cluster.snapshot().service_called(server.service).short_name
            found = discovery.look_from(cluster, node, name)
        except CutoverError as error:
            return Pending(str(error))
        wrong = found.failures or (() if found.addresses else ("it has no address",))
        return Pending("; ".join(wrong)) if wrong else True

    eventually(look, within=within, every=1.0, what=f"{server.service} known on {node}")


def writable(cluster: Cluster, server: Server) -> bool | Pending:
    """Return True when the server makes a table over the network (it is rolled back)."""
    try:
        with connected(cluster, server) as connection, connection.transaction(force_rollback=True):
            connection.execute("create table cutover_may_write ()")
    except psycopg.Error as error:
        return Pending(" ".join(str(error).split()))
    except CutoverError as error:
        return Pending(str(error))
    return True


def pooled(cluster: Cluster, pool: str, pair: Pair) -> Server:
    """Return the pair's database as clients of the PgBouncer `pool` (stack-file name) see it."""
    name = cluster.snapshot().service_called(pool).name
    return Server(name, name, pair.primary.database, port=POOL_PORT)


def timeline(cluster: Cluster, server: Server) -> int:
    """Return the timeline that a primary writes on.

    Not pg_control's: just after a promotion that still names the former one.
    """
    with connected(cluster, server) as connection:
        row = connection.execute("select pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
    assert row is not None
    return int(str(row[0])[:8], 16)


def last_checkpoint(cluster: Cluster, server: Server, node: Node, *, within: float) -> str:
    """Return where a stopped server's last checkpoint lies, from its files on `node`.

    Waits up to `within` seconds for it to end. Raises `NeverTrue`, and `CutoverError` when it did
    not end cleanly: then that is not the end of what it wrote.
    """
    ours = f"--filter label=com.docker.swarm.service.name={server.service}"

    def ended() -> bool | Pending:
        running = node.run(f"docker ps -q {ours}", timeout=10).stdout.strip()
        return not running or Pending(f"container {running} runs")

    eventually(ended, within=within, what=f"{server.service} ends")
    script = (
        f'c=$(docker ps -aq -n 1 {ours}) && [ -n "$c" ] || exit 1\n'
        "docker run --rm --network none --volumes-from $c:ro --entrypoint sh"
        " $(docker inspect -f '{{.Image}}' $c) -c"
        f" 'PATH=$PATH:/usr/lib/postgresql/17/bin pg_controldata {DATA}'\n"
    )
    return read_controldata(node.run(script, timeout=60).stdout)


def read_controldata(text: str) -> str:
    """Read the last checkpoint's position from pg_controldata. Raises `CutoverError`."""
    state = re.search(r"^Database cluster state: +(.*)$", text, re.M)
    position = re.search(r"^Latest checkpoint location: +([0-9A-F]+/[0-9A-F]+)$", text, re.M)
    if state is None or position is None or state[1] != "shut down":
        raise CutoverError(
            f"did not end cleanly: {state[1] if state else 'pg_controldata says nothing'}",
            where="pg_controldata",
        )
    return position[1]


def lacks(cluster: Cluster, server: Server, position: str) -> list[str]:
    """Say what a standby lacks of a primary that ended with a checkpoint at `position`."""
    with connected(cluster, server) as connection:
        row = connection.execute(
            "select pg_last_wal_replay_lsn()::text,"
            " pg_wal_lsn_diff(pg_last_wal_replay_lsn(), %s::pg_lsn) > 0",
            [position],
        ).fetchone()
    assert row is not None
    return [] if row[1] else [f"it has replayed up to {row[0]}, the other ended at {position}"]


def how_it_returned(cluster: Cluster, server: Server) -> str:
    """Return what the start script says it did to make an old primary a replica."""
    node, task = cluster.a_task(server.service)
    log = node.run(f"docker logs {task.container_id} 2>&1", timeout=15).stdout
    if "postgres-start.sh: rewound" in log:
        return "pg_rewind"
    return "base backup" if "postgres-start.sh: base backup complete" in log else "as it was"
