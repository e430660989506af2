"""Faults of what must not be lost: PostgreSQL, Redis, backup files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from chaos import scripts
from chaos.fault import BadArgument, Fault, Plan, Shell, View
from chaos.faults.resource import checked_path
from chaos.faults.task import first_task, replaced_step

_STREAMS_SECONDS: Final = 90.0
_PSQL: Final = "psql -U postgres -d postgres -AtXq -v ON_ERROR_STOP=1"


def psql(container: str, statement: str) -> str:
    """Return a command that runs SQL in a PostgreSQL container, over its socket."""
    return f'docker exec {container} {_PSQL} -c "{statement}"'


def current_container(service: str) -> str:
    """Return shell text that sets `c` to the service's container here; exit 1 without one."""
    return (
        f"c=$(docker ps -q --filter label=com.docker.swarm.service.name={service}"
        " | head -n 1)\n"
        '[ -n "$c" ] || exit 1\n'
    )


def _slots(container: str, columns: str, slot: str, condition: str = "") -> str:
    # `slot` was checked to be lower-case letters, digits and underscores.
    where = f"WHERE slot_name = '{slot}'{condition}"
    return psql(container, f"SELECT {columns} FROM pg_replication_slots {where}")  # noqa: S608


@dataclass(frozen=True)
class PostmasterKill(Fault):
    """PostgreSQL's first process is killed; it recovers from its log at the next start."""

    name: ClassVar[str] = "data.postmaster-kill"
    summary: ClassVar[str] = "PostgreSQL's postmaster is killed (SIGKILL): crash recovery follows."
    blast_radius: ClassVar[str] = "every session of that server; nothing that was committed"

    service: str

    def plan(self, view: View) -> Plan:
        """The process itself, by its id on the node, if it really is postgres."""
        task = first_task(view, self.service)
        do = (
            f'[ "$(cat /proc/{task.pid}/comm)" = postgres ]'
            " || { echo 'its first process is not postgres' >&2; exit 1; }\n"
            f"kill -9 {task.pid}\n"
        )
        return Plan((replaced_step(view, self.service, task, do),), frozenset({task.node}))


