"""A project restored from its mirror alone, held against what GitLab has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.cluster import Cluster
from verify.mirror import git_client
from verify.mirror.site import Site

RESTORE_SECONDS: Final = 300.0
#: What is told of a clone: its refs, and every object that they reach. `fsck` checks every object's
#: hash and links; from a clone nothing dangles.
SCRIPT: Final = """
told() {
  git -C "$1" fsck --full --strict 2>&1 | grep -v '^notice: ' | sed "s/^/$1 fsck /"
  git -C "$1" for-each-ref --format="$1 ref %(refname) %(objectname)" refs/heads refs/tags
}
objects() {
  git -C "$1" rev-list --objects $(git -C source for-each-ref --format='%(objectname)' \
    refs/heads refs/tags) 2>&1 | cut -c -40 | sort >"$1.objects"
  echo "$1 objects $(wc -l <"$1.objects") $(sha256sum <"$1.objects")"
}
if ! said=$(git clone --quiet --mirror "$1" copy 2>&1); then
  echo "copy fsck it cannot be cloned: $(echo "$said" | tail -n 1)"
  git init --quiet --bare copy
fi
git clone --quiet --mirror "$2" source
told copy
told source
objects copy
objects source
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What is wrong with a clone of the mirror, and how many objects were compared."""

    problems: list[str]
    objects: int


def restored(cluster: Cluster, site: Site, path: str) -> Restored:
    """Clone the project's mirror, check it, and compare its history with the project's own.

    Raises what `Node.run` does when the project itself cannot be cloned.
    """
    done = git_client.run(
        cluster,
        site,
        SCRIPT,
        arguments=[site.copy_of(path), site.source_of(path)],
        timeout=RESTORE_SECONDS,
    )
    return judge(path, done.stdout)


def judge(path: str, output: str) -> Restored:
    """Read what the script told (see `SCRIPT`)."""
    lines = [line.split(" ", 2) for line in output.splitlines()]
    fsck = {
        who: [what for w, kind, what in lines if (w, kind) == (who, "fsck")]
        for who in ("source", "copy")
    }
    # What an old import has wrong in GitLab itself, a mirror has as well.
    problems = [f"{path}: fsck: {what}" for what in fsck["copy"] if what not in fsck["source"]]
    refs = {
        who: dict(what.split(" ") for w, kind, what in lines if (w, kind) == (who, "ref"))
        for who in ("source", "copy")
    }
    objects = {who: what for who, kind, what in lines if kind == "objects"}
    problems += [
        f"{path}: the clone's {ref} is {refs['copy'].get(ref, 'missing')}, not {at}"
        for ref, at in refs["source"].items()
        if refs["copy"].get(ref) != at
    ]
    if objects.get("copy") != objects.get("source"):
        told = {who: what.split(" ")[0] for who, what in objects.items()}
        problems.append(f"{path}: {told.get('copy')} objects, the source has {told.get('source')}")
    return Restored(problems, int(objects.get("source", "0").split(" ")[0]))


def spread(paths: Sequence[str], count: int) -> list[str]:
    """Return `count` of `paths` (or all), evenly spread, the first and the last among them."""
    if count >= len(paths) or count < 2:
        return list(paths[: max(count, 0)])
    return [paths[round(i * (len(paths) - 1) / (count - 1))] for i in range(count)]
