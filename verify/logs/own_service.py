"""A service of our own, one idle task a node: what it says may be long, and it may die."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from verify.logs.central import collector
from verify.logs.speaking import Speaker, speakers

LABEL: Final = "cutover.speaks"
#: It ends by itself after so long, also when the harness was killed.
_LIFETIME_SECONDS: Final = 900
_RUNNING_SECONDS: Final = 60.0
_REMOVED_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class OwnService:
    """It runs on every node that takes tasks; `speakers` by node."""

    cluster: Cluster
    name: str
    speakers: Mapping[str, Speaker]

    def remove(self) -> None:
        """Remove it at once, its containers being killed. Does not wait."""
        self.cluster.leader().run(f"docker service rm {self.name}", timeout=_COMMAND_SECONDS)

    def gone(self) -> bool | Pending:
        """Return True when no node has anything of its containers any more, their logs included."""
        listed = self.cluster.on_all(
            lambda node: node.run(
                f"docker ps --all --quiet --filter label=com.docker.swarm.service.name={self.name}",
                timeout=_COMMAND_SECONDS,
            ).stdout.split()
        )
        left = [node for node, containers in listed.items() if containers]
        return Pending(f"containers left on {', '.join(left)}") if left else True


@contextlib.contextmanager
def own_service(cluster: Cluster, log_options: Mapping[str, str]) -> Iterator[OwnService]:
    """Have it run on every node, with these options of the json-file driver; it goes in the end.

    Its image is the collector's, which every node has. Raises `CutoverError` and `NeverTrue`.
    """
    name = f"cutover-speaks-{secrets.token_hex(4)}"
    leader = cluster.leader()
    image = leader.ask(lambda api: api.api.inspect_service(collector(cluster)))["Spec"][
        "TaskTemplate"
    ]["ContainerSpec"]["Image"]
    options = " ".join(f"--log-opt {key}={value}" for key, value in log_options.items())
    driver = f"--log-driver json-file {options}" if options else ""
    try:
        left = f"docker service ls --quiet --filter label={LABEL}"
        leader.run(
            f"for id in $({left}); do docker service rm $id; done; docker service create --detach"
            f" --quiet --no-resolve-image --name {name} --label {LABEL}=true --mode global {driver}"
            " --restart-condition none --stop-signal KILL --user 0 --no-healthcheck"
            f" --entrypoint sleep {image} {_LIFETIME_SECONDS}",
            timeout=_COMMAND_SECONDS,
        )
        yield OwnService(cluster, name, _running(cluster, name))
    finally:
        with contextlib.suppress(CutoverError):  # removed by the scenario, or ends by itself
            leader.run(f"docker service rm {name}", timeout=_COMMAND_SECONDS, check=False)


def _running(cluster: Cluster, name: str) -> dict[str, Speaker]:
    wanted = [node.hostname for node in cluster.snapshot().nodes if node.availability == "active"]

    def look() -> dict[str, Speaker] | Pending:
        found = cluster.on_all(lambda node: speakers(node, name))
        missing = [node for node in wanted if not found.get(node)]
        if missing:
            return Pending(f"no task on {', '.join(missing)}")
        return {node: containers[0] for node, containers in found.items() if containers}

    return eventually(look, within=_RUNNING_SECONDS, every=0.5, what=f"{name} on every node")