@dataclass(frozen=True)
class SlotDropped(Fault):
    """The replica's replication slot vanishes from the primary."""

    name: ClassVar[str] = "data.slot-dropped"
    summary: ClassVar[str] = (
        "A replication slot is dropped on the primary: its replica loses its place."
    )
    blast_radius: ClassVar[str] = "the replica that uses it; made again in the end"

    service: str
    slot: str

    def plan(self, view: View) -> Plan:
        """The sender is ended and the slot dropped in one statement, before it can come back."""
        if not re.fullmatch(r"[a-z0-9_]{1,63}", self.slot):
            raise BadArgument(f"{self.slot!r} cannot be a slot's name", where="slot")
        task = first_task(view, self.service)
        count = _slots(task.container, "count(*)", self.slot)
        if view.read(task.node, count) != "1":
            raise BadArgument(
                f"there is no slot {self.slot!r} on {self.service}",
                where="slot",
                remedy="Look into pg_replication_slots.",
            )
        end = _slots(
            task.container,
            "pg_terminate_backend(active_pid)",
            self.slot,
            " AND active_pid IS NOT NULL",
        )
        drop = psql(task.container, f"SELECT pg_drop_replication_slot('{self.slot}')")
        make = psql(
            task.container, f"SELECT pg_create_physical_replication_slot('{self.slot}', true)"
        )
        step = Shell(
            task.node,
            do=(
                f"for _ in $(seq 40); do {end} >/dev/null; {drop} 2>/dev/null && exit 0; done\n"
                "exit 1\n"
            ),
            undo=f'n=$({count}) || exit 1\n[ "$n" = 1 ] || {make} >/dev/null\n',
            in_force=f'n=$({count}) || exit 2\necho "$n slots called {self.slot}"\n[ "$n" = 0 ]\n',
            timer=False,
        )
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class WalReceiverStopped(Fault):
    """The replica receives nothing, although it runs and is in recovery."""

    name: ClassVar[str] = "data.wal-receiver-stopped"
    summary: ClassVar[str] = "A replica's WAL receiver is frozen: it runs, and falls behind."
    blast_radius: ClassVar[str] = "reads of that replica grow old; the primary keeps its log"

    service: str

    def plan(self, view: View) -> Plan:
        """SIGSTOP to the process that calls itself walreceiver, SIGCONT in the end."""
        task = first_task(view, self.service)
        find = (
            f"pid=$(docker top {task.container} -eo pid,args | awk '/walreceiver/ {{ print $1 }}'"
            " | head -n 1)\n"
        )
        streaming = psql(
            task.container, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        )
        step = Shell(
            task.node,
            do=(
                f'{find}[ -n "$pid" ] || {{ echo no walreceiver >&2; exit 1; }}\n'
                'kill -STOP "$pid"\n'
            ),
            undo=f'{find}[ -z "$pid" ] || kill -CONT "$pid" 2>/dev/null || true\n',
            in_force=(
                f"{find}[ -n \"$pid\" ] || {{ echo 'no WAL receiver'; exit 1; }}\n"
                "state=$(sed -n 's/^State:[[:space:]]*//p' /proc/$pid/status)\n"
                'echo "walreceiver is $state"\n[ "${state%% *}" = T ]\n'
            ),
            gone=(f'n=$({streaming}) || exit 2\necho "$n WAL receivers streaming"\n[ "$n" = 1 ]\n'),
            gone_within=_STREAMS_SECONDS,
        )
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class ReplicaPromoted(Fault):
    """The replica becomes a primary beside the old one, and is made a replica again."""

    name: ClassVar[str] = "data.replica-promoted"
    summary: ClassVar[str] = "A PostgreSQL replica is promoted: two servers accept writes."
    blast_radius: ClassVar[str] = (
        "reads of the replica; in the end its copy is thrown away and taken anew from the primary"
    )

    service: str

    def plan(self, view: View) -> Plan:
        """Refused when the server is no replica: the undo throws data away."""
        task = first_task(view, self.service)
        service = view.service(self.service)
        recovery = "SELECT pg_is_in_recovery()"
        if view.read(task.node, psql(task.container, recovery)) != "t":
            raise BadArgument("is no replica", where=f"service {self.service}")
        if not view.read(task.node, f"docker exec {task.container} sh -c 'echo $PEER'"):
            raise BadArgument(
                "does not name the other server of its pair (PEER), which has to lead again before "
                "this one's data is taken away",
                where=f"service {self.service}",
                remedy="Start both by fixtures/stacks/configs/postgres-start.sh.",
            )
        data = view.read(
            task.node,
            f"docker exec {task.container} sh -c 'readlink -f \"$PGDATA\"'",
        )
        if not re.fullmatch(r"/[A-Za-z0-9._/-]{8,}", data):
            raise BadArgument(f"has its data at {data!r}", where=f"service {self.service}")
        # Whatever container Swarm has put in its place by then.
        current = current_container(service)
        is_replica = psql('"$c"', recovery)
        streaming = psql(
            '"$c"', "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        )
        # A primary that was started anew meanwhile has found this one leading, and follows it: it
        # must lead again before what it follows is thrown away. Until it does, this is the only
        # copy of what was written since.
        lead = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 30) END"
        peer_leads = (
            'docker exec "$c" sh -c \'[ -n "$PEER" ] || exit 1;'
            " PGPASSWORD=$(cat /run/secrets/postgres_password); export PGPASSWORD;"
            f' timeout 40 {_PSQL} -h "$PEER" -c "{lead}" >/dev/null &&'
            f' [ "$(timeout 10 {_PSQL} -h "$PEER" -c "{recovery}")" = f ]\' 2>/dev/null'
            " || { echo 'the other server does not lead: this is the only copy' >&2; exit 1; }\n"
        )
        step = Shell(
            task.node,
            do=psql(task.container, "SELECT pg_promote(true, 30)") + "\n",
            undo=(
                f'{current}is=$({is_replica}) || exit 1\n[ "$is" = f ] || exit 0\n{peer_leads}'
                # Emptied while it is stopped: nothing writes into what is taken away.
                f"root=$(docker inspect -f '{{{{.State.Pid}}}}' \"$c\")\n"
                f'docker pause "$c"\nrm -rf "/proc/$root/root{data}"\ndocker kill "$c"\n'
            ),
            in_force=(
                f"is=$({psql(task.container, recovery)}) || exit 2\n"
                'echo "in recovery: $is"\n[ "$is" = f ]\n'
            ),
            gone=f'{current}n=$({streaming}) || exit 1\necho "$n streaming"\n[ "$n" = 1 ]\n',
            gone_within=_STREAMS_SECONDS * 2,
            within=40.0,
            # A promoted server alone is a safe state; a node cannot know whether another leads.
            timer=False,
            last=True,
        )
        return Plan((step,), frozenset({task.node}))


