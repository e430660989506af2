"""What is done to a project's repository, so that its arrival on the mirror can be watched."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve
from fixtures.waiting import Pending, Waited, how_long
from verify.mirror import git_client
from verify.mirror.refs import Refs, Unread, difference
from verify.mirror.site import Site

BRANCH: Final = "cutover-probe"
_IDENTITY: Final = "-c user.name=cutover -c user.email=cutover@example.invalid"
CLONE: Final = f"""
git clone --quiet --no-tags "$1" clone && cd clone
commit() {{ git {_IDENTITY} commit --quiet --allow-empty "$@"; }}
tag() {{ git {_IDENTITY} tag "$@"; }}
"""
#: Each builds on those before it; `$2` tells this run's from another's.
CHANGES: Final = {
    "a new branch with a commit": f"""
        git switch --quiet --create {BRANCH}-$2 && commit -m "probe $2"
        git push --quiet origin HEAD""",
    "a tag with a message": f"""
        tag -m "probe $2" -a {BRANCH}-$2 origin/{BRANCH}-$2
        git push --quiet origin refs/tags/{BRANCH}-$2""",
    "a forced push that rewrites the branch": f"""
        git switch --quiet --create {BRANCH}-$2 origin/{BRANCH}-$2
        commit --amend -m "probe $2, written again"
        git push --quiet --force origin HEAD""",
    "another branch of what is merged already": f"""
        git push --quiet origin HEAD:refs/heads/{BRANCH}-merged-$2""",
    "the deletion of that branch": f"""
        git push --quiet origin :refs/heads/{BRANCH}-merged-$2""",
}
#: Takes them away again; on the mirror ($3) GitLab may have been faster.
CLEAN: Final = f"""
git init --quiet --bare x
for url in "$1" "$3"; do
  git ls-remote --refs "$url" "refs/*/{BRANCH}-*$2" | cut -f 2 | sed 's/^/:/' >refs
  [ ! -s refs ] || git -C x push --quiet "$url" $(cat refs) || [ "$url" = "$3" ]
done
"""


@dataclass
class Probe:
    """A project that may be pushed to; `run` marks this run's branches and tags."""

    cluster: Cluster
    site: Site
    path: str
    run: str
    pushed: float = field(default=0.0, init=False)

    @property
    def source(self) -> str:
        """URL of the project."""
        return self.site.source_of(self.path)

    @property
    def copy(self) -> str:
        """URL of its mirror."""
        return self.site.copy_of(self.path)

    def change(self, what: str) -> None:
        """Push one of `CHANGES`. Raises what `Node.run` does."""
        script = CLONE + CHANGES[what]
        git_client.run(self.cluster, self.site, script, arguments=[self.source, self.run])
        self.pushed = time.monotonic()

    def refs(self) -> tuple[Refs | Unread, Refs | Unread]:
        """Branches and tags of the project and of its mirror."""
        found = git_client.refs_of(self.cluster, self.site, [self.source, self.copy])
        return found[self.source], found[self.copy]

    def arrival(self, within: float, what: str) -> Waited:
        """Measure from the push on until both have the same branches and tags."""

        def same() -> bool | Pending:
            source, copy = self.refs()
            if isinstance(source, Unread) or isinstance(copy, Unread):
                return Pending(f"cannot be read: {source if isinstance(source, Unread) else copy}")
            found = difference(source, copy)
            surplus = [ref for ref in found.surplus if self.run in ref]
            wrong = [*found.problems, *(f"still has {ref}" for ref in surplus)]
            return Pending(f"the mirror {' and '.join(wrong)}") if wrong else True

        return how_long(same, within=within, since=self.pushed, every=0.5, what=f"{what} arrives")

    def clean(self) -> None:
        """Remove this run's branches and tags from both; the mirror keeps unmerged ones."""
        git_client.run(self.cluster, self.site, CLEAN, arguments=[self.source, self.run, self.copy])


def probe_of(cluster: Cluster, site: Site, run: str) -> Probe:
    """Return the project that may be pushed to.

    Raises `CannotProve` if the inventory names none.
    """
    if not site.entry.probe:
        raise CannotProve(
            "the inventory names no project that may be pushed to",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `mirror.probe`.",
        )
    return Probe(cluster, site, site.entry.probe, run)
