"""What happens to local copies: a mistake empties the folder, a dying disk fills it with noise."""

from __future__ import annotations

import shlex
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve, CutoverError
from verify.backups.store import Store

_DO: Final = {
    "emptied": "find . -type f -delete; find . -type l -delete",
    "overwritten with noise": (
        "find . -type f | while read -r file; do"
        ' head -c "$(stat -c %s "$file")" /dev/urandom >"$file.noise" && cat "$file.noise" >"$file"'
        ' && rm "$file.noise"; done'
    ),
}
_SECONDS: Final = 60.0


def damage(cluster: Cluster, store: Store, how: str) -> str:
    """Do it to every file in `store`; returns when, as a snapshot's name would say it.

    Raises `CannotProve` on servers: their copies are not ours to lose.
    """
    if not cluster.is_twin:
        raise CannotProve("a server's backups are not damaged", where=f"cluster {cluster.name}")
    if how not in _DO:
        raise CutoverError(f"knows {', '.join(_DO)}, not {how!r}", where="damage to backups")
    when = f"{store.now():%Y%m%d-%H%M%S}"
    store.node.run(f"cd {shlex.quote(store.path)} && {{ {_DO[how]}; }}", timeout=_SECONDS)
    return when
