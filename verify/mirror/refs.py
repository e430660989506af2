"""Branches and tags of two repositories, as `git ls-remote` lists them, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Ref → object. What GitLab mirrors: refs/heads and refs/tags, no merge requests, no pull requests.
Refs = Mapping[str, str]
_MOST_NAMED = 3


class Unread(str):
    """Why a repository's refs could not be read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Refs that the copy lacks, has otherwise, and has beyond the source's."""

    missing: tuple[str, ...]
    other: tuple[str, ...]
    surplus: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """What the copy lacks or has otherwise.

        A surplus ref is none: GitLab keeps on the mirror what was deleted at the source unless its
        default branch holds the commit (Gitaly's update_remote_mirror.go).
        """
        found = []
        if self.missing:
            found.append(f"lacks {_named(self.missing)}")
        if self.other:
            found.append(f"has another commit at {_named(self.other)}")
        return found


def difference(source: Refs, copy: Refs) -> Difference:
    """Compare a copy's refs with its source's."""
    return Difference(
        missing=tuple(sorted(set(source) - set(copy))),
        other=tuple(sorted(ref for ref in source if ref in copy and copy[ref] != source[ref])),
        surplus=tuple(sorted(set(copy) - set(source))),
    )


def parse(output: str) -> dict[str, dict[str, str] | Unread]:
    """Read the output of `git_client.LIST_REFS`: URL → refs, or why they could not be read.

    A block a repository: `url STATUS URL`, then lines of `ref OBJECT NAME` or `said TEXT`.
    """
    found: dict[str, dict[str, str] | Unread] = {}
    url = ""
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "url":
            status, _, url = rest.partition(" ")
            found[url] = {} if status == "0" else Unread("")
        elif kind == "ref" and isinstance(refs := found[url], dict):
            at, _, name = rest.partition("\t")
            refs[name] = at
        elif kind == "said" and isinstance(said := found[url], Unread):
            found[url] = Unread(f"{said} {rest}".strip())
    return found


def _named(refs: tuple[str, ...]) -> str:
    names = [ref.removeprefix("refs/").removeprefix("heads/") for ref in refs]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
