"""What GitLab says of its projects and their mirrors, and what is wrong with it: values only.

`last_update_at` is the end of the last *attempt*, so nothing here believes it; a project to which
nobody pushed has an old `last_successful_update_at` and is not stale (GitLab updates a mirror after
a push and at no other time).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

#: An attempt that takes longer is stuck: GitLab's own MAX_INCREMENTAL_RUNTIME.
LONGEST_ATTEMPT = timedelta(hours=1)
_FAILING = ("failed", "to_retry")
_MOST_OF_AN_ERROR = 160


@dataclass(frozen=True, slots=True)
class Mirror:
    """One push mirror, with the names of GitLab's API; `url` has no credentials."""

    url: str
    enabled: bool
    update_status: str
    last_update_started_at: datetime | None
    last_successful_update_at: datetime | None
    last_error: str
    only_protected_branches: bool = False

    @property
    def mirrored_all_until(self) -> datetime | None:
        """Everything that was pushed before this moment has surely arrived."""
        if self.update_status == "finished" and self.last_successful_update_at is not None:
            return self.last_update_started_at
        # The start of the last success is no longer told; its end is an upper bound.
        return self.last_successful_update_at


@dataclass(frozen=True, slots=True)
class Project:
    """One project; `pushes` are the newest that GitLab remembers, in no order."""

    id: int
    path: str
    url: str
    empty: bool
    pushes: tuple[datetime, ...]
    mirrors: tuple[Mirror, ...]

    @property
    def enabled(self) -> list[Mirror]:
        """Its mirrors that are switched on."""
        return [mirror for mirror in self.mirrors if mirror.enabled]

    def waits_since(self) -> datetime | None:
        """Return when the oldest change known not to have arrived was pushed, None when none is.

        Not the newest one: a project that is pushed to every few minutes would never be late.
        """
        reached = [m.mirrored_all_until for m in self.enabled if m.mirrored_all_until is not None]
        waiting = [at for at in self.pushes if not reached or at > max(reached)]
        return min(waiting, default=None)


def listing_problems(by_page: Sequence[int], by_id: Sequence[int], total: int | None) -> list[str]:
    """Whether a listing is whole: page by page, and by ids above the last one seen, are one set.

    Pages can end early without an error (a proxy that drops `Link`, a client that reads one page);
    asking for higher ids cannot. `total` is X-Total, which GitLab leaves out above 10,000.
    """
    problems = []
    if lost := sorted(set(by_id) - set(by_page)):
        problems.append(f"the pages lack {len(lost)} projects, among them number {lost[0]}")
    if more := sorted(set(by_page) - set(by_id)):
        problems.append(f"the ids lack {len(more)} projects, among them number {more[0]}")
    if total is not None and total != len(set(by_id)):
        problems.append(f"GitLab counts {total} projects and lists {len(set(by_id))}")
    return problems


def mirror_problems(projects: Iterable[Project], destination: str) -> list[str]:
    """Return what is wrong with the mirrors that are set up, project by project.

    Each that is not empty needs one that is enabled, has all branches, lies below `destination`
    (a URL) under the project's own name, and is nobody else's.
    """
    problems = []
    owners: dict[str, list[str]] = defaultdict(list)
    for project in projects:
        for url in {_plain(mirror.url) for mirror in project.enabled}:
            owners[url].append(project.path)
        problems += [f"{project.path}: {found}" for found in _set_up(project, destination)]
    problems += [
        f"{' and '.join(sorted(paths))} have one mirror, {url}"
        for url, paths in sorted(owners.items())
        if len(paths) > 1
    ]
    return problems


def _set_up(project: Project, destination: str) -> list[str]:
    if not project.enabled:
        return (
            [] if project.empty else ["its mirror is disabled" if project.mirrors else "no mirror"]
        )
    wanted = _plain(f"{destination}/{project.path.rsplit('/', 1)[-1]}")
    below = [m for m in project.enabled if _plain(m.url).startswith(_plain(destination) + "/")]
    if not below:
        return [f"no mirror below {destination}"]
    found = [
        f"its mirror is {mirror.url}, not {wanted}"
        for mirror in below
        if _plain(mirror.url) != wanted
    ]
    if all(mirror.only_protected_branches for mirror in below):
        found.append("only its protected branches are mirrored")
    return found


def late_problems(projects: Iterable[Project], now: datetime, within: timedelta) -> list[str]:
    """Return the projects whose mirror fails, never ran, hangs, or lacks a change for too long."""
    return [
        f"{project.path}: {problem}"
        for project in projects
        if project.enabled and not project.empty
        if (problem := _late(project, now, within))
    ]


def _late(project: Project, now: datetime, within: timedelta) -> str:
    waits = project.waits_since()
    for mirror in project.enabled:
        last = mirror.last_successful_update_at
        success = (
            "never succeeded" if last is None else f"last success {last:%Y-%m-%d %H:%M:%S} UTC"
        )
        if mirror.update_status in _FAILING:
            return f"{mirror.update_status}, {success}: {_short(mirror.last_error)}"
        started = mirror.last_update_started_at
        if mirror.update_status == "started" and started and now - started > LONGEST_ATTEMPT:
            return f"an attempt hangs since {started:%H:%M:%S} UTC, {success}"
        # One that was set up a moment ago is given the time that a change is given.
        if last is None and (waits is None or now - waits > within):
            return f"{success} (update_status {mirror.update_status})"
    if waits is not None and now - waits > within:
        return f"a push of {(now - waits).total_seconds():.0f} s ago has not arrived"
    return ""


def in_flight(project: Project, now: datetime, within: timedelta) -> bool:
    """Whether its refs may still differ: a push has not been mirrored, and need not have been."""
    waits = project.waits_since()
    return waits is not None and now - waits <= within


def _plain(url: str) -> str:
    """Host and path, in one form: a port or a .git is written or not."""
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2].lower()
    return f"{split.scheme}://{host}{split.path.rstrip('/').removesuffix('.git')}"


def without_credentials(url: str) -> str:
    """Return `url` without what GitLab masks or a careless hand left in it."""
    split = urlsplit(url)
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()


def _short(error: str) -> str:
    one_line = " ".join(error.split())
    return one_line if len(one_line) <= _MOST_OF_AN_ERROR else one_line[:_MOST_OF_AN_ERROR] + " …"
