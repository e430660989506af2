"""Whether the mirror holds what GitLab holds, project by project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from verify.mirror.projects import Project
from verify.mirror.refs import Difference, Refs, Unread, difference


@dataclass(frozen=True, slots=True)
class Compared:
    """`problems` by project; `kept`: refs that only the mirror has; `waiting`: still under way."""

    problems: list[str]
    kept: int
    waiting: int


def compare(
    projects: Sequence[Project],
    refs: Mapping[str, Refs | Unread],
    copy_of: Callable[[str], str],
    still_waits: Callable[[Project], bool],
) -> Compared:
    """Compare each project's refs with those of its own mirror (`copy_of` its path).

    `refs` has both, by URL. `still_waits` is asked of those that differ only.
    """
    problems: list[str] = []
    kept = waiting = 0
    for project in projects:
        source, copy = refs[project.url], refs[copy_of(project.path)]
        if isinstance(source, Unread) or isinstance(copy, Unread):
            side, said = ("source", source) if isinstance(source, Unread) else ("mirror", copy)
            problems.append(f"{project.path}: its {side} cannot be read: {said}")
            continue
        found: Difference = difference(source, copy)
        kept += len(found.surplus)
        if not found.problems:
            continue
        if still_waits(project):
            waiting += 1
            continue
        what = "is empty" if source and not copy else " and ".join(found.problems)
        problems.append(f"{project.path}: the mirror {what}")
    return Compared(problems, kept, waiting)
