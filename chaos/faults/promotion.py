"""What an operator does when a replica has to lead, as steps that the ledger can undo.

They are faults in form, not in spirit: each leaves the cluster in another shape than it was given,
and whatever becomes of the scenario that does them, that shape has to be put right. In the
catalogue they would be of no use, for one needs the other (docs/data.md). `ReplicaPromoted` in
`data.py` is the promotion itself. Undone from the newest on they end with the first roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from chaos.fault import A_MANAGER, Fault, Plan, Shell, View
from chaos.faults.data import current_container, psql
from chaos.faults.task import all_tasks_run

_STOPS_SECONDS: Final = 45.0
#: A node's boot, the wait for the peer's word, a base backup.
_FOLLOWS_SECONDS: Final = 180.0


def _replicas(service: str) -> str:
    form = "'{{.Spec.Mode.Replicated.Replicas}}'"
    return f"n=$(docker service inspect -f {form} {service}) || exit 2\n"


def _scale(service: str, replicas: int) -> str:
    return f"docker service scale --detach {service}={replicas} >/dev/null\n"


@dataclass(frozen=True)
class Fenced(Fault):
    """A server is kept from coming back, also on a node that nobody can reach now.

    The managers' word, for it outlives the node: what returns is told to stop what it has started.
    """

    name: ClassVar[str] = "data.fenced"
    summary: ClassVar[str] = "A database's service is scaled to nothing, so that it cannot return."
    blast_radius: ClassVar[str] = "that server; scaled to one again in the end"

    service: str
    node: str

    def plan(self, view: View) -> Plan:
        """At a manager; the node is named for the guard."""
        node, name = view.node(self.node), view.service(self.service)
        wanted = f"docker service ps -q --filter desired-state=running {name} | wc -l"
        step = Shell(
            A_MANAGER,
            do=_scale(name, 0),
            undo=_scale(name, 1),
            in_force=(
                f"{_replicas(name)}tasks=$({wanted}) || exit 2\n"
                'echo "scaled to $n, $tasks tasks wanted"\n[ "$n" = 0 ] && [ "$tasks" = 0 ]\n'
            ),
            gone=all_tasks_run(name),
            gone_within=_FOLLOWS_SECONDS,
            within=_STOPS_SECONDS,
            # The runbook itself ends it when the server may come back.
            lasting=False,
        )
        return Plan((step,), frozenset({node}))


@dataclass(frozen=True)
class OldPrimaryFollows(Fault):
    """A fenced server is started again and follows the one that was promoted.

    Undone, it leads again: that is the second half of switching back, after the promoted server
    was stopped. Where that still runs, its own undoing (`ReplicaPromoted`) comes next and takes its
    data away, so that it copies this server's.
    """

    name: ClassVar[str] = "data.old-primary-follows"
    summary: ClassVar[str] = "A fenced primary is started again and follows the promoted replica."
    blast_radius: ClassVar[str] = "what it had written and the other never got; it leads in the end"

    service: str
    node: str

    def plan(self, view: View) -> Plan:
        """It is started by a manager, and asked on its node."""
        node, name = view.node(self.node), view.service(self.service)
        recovery = psql('"$c"', "SELECT pg_is_in_recovery()")
        promote = psql('"$c"', "SELECT pg_promote(true, 30)")
        streaming = psql(
            '"$c"', "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        )
        start = Shell(
            A_MANAGER,
            do=_scale(name, 1),
            undo="",
            in_force=f'{_replicas(name)}echo "scaled to $n"\n[ "$n" = 1 ]\n',
            gone="true\n",
        )
        follow = Shell(
            node,
            do="",
            undo=(
                f'{current_container(name)}is=$({recovery}) || exit 1\n[ "$is" = f ] || {promote}\n'
            ),
            in_force=(
                f"{current_container(name)}n=$({streaming} 2>/dev/null) || exit 1\n"
                'echo "$n WAL receivers streaming"\n[ "$n" = 1 ]\n'
            ),
            gone=(
                f"{current_container(name)}is=$({recovery}) || exit 1\n"
                'echo "in recovery: $is"\n[ "$is" = f ]\n'
            ),
            within=_FOLLOWS_SECONDS,
            gone_within=_FOLLOWS_SECONDS,
            timer=False,
            # Stopping its primary, to switch back, ends the streaming.
            lasting=False,
        )
        return Plan((start, follow), frozenset({node}))
