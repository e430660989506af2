"""Steps about secrets: where they are, and where they must not be."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytest_bdd import given, parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.tables import column
from verify.security import at_rest, hiding_places, mounts, secret_values
from verify.security.secret_values import Secret


@given(
    parsers.parse("the values of all secrets in use are known, {names} among them"),
    target_fixture="secrets",
)
def known(cluster: Cluster, names: str, measure: Any) -> list[Secret]:
    """Read where their holders read them; none is shown anywhere."""
    found = secret_values.in_use(cluster)
    gone = secret_values.missing(found, names.replace(" and ", ", ").split(", "))
    short = secret_values.unsearchable(found)
    if gone or short:
        measure.inconclusive("secrets known", f"not in use: {gone}; too short to find: {short}")
    return found


@then("every task's secrets are read-only files in memory below /run/secrets")
def in_memory(cluster: Cluster, measure: Any) -> None:
    """By the mounts of each task's own namespace, against its service's specification."""
    found, checked = mounts.problems(mounts.wanted(cluster), mounts.mounted(cluster))
    measure.violations("secrets are in memory only", found, checked=checked)


@then("no secret is in any of these places")
def nowhere_else(
    cluster: Cluster, secrets: list[Secret], run: Any, datatable: Any, measure: Any
) -> None:
    """As it is or encoded; every place is looked at before the scenario ends."""

    def look(place: str) -> None:
        seen = hiding_places.look(cluster, place, secrets, run.folder.parent)
        criterion = f"no secret in {place}"
        if seen.doubts and not seen.problems:
            measure.inconclusive(criterion, "; ".join(seen.doubts))
        measure.violations(criterion, seen.problems, checked=seen.searched)

    measure.each(partial(look, place) for place in column(datatable, "place"))


@then("no manager's Raft store has a secret in clear, or lends its key to others than root")
def sealed(cluster: Cluster, secrets: list[Secret], measure: Any) -> None:
    """Read as somebody with the disk would; what is there in clear has to be found."""
    stores = at_rest.stores(cluster, secrets)
    problems = [problem for store in stores for problem in store.problems()]
    doubts = [doubt for store in stores for doubt in store.doubts()]
    if doubts and not problems:
        measure.inconclusive("secrets encrypted at rest", "; ".join(doubts))
    measure.violations("secrets encrypted at rest", problems, checked=len(stores))


@then("the report says whether the managers lock that key away")
def autolock(cluster: Cluster, run: Any, measure: Any) -> None:
    """No criterion: the plan does not ask for it, and it excludes automatic recovery."""
    locked = at_rest.autolock(cluster)
    run.notes.append(at_rest.statement(locked, at_rest.with_swap(cluster)))
    measure.note("autolock of the managers (1 is on)", float(locked), unit="")
