"""Fills a twin's GitLab and sets up its mirrors, as the plan's script does it, but to the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import gitlab

from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from verify.mirror.listing import PER_PAGE
from verify.mirror.site import GITHUB_SERVICE, Site, session

GITLAB: Final = "gitlab_gitlab"
IDLE: Final = "project-001"
IDLE_DAYS: Final = 30
_PORT: Final = 8080
_ADMIN: Final = ("python3", "/app/gitlab_admin.py")
_SEED_SECONDS: Final = 120.0
_MIRRORED_SECONDS: Final = 240.0


def console(cluster: Cluster, *arguments: str) -> str:
    """Run a command of the stand-in's console (`gitlab_admin.py`)."""
    return cluster.in_task(GITLAB, [*_ADMIN, *arguments], timeout=_SEED_SECONDS)


def fill(cluster: Cluster, site: Site, client: gitlab.Gitlab, count: int) -> None:
    """Have `count` projects, all mirrored and one of them idle for a month; once only.

    What an earlier run left is kept as it is, unless it did not come to its end; a refusal that it
    did not take back goes.
    """
    accept(cluster, site.entry.probe)
    done = "/var/opt/gitlab/seeded"
    told = f"cat {done} 2>/dev/null || true"
    if cluster.in_task(GITLAB, ["sh", "-c", told]).strip() == str(count):
        return
    probe = site.entry.probe.rsplit("/", 1)[-1]
    with progress.step(f"{count} projects in GitLab"):
        console(cluster, "seed", str(count), probe)
    projects = client.projects.list(get_all=True, per_page=PER_PAGE)
    with progress.step(f"{len(projects)} mirrors"):
        set_up(cluster, site, projects)
    eventually(
        lambda: all_finished(projects),
        within=_MIRRORED_SECONDS,
        every=2.0,
        what="the first update of every mirror",
    )
    console(cluster, "age", IDLE, str(IDLE_DAYS))
    cluster.in_task(GITLAB, ["sh", "-c", f"echo {count} >{done}"])


def set_up(cluster: Cluster, site: Site, projects: Iterable[Any]) -> None:
    """Give each project a repository at the destination and a mirror to it, and sync it once.

    The plan's script leaves the last part out: GitLab then updates nothing before the next push.
    Raises `CutoverError` when a repository cannot be made.
    """
    base, organisation = site.destination.rsplit("/", 1)
    scheme, host = base.split("://")
    with (
        cluster.reach(GITHUB_SERVICE, _PORT) as socket,
        session(base, socket) as http,
    ):
        http.headers["Authorization"] = f"token {site.destination_token}"
        for project in projects:
            if project.remote_mirrors.list(get_all=True):
                continue
            wanted = {"name": project.path, "private": True}
            made = http.post(f"{base}/orgs/{organisation}/repos", json=wanted, timeout=10)
            if made.status_code not in (201, 422):
                raise CutoverError(f"status {made.status_code}", where=f"{base}/orgs")
            url = f"{scheme}://oauth2:{site.destination_token}@{host}/{organisation}/{project.path}.git"
            settings = {"url": url, "enabled": True, "only_protected_branches": False}
            project.remote_mirrors.create(settings).sync()


def all_finished(projects: Iterable[Any]) -> bool | Pending:
    """Whether the last attempt of every mirror of these succeeded."""
    for project in projects:
        for mirror in project.remote_mirrors.list(get_all=True):
            if mirror.update_status != "finished":
                said = mirror.last_error or ""
                return Pending(f"{project.path} is {mirror.update_status} {said}".strip())
    return True


def refuse(cluster: Cluster, path: str) -> None:
    """Have the destination refuse every push to one project's mirror (a hook of its own)."""
    hook = "#!/bin/sh\necho 'GH013: Repository rule violations found' >&2\nexit 1\n"
    script = f'd={_hooks(path)} && mkdir -p $d && printf %s "$0" >$d/pre-receive && chmod 755 $d/*'
    cluster.in_task(GITHUB_SERVICE, ["sh", "-c", script, hook])


def accept(cluster: Cluster, path: str) -> None:
    """Have it accept pushes again."""
    cluster.in_task(GITHUB_SERVICE, ["sh", "-c", f"rm -f {_hooks(path)}/pre-receive"])


def _hooks(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return f"/srv/github/wizardsofts/{name}.git/hooks"
