"""Steps about GitLab's projects and their mirrors on GitHub."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.errors import CannotProve
from fixtures.stacks.deploy import Settings
from fixtures.tables import column
from fixtures.waiting import Pending, eventually, how_long
from verify.mirror import changes, git_client, listing, projects, restoring, seed
from verify.mirror.changes import Probe
from verify.mirror.comparing import compare
from verify.mirror.listing import Listing
from verify.mirror.site import Site, api, site_of

RECOVERED_SECONDS = 60.0
STANDINGS = {
    "gitlab, gitlab-workhorse, gitlab-sidekiq": "real git over HTTP and real repositories; the REST"
    " and the job that updates mirrors are stand-ins written after GitLab's source",
    "gitlab-runner": "a git client only: it runs no CI",
    "GitHub": "a second real git host on another node, with the REST that makes repositories",
}


@given(
    parsers.parse(
        "GitLab has {count:d} projects, all mirrored to GitHub, with a delay of {delay:g} seconds"
    ),
    target_fixture="site",
)
def mirrored(
    cluster: Cluster, on_demand: OnDemandStacks | None, run: Any, count: int, delay: float
) -> Site:
    """On a twin; servers have their own projects, and the delay of the inventory."""
    if on_demand is None:
        return site_of(cluster)
    run.standins |= STANDINGS
    run.environment["delay of GitLab's mirrors"] = f"{delay:g} s"
    places = Settings(images={})
    nodes = [places.primary_node, places.replica_node]
    on_demand.stand("github", nodes)
    on_demand.stand("gitlab", nodes, CUTOVER_MIRROR_DELAY=f"{delay:g}")
    site = site_of(cluster, delay)
    with api(cluster, site) as client:
        seed.fill(cluster, site, client, count)
    return site


@when("GitLab is asked for all its projects", target_fixture="listed")
def asked(cluster: Cluster, site: Site) -> Listing:
    """In two ways, with their mirrors and last pushes."""
    with api(cluster, site) as client:
        return listing.read(client)


@then("the list is whole, whatever its pages say")
def whole(listed: Listing, measure: Any) -> None:
    """Page by page and by ids above the last one seen."""
    problems = projects.listing_problems(listed.by_page, listed.by_id, listed.total)
    measure.violations("list of GitLab's projects", problems, checked=len(listed.projects))


@then(
    parsers.parse(
        "each has an enabled mirror of its own, and no push to any waits for longer than"
        " {delays:g} delays"
    )
)
def in_time(site: Site, listed: Listing, delays: float, measure: Any) -> None:
    """By GitLab's word: its settings, and the last *success*."""
    every = listed.projects
    within = timedelta(seconds=delays * site.delay)
    set_up = projects.mirror_problems(every, site.destination)
    late = projects.late_problems(every, listed.read_at, within)
    measure.each(
        partial(measure.violations, criterion, found, checked=len(every))
        for criterion, found in (
            ("projects with a mirror of their own", set_up),
            ("projects mirrored in time", late),
        )
    )


@then(
    parsers.parse(
        "the branches and tags of each are on GitHub, but for pushes of the last {delays:g} delays"
    )
)
def same_refs(cluster: Cluster, site: Site, listed: Listing, delays: float, measure: Any) -> None:
    """By `git ls-remote` of both, whatever GitLab says of its mirrors."""
    every, within = listed.projects, timedelta(seconds=delays * site.delay)
    urls = [url for p in every for url in (p.url, site.copy_of(p.path))]
    refs = git_client.refs_of(cluster, site, urls)
    with api(cluster, site) as client:
        found = compare(
            every,
            refs,
            site.copy_of,
            lambda p: projects.in_flight(
                listing.of_project(client, p.path), datetime.now(UTC), within
            ),
        )
    measure.note("refs that only GitHub has: deleted, not merged", found.kept, unit="refs")
    measure.note("projects with a push under way", found.waiting, unit="projects")
    checked = len(every) - found.waiting
    measure.violations("projects whose refs are the same", found.problems, checked=checked)


# -- one project, watched ----------------------------------------------------------------------


@pytest.fixture
def probe(cluster: Cluster, site: Site) -> Iterator[Probe]:
    """Yield a project that may be pushed to; what was pushed goes from both sides in the end."""
    found = changes.probe_of(cluster, site, secrets.token_hex(3))
    yield found
    found.clean()


@then(parsers.parse("each of these, pushed to GitLab, is on GitHub within {delays:g} delays"))
def arrives(probe: Probe, delays: float, datatable: Any, measure: Any) -> None:
    """One after the other; counted from the end of the push."""

    def push(what: str) -> None:
        probe.change(what)
        took = probe.arrival(delays * probe.site.delay, what)
        measure(
            f"{what}: on GitHub",
            took.seconds / probe.site.delay,
            limit=delays,
            unit="delays",
            error=took.error / probe.site.delay,
            reason=took.reason,
        )

    measure.each(partial(push, what) for what in column(datatable, "change"))


@when("GitHub refuses what is pushed to one project's mirror")
def refused(cluster: Cluster, site: Site, probe: Probe, request: pytest.FixtureRequest) -> None:
    """On a twin; nobody may tell GitHub itself to do so."""
    if not cluster.is_twin:
        raise CannotProve("the real GitHub is not told to refuse", where=cluster.name)

    def put_right() -> None:
        seed.accept(cluster, probe.path)
        probe.clean()
        with api(cluster, site) as client:
            eventually(
                lambda: seed.all_finished([client.projects.get(probe.path)]),
                within=RECOVERED_SECONDS,
                every=1.0,
                what="the mirror's next success",
            )

    request.addfinalizer(put_right)
    seed.refuse(cluster, probe.path)
    probe.change("a new branch with a commit")


@then(parsers.parse("GitLab says within {delays:g} delays that this mirror fails, and why"))
def failure_seen(cluster: Cluster, site: Site, probe: Probe, delays: float, measure: Any) -> None:
    """By the same look as at all projects."""
    with api(cluster, site) as client:

        def look() -> bool | Pending:
            found = listing.of_project(client, probe.path)
            told = projects.late_problems([found], datetime.now(UTC), timedelta.max)
            return bool(told and "GH013" in told[0]) or Pending(f"{told or 'nothing is wrong'}")

        took = how_long(
            look, within=delays * site.delay, since=probe.pushed, what="the failure is seen"
        )
    measure.duration("a failing mirror is seen", took, limit=delays * site.delay)


@then("of all projects this one alone is named")
def alone(cluster: Cluster, site: Site, probe: Probe, measure: Any) -> None:
    """Neither is it hidden by the others, nor are they blamed for it."""
    with api(cluster, site) as client:
        found = listing.read(client)
    told = projects.late_problems(found.projects, found.read_at, timedelta(hours=1))
    others = [problem for problem in told if not problem.startswith(f"{probe.path}: ")]
    missing = [] if len(told) > len(others) else [f"{probe.path} is not named"]
    measure.violations("failures told", [*others, *missing], checked=len(found.projects))


@then(
    parsers.parse(
        "{count:d} projects, cloned from GitHub alone, pass git fsck and have GitLab's history"
    )
)
def restores(cluster: Cluster, site: Site, count: int, measure: Any) -> None:
    """The first, the last, and some between them."""
    with api(cluster, site) as client:
        paths = restoring.spread(listing.paths(client), count)
    found = [restoring.restored(cluster, site, path) for path in paths]
    measure.note("objects of the restored projects", sum(f.objects for f in found), unit="objects")
    problems = [problem for each in found for problem in each.problems]
    measure.violations("projects restored", problems, checked=sum(1 for f in found if f.objects))
