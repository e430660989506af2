"""Mirrors that look well and are not: all are broken at once, and the features name each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks.deploy import Settings
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import TWIN, Outcome
from verify.mirror import git_client, seed
from verify.mirror.listing import PER_PAGE
from verify.mirror.site import GITHUB_SERVICE, Site, api, site_of

COUNT = 102
DELAY = 2.0
PLACES = Settings(images={})
VOLUMES = {PLACES.primary_node: "gitlab-data", PLACES.replica_node: "github-data"}
PUSH = """
git clone --quiet --depth 1 "$1" clone && cd clone
git -c user.name=t -c user.email=t@t commit --quiet --allow-empty -m more
git push --quiet origin HEAD:refs/heads/$2
"""


class Site101:
    """The twin's hosts with all their projects, and ways to break them by hand."""

    def __init__(self, cluster: Cluster, site: Site, client: Any) -> None:
        self.cluster, self.site, self.client = cluster, site, client

    def project(self, name: str) -> Any:
        return self.client.projects.get(f"wizardsofts/{name}")

    def mirror(self, name: str) -> Any:
        (found,) = self.project(name).remote_mirrors.list(get_all=True)
        return found

    def push(self, name: str, branch: str) -> None:
        url = self.site.source_of(f"wizardsofts/{name}")
        git_client.run(self.cluster, self.site, PUSH, arguments=[url, branch])

    def wait(self, name: str, *wanted: str) -> None:
        def look() -> bool | Pending:
            status = self.mirror(name).update_status
            return status in wanted or Pending(status)

        eventually(look, within=60, every=0.5, what=f"{name} is {' or '.join(wanted)}")

    def on_github(self, name: str, command: str) -> None:
        where = f"cd /srv/github/wizardsofts/{name}.git && {command}"
        self.cluster.in_task(GITHUB_SERVICE, ["sh", "-ec", where])


@pytest.fixture(scope="module")
def hosts(cluster: Cluster) -> Iterator[Site101]:
    with ExitStack() as stack:
        twin = StandingTwin(TWIN, keep=True)
        same = stack.enter_context(twin)
        stacks = OnDemandStacks(twin, same, capabilities.probe(same))
        for node, volume in VOLUMES.items():
            remove = f"docker volume rm --force {volume} || true"
            stack.callback(same.node(node).run, remove, timeout=60)
        stack.callback(stacks.remove)
        stacks.stand("github", list(VOLUMES))
        stacks.stand("gitlab", list(VOLUMES), CUTOVER_MIRROR_DELAY=f"{DELAY:g}")
        site = site_of(same, DELAY)
        with api(same, site) as client:
            seed.fill(same, site, client, COUNT)
            yield Site101(same, site, client)


def left_out_by_the_plan_s_script(hosts: Site101) -> None:
    """One page of 100, the newest first: it never sees the others, so they get no mirror."""
    page = {p.id for p in hosts.client.projects.list(per_page=PER_PAGE, get_all=False)}
    for project in hosts.client.projects.list(per_page=PER_PAGE, get_all=True):
        if project.id not in page:
            hosts.mirror(project.path).delete()


def a_fresh_attempt_and_an_old_success(hosts: Site101) -> None:
    seed.console(hosts.cluster, "age", "project-010", "2")
    seed.refuse(hosts.cluster, "wizardsofts/project-010")
    hosts.push("project-010", "main")


def finished_and_yet_not_the_same(hosts: Site101) -> None:
    """By its settings only; and what is not protected is never pushed."""
    mirror = hosts.mirror("project-020")
    mirror.only_protected_branches = True
    mirror.save()
    hosts.push("project-020", "feature")


def another_project_s_repository(hosts: Site101) -> None:
    hosts.mirror("project-030").delete()
    url = hosts.site.copy_of("wizardsofts/project-031").replace(
        "://", f"://oauth2:{hosts.site.destination_token}@"
    )
    wanted = {"url": url, "enabled": True, "only_protected_branches": False}
    hosts.project("project-030").remote_mirrors.create(wanted).sync()


def no_tags(hosts: Site101) -> None:
    hosts.on_github("project-040", "git tag | xargs git tag --delete")


def emptied(hosts: Site101) -> None:
    hosts.on_github("project-050", "rm -rf packed-refs refs/heads/* refs/tags/*")


def named(reason: str) -> set[str]:
    return set(re.findall(r"(?:project-\d+|cutover-probe)(?=: )", reason))


def test_each_is_named(hosts: Site101, run_features: Callable[..., Outcome]) -> None:
    for damage in (
        left_out_by_the_plan_s_script,
        a_fresh_attempt_and_an_old_success,
        finished_and_yet_not_the_same,
        another_project_s_repository,
        no_tags,
        emptied,
    ):
        damage(hosts)
    hosts.wait("project-010", "failed", "to_retry")
    hosts.wait("project-020", "finished")
    hosts.wait("project-030", "finished")
    outcome = run_features("features/mirror/every_project.feature")

    assert outcome.verdicts("list of GitLab's projects") == ["met"]
    set_up = "projects with a mirror of their own"
    assert outcome.verdicts(set_up) == ["missed"]
    reason = outcome.reason(set_up)
    assert named(reason) == {"cutover-probe", "project-001", "project-020", "project-030"}
    assert "project-001: no mirror" in reason
    assert "project-020: only its protected branches" in reason
    assert "project-030 and wizardsofts/project-031 have one mirror" in reason

    in_time = "projects mirrored in time"
    assert outcome.verdicts(in_time) == ["missed"]
    assert named(outcome.reason(in_time)) == {"project-010"}
    assert "GH013" in outcome.reason(in_time)

    same = "projects whose refs are the same"
    assert outcome.verdicts(same) == ["missed"]
    reason = outcome.reason(same)
    assert named(reason) - {"project-010"} == {f"project-0{n}" for n in (20, 31, 40, 50)}
    assert "project-020: the mirror lacks feature" in reason
    assert "project-031: the mirror has another commit at main" in reason
    assert "project-040: the mirror lacks tags/v1.0, tags/v1.1" in reason
    assert "project-050: the mirror is empty" in reason