@dataclass(frozen=True)
class RedisKilledSaving(Fault):
    """Redis dies while it writes its dump."""

    name: ClassVar[str] = "data.redis-killed-saving"
    summary: ClassVar[str] = "Redis is killed (SIGKILL) in the middle of a BGSAVE."
    blast_radius: ClassVar[str] = "that Redis; what was written since its last complete dump"

    service: str

    def plan(self, view: View) -> Plan:
        """The save is slowed down (rdb-key-save-delay) so that the kill surely falls into it."""
        task = first_task(view, self.service)
        redis = (
            f"r() {{ docker exec {task.container} sh -c 'REDISCLI_AUTH=$(cat"
            ' /run/secrets/redis_password) exec redis-cli "$@"\' sh "$@"; }\n'
        )
        do = (
            f"{redis}main=$(docker top {task.container} -eo pid,comm | awk"
            " '$2 ~ /^redis-server/ { print $1 }' | head -n 1)\n"
            "keys=$(r DBSIZE)\n"
            'if [ "$keys" = 0 ]; then r SET cutover:saving 1 EX 60 >/dev/null; fi\n'
            "r CONFIG SET rdb-key-save-delay 1000000 >/dev/null\nr BGSAVE >/dev/null\n"
            "saving=$(r INFO persistence | tr -d '\\r' | sed -n 's/^rdb_bgsave_in_progress://p')\n"
            'if [ "$saving" != 1 ]; then r CONFIG SET rdb-key-save-delay 0 >/dev/null;'
            " echo 'no save under way' >&2; exit 1; fi\n"
            'kill -9 "$main"\n'
        )
        return Plan((replaced_step(view, self.service, task, do),), frozenset({task.node}))


@dataclass(frozen=True)
class FileDamaged(Fault):
    """A file, a backup above all, is cut short or has one bit flipped."""

    name: ClassVar[str] = "data.file-damaged"
    summary: ClassVar[str] = (
        "A backup file is cut to half (`truncate`) or has one bit flipped (`flip`)."
    )
    blast_radius: ClassVar[str] = "whoever restores from it; the original is put back in the end"

    node: str
    path: str
    how: str = "truncate"

    def plan(self, view: View) -> Plan:
        """A copy is kept beside it, with its times and owner, and put back in the end."""
        node = view.node(self.node)
        path = checked_path(self.path)
        if self.how not in ("truncate", "flip"):
            raise BadArgument("must be truncate or flip", where="how")
        answer = view.read(node, f"stat -Lc '%F:%s' {path} 2>/dev/null || true")
        if not answer.startswith("regular file:") or int(answer.partition(":")[2]) < 2:
            raise BadArgument(
                f"there is no file of 2 bytes or more at {path} on {node}", where="path"
            )
        digest = view.read(node, f"sha256sum <{path}").split()[0]
        size = int(answer.partition(":")[2])
        kept = f"{path}.cutover-{scripts.ID}"
        middle = size // 2
        damage = (
            f"truncate -s {middle} {path}\n"
            if self.how == "truncate"
            else (
                f"byte=$(od -An -tu1 -j {middle} -N 1 {path} | tr -d ' ')\n"
                f'printf "\\\\$(printf %03o $((byte ^ 1)))"'
                f" | dd of={path} bs=1 seek={middle} conv=notrunc 2>/dev/null\n"
            )
        )
        step = Shell(
            node,
            # Under its final name the copy is complete: an undo never puts half a file back.
            do=(
                f"{scripts.register_file(kept)}cp -a {path} {kept}.part\nsync {kept}.part\n"
                f"mv {kept}.part {kept}\n{damage}"
            ),
            undo=(
                f"rm -f {kept}.part\n[ ! -e {kept} ] || mv -f {kept} {path}\n"
                f"{scripts.forget_files()}"
            ),
            in_force=(
                f"now=$(sha256sum <{path}) || exit 2\n"
                f'echo "$(stat -c %s {path}) of {size} bytes, sha256 ${{now%% *}}"\n'
                f'[ "${{now%% *}}" != {digest} ]\n'
            ),
        )
        return Plan((step,), frozenset({node}))
