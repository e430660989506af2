"""Reads projects and mirrors through GitLab's API, with python-gitlab."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import gitlab

from fixtures import progress
from fixtures.errors import CannotProve
from verify.mirror.projects import Mirror, Project, without_credentials

PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Listing:
    """All projects, each listed in two ways; `read_at` is GitLab's host's time, or ours."""

    projects: tuple[Project, ...]
    by_page: tuple[int, ...]
    by_id: tuple[int, ...]
    total: int | None
    read_at: datetime


def read(client: gitlab.Gitlab) -> Listing:
    """List every project with its mirrors and its last pushes.

    Raises `CannotProve` for a token that is no administrator's: it does not see all projects.
    """
    client.auth()
    if not getattr(client.user, "is_admin", False):
        raise CannotProve(
            "GitLab's token is not an administrator's, so it does not list every project",
            where=client.url,
        )
    with progress.step("GitLab's projects and their mirrors"):
        pages = client.projects.list(iterator=True, per_page=PER_PAGE)
        total = pages.total
        by_page = {int(project.id): project for project in pages}
        by_id = _by_id(client)
        read_at = datetime.now(UTC)
        every = {**by_page, **by_id}
        found = tuple(_project(every[key]) for key in sorted(every))
    return Listing(found, tuple(by_page), tuple(by_id), total, read_at)


def _by_id(client: gitlab.Gitlab) -> dict[int, Any]:
    """Ask for what has a higher id than the last one seen, until there is nothing."""
    found: dict[int, Any] = {}
    while True:
        more = client.projects.list(
            order_by="id",
            sort="asc",
            id_after=max(found, default=0),
            per_page=PER_PAGE,
            get_all=False,
        )
        fresh = {int(project.id): project for project in more if int(project.id) not in found}
        if not fresh:
            return found
        found |= fresh


def of_project(client: gitlab.Gitlab, path: str) -> Project:
    """Read one project by its full path."""
    return _project(client.projects.get(path))


def _project(project: Any) -> Project:
    # One page: so many pushes are more than a mirror in time ever has before it.
    pushes = project.events.list(action="pushed", per_page=PER_PAGE, get_all=False)
    return Project(
        id=int(project.id),
        path=str(project.path_with_namespace),
        url=str(project.http_url_to_repo),
        empty=bool(getattr(project, "empty_repo", False)),
        pushes=tuple(datetime.fromisoformat(push.created_at) for push in pushes),
        mirrors=tuple(_mirror(each) for each in project.remote_mirrors.list(get_all=True)),
    )


def _mirror(mirror: Any) -> Mirror:
    return Mirror(
        url=without_credentials(str(mirror.url)),
        enabled=bool(mirror.enabled),
        update_status=str(mirror.update_status),
        last_update_started_at=_time(mirror.last_update_started_at),
        last_successful_update_at=_time(mirror.last_successful_update_at),
        last_error=str(mirror.last_error or ""),
        only_protected_branches=bool(mirror.only_protected_branches),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def paths(client: gitlab.Gitlab) -> list[str]:
    """Return the full path of every project that has a repository, oldest first."""
    found = _by_id(client)
    return [
        str(found[key].path_with_namespace)
        for key in sorted(found)
        if not getattr(found[key], "empty_repo", False)
    ]
