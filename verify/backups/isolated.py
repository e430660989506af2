"""A fresh instance to restore into: no network, no volume of anyone's, and an end of its own."""

from __future__ import annotations

import contextlib
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from fixtures.cluster.cluster import Node
from fixtures.cluster.ssh import Completed
from fixtures.errors import CutoverError
from fixtures.stacks.catalogue import OWNED_LABEL
from fixtures.waiting import NeverTrue, Pending, eventually

#: It ends by itself after so long, also when the harness was killed; its volumes go with it.
LIFETIME_SECONDS: Final = 900
_START_SECONDS: Final = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Container:
    """A running container on `node`, by its name or id."""

    node: Node
    name: str

    def command(self, *arguments: str) -> str:
        """Return the shell command that runs `arguments` in it, with standard input open."""
        return shlex.join(["docker", "exec", "-i", self.name, *arguments])

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        timeout: float = 30.0,
        check: bool = True,
    ) -> Completed:
        """Run `arguments` in it; raises what `Node.run` does. `timeout` in seconds."""
        return self.node.run(
            self.command(*arguments), stdin=stdin or b"", timeout=timeout, check=check
        )


@contextlib.contextmanager
def isolated(
    node: Node,
    image: str,
    command: Sequence[str],
    *,
    environment: str = "",
    mounts: Sequence[str] = (),
    lifetime: float = LIFETIME_SECONDS,
) -> Iterator[Container]:
    """Run `command` in a container of `image` that nothing can reach; it goes in the end.

    `environment` is lines of NAME=value, which no command line shows; `mounts` are as `docker run
    --volume` takes them. It ends by itself after `lifetime` seconds. Raises what `Node.run` does.
    """
    name = f"cutover-restore-{secrets.token_hex(4)}"
    start = [
        *("docker", "run", "--detach", "--rm", "--name", name, "--network", "none"),
        *("--pull", "never", "--label", f"{OWNED_LABEL}=true", "--env-file", "/dev/stdin"),
        *(f"--volume={mount}" for mount in mounts),
        *("--entrypoint", "timeout", image, "-k", "5", f"{lifetime:.0f}", *command),
    ]
    try:
        node.run(shlex.join(start), stdin=environment.encode(), timeout=_START_SECONDS)
        yield Container(node, name)
    finally:
        # --rm takes the anonymous volumes along, and the lifetime ends what cannot be reached now.
        with contextlib.suppress(CutoverError):
            node.run(f"docker rm --force --volumes {name}", timeout=_START_SECONDS, check=False)


def started(look: Callable[[], T | Pending], container: Container, *, what: str, log: str) -> T:
    """Wait until the server in a container is there as `look` sees it; `log` prints its last words.

    Raises `CutoverError` when it is not: a slow node says nothing of the backup.
    """
    try:
        return eventually(
            look,
            within=_START_SECONDS,
            what=what,
            diagnose=lambda: container.node.run(log, check=False).stdout,
        )
    except NeverTrue as late:
        raise CutoverError(str(late), where=f"node {container.node.name}") from late
