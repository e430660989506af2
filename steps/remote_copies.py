"""Steps about the copies on the backup host, and what a damage of the data node's does to them."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytest_bdd import parsers, then, when

from fixtures.cluster.cluster import Cluster
from steps.backups import judge_restore
from verify.backups import jobs, listing, places
from verify.backups.damage import damage
from verify.backups.observed import Watched
from verify.backups.store import NothingThere
from verify.backups.subjects import another_node


@then("no link on the backup host leads nowhere")
def no_dead_links(cluster: Cluster, measure: Any) -> None:
    """`latest` among them: a name without what it named is no copy."""
    try:
        entries = places.remote(cluster).entries()
        found, checked = listing.link_problems(entries), len(entries)
    except NothingThere as nothing:
        found, checked = [str(nothing)], 1
    measure.violations("links of the remote copy", found, checked=checked)


@when(parsers.parse("the data node's copies are {how}"), target_fixture="damaged_at")
def damage_local(cluster: Cluster, how: str) -> str:
    """As a mistake or a dying disk does it; on a twin only. Returns when, by a snapshot's name."""
    return damage(cluster, places.local(cluster), how)


@then(parsers.parse("the remote copy runs again within {periods:g} periods of its schedule"))
def copied_again(cluster: Cluster, damaged_at: str, periods: float, measure: Any) -> None:
    """A snapshot begun since then is there, complete or not."""
    took = jobs.copied_since(cluster, damaged_at, periods=periods)
    period = jobs.period_of(cluster, jobs.REMOTE)
    measure(
        "remote copy after the damage",
        took.seconds / period,
        limit=periods,
        unit="periods",
        error=took.error / period,
        reason=took.reason,
    )


@then("the backup host's copy of each of before the damage restores, with nothing lost or changed")
def survives(cluster: Cluster, watched: list[Watched], measure: Any) -> None:
    """From the newest complete copy, or else from the newest snapshot that has it whole."""

    def restore(each: Watched) -> None:
        criterion = f"{each.subject.kind} restored from the backup host after the damage"
        node = another_node(cluster, each.subject)
        store, problems = each.intact_copy(places.remote_snapshots(cluster), node=node)
        if store is None:
            measure.violations(criterion, problems, checked=1)
        else:
            judge_restore(measure, criterion, each.restore(store, node=node))

    measure.each(partial(restore, each) for each in watched)
