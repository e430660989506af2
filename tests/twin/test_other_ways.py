"""The plan's alternatives, broken: a repository of restic's that rots, a Patroni that stands by."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.ssh import CommandFailed
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import TWIN, Outcome
from verify.backups import places, restic
from verify.steady import await_steady

FLIP_LARGEST = (
    "f=$(find {path}/restic/data -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2)"
    " && chmod u+w $f && byte=$(od -An -tu1 -j 40 -N 1 $f | tr -d ' ')"
    ' && printf "\\\\$(printf %03o $((byte ^ 1)))"'
    " | dd of=$f bs=1 seek=40 conv=notrunc 2>/dev/null"
)


@contextmanager
def standing(nodes: list[str], stack: str, **variables: str) -> Iterator[None]:
    """Have a stack on demand on the tests' twin, and its image on `nodes`."""
    twin = StandingTwin(TWIN, keep=True)
    with twin as same:
        stacks = OnDemandStacks(twin, same, capabilities.probe(same))
        try:
            stacks.stand(stack, nodes, **variables)
            yield
        finally:
            stacks.remove()


def test_a_repository_with_one_flipped_bit(cluster: Cluster) -> None:
    host = cluster.backup_host
    assert host is not None
    path = places.remote(cluster).path.rpartition("/")[0]
    # Its own schedule never comes: the job is run by hand, which is all that is wanted here.
    home = [places.data_node(cluster).name]
    with standing(home, "backups-restic", CUTOVER_RESTIC_SCHEDULE="0 0 1 1 *"):
        repository = restic.repository(cluster, "gibd")
        repository.container.run("restic-backup", timeout=120)
        assert repository.check() == []
        with repository.unpacked() as store:
            assert len(store.entries()) > 4
        host.run(FLIP_LARGEST.format(path=path))
        assert repository.check()
        with pytest.raises(CommandFailed), repository.unpacked():
            pass
    host.run(f"rm -rf {path}/restic")


# Nothing is put right while Patroni stands by, and the harness waits for that for 5 minutes.
@pytest.mark.skipif(not os.environ.get("CUTOVER_SLOW"), reason="8 minutes: make test-slow")
def test_a_patroni_that_was_told_to_stand_by(
    cluster: Cluster, run_features: Callable[..., Outcome]
) -> None:
    pause = ["patronictl", "-c", "/dev/shm/patroni.yml", "pause", "--wait"]

    def paused() -> bool | Pending:
        said = cluster.in_task("patroni_patroni-primary", pause, timeout=60)
        return "paused" in said or Pending(said)

    with standing([manager.name for manager in cluster.managers], "patroni"):
        eventually(paused, within=120, every=2.0, what="Patroni paused", retry_on=(CommandFailed,))
        outcome = run_features("features/replication/automatic_failover.feature")
    await_steady(cluster, within=120)
    assert outcome.status == 1
    assert outcome.verdicts("writes are acknowledged again") == ["missed"]
