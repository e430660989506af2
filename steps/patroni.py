"""Steps about PostgreSQL servers that choose their leader themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_bdd import given, parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.waiting import Pending, eventually, how_long
from verify import promotion
from verify.replication import Pair, pair_of

if TYPE_CHECKING:
    from steps.promotion import Failed

STACK = "patroni"
FORMED_SECONDS = 120.0


@given(
    parsers.parse("{first} and {second} are led by Patroni"),
    target_fixture="pair",
)
def led_by_patroni(
    cluster: Cluster, on_demand: OnDemandStacks | None, first: str, second: str
) -> Pair:
    """Put there on a twin; whoever of the two leads now is the pair's primary."""
    if on_demand is not None:
        on_demand.stand(STACK, [manager.name for manager in cluster.managers])
    either = pair_of(cluster, primary=first, replica=second)

    def formed() -> Pair | Pending:
        leads = promotion.writable(cluster, either.primary)
        pair = either if leads is True else either.reversed()
        problems = pair.problems(cluster)
        return Pending("; ".join(problems)) if problems else pair

    return eventually(
        formed, within=FORMED_SECONDS, every=1.0, what=f"Patroni leads {first} and {second}"
    )


@then(
    parsers.parse(
        "the old primary follows the new one by itself, as both ends say, within {seconds:g} "
        "seconds of its node's return"
    )
)
def follows_by_itself(
    cluster: Cluster, pair: Pair, failed: Failed, seconds: float, measure: Any
) -> None:
    """Nobody does anything: rewind or base backup is Patroni's own affair."""
    turned = pair.reversed()

    def look() -> bool | Pending:
        problems = turned.problems(cluster)
        return Pending("; ".join(problems)) if problems else True

    returned = failed.fault.healed
    assert returned is not None
    took = how_long(
        look,
        within=seconds,
        since=returned.at,
        since_error=returned.error,
        every=1.0,
        what=f"{turned.name} follows",
    )
    measure.duration("old PostgreSQL primary follows", took, limit=seconds)
