"""Git commands run inside the cluster: in a container that has git and reaches both hosts.

The tokens go there on standard input, into a file in memory that only the script can read, and go
with it: they are in no argument, no environment and no output.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.ssh import Completed
from fixtures.errors import CutoverError
from verify.mirror.refs import Unread, parse
from verify.mirror.site import Site

LIST_SECONDS: Final = 120.0
_SIDE_BY_SIDE: Final = 4
_END: Final = "."

PRELUDE = f"""
umask 077
dir=$(mktemp -d /dev/shm/cutover.XXXXXX) || exit 9
work=$(mktemp -d /tmp/cutover.XXXXXX) || exit 9
trap 'rm -rf "$dir" "$work"' EXIT
while IFS= read -r line && [ "$line" != {_END} ]; do printf '%s\\n' "$line"; done >"$dir/.gitconfig"
export HOME=$dir GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
cd "$work"
"""

#: Reads URLs, a line each. With protocol 0 the answer to the first request has all refs.
LIST_REFS = f"""
tr '\\n' '\\0' | xargs -0 -P {_SIDE_BY_SIDE} -n 1 sh -c '
out=$(mktemp "$PWD/out.XXXXXX")
git -c protocol.version=0 ls-remote --refs --heads --tags "$1" >"$out.refs" 2>"$out.said"
{{ echo "url $? $1"; sed "s/^/ref /" "$out.refs"; sed "s/^/said /" "$out.said"; }} >"$out"
rm "$out.refs" "$out.said"' _
cat out.*
"""


def run(
    cluster: Cluster,
    site: Site,
    script: str,
    *,
    arguments: Sequence[str] = (),
    data: str = "",
    timeout: float = 60.0,
) -> Completed:
    """Run a shell script that may use git, with `arguments` ($1, …) and `data` as its input.

    It starts in an empty folder that goes with it. Raises what `Node.run` does.
    """
    node, task = cluster.a_task(site.entry.git_in)
    command = ["docker", "exec", "-i", task.container_id, "sh", "-ec", PRELUDE + script, "_"]
    sent = f"{site.git_config()}{_END}\n{data}"
    return node.run(shlex.join([*command, *arguments]), stdin=sent.encode(), timeout=timeout)


def refs_of(
    cluster: Cluster, site: Site, urls: Iterable[str]
) -> dict[str, dict[str, str] | Unread]:
    """Return URL → branches and tags of each repository, or why they could not be read.

    Raises what `run` does, and `CutoverError` when a repository is not in the answer.
    """
    wanted = list(urls)
    data = "".join(f"{url}\n" for url in wanted)
    found = parse(run(cluster, site, LIST_REFS, data=data, timeout=LIST_SECONDS).stdout)
    if lost := set(wanted) - set(found):
        raise CutoverError(
            f"git ls-remote gave no answer of {len(lost)} repositories", where=site.entry.git_in
        )
    return found
