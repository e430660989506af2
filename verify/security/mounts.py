"""Where the secrets of running tasks are mounted, and on what, in each task's own namespace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docker import DockerClient

from fixtures.cluster.cluster import Cluster, Node

FOLDER: Final = "/run/secrets"
_SECONDS: Final = 30.0
_LABEL: Final = '{{index .Config.Labels "com.docker.swarm.%s.name"}}'
_READ: Final = f"""
docker ps -q --filter label=com.docker.swarm.service.name | xargs -r docker inspect \\
  --format '{{{{.State.Pid}}}} {_LABEL % "task"} {_LABEL % "service"}' | while read -r pid name; do
  sed "s|^|$name |" "/proc/$pid/mountinfo" 2>/dev/null
done
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of one task, by mountinfo (proc_pid_mountinfo(5))."""

    task: str
    service: str
    target: str
    kind: str
    options: tuple[str, ...]


def parse(text: str) -> list[Mount]:
    """Read lines of `task service` and what follows in mountinfo."""
    found = []
    for line in text.splitlines():
        task, service, *fields = line.split()
        if "-" not in fields:
            continue
        kind = fields[fields.index("-") + 1]
        found.append(Mount(task, service, fields[4], kind, tuple(fields[5].split(","))))
    return found


def mounted(cluster: Cluster) -> list[Mount]:
    """Return every mount of every running task. Raises `CutoverError`."""

    def read(node: Node) -> list[Mount]:
        return parse(node.run(_READ, timeout=_SECONDS).stdout)

    return [mount for found in cluster.on_all(read).values() for mount in found]


def targets(services: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return service → where its secrets are to be, by its specification (Engine API, Service)."""
    return {
        service["Spec"]["Name"]: [
            name if name.startswith("/") else f"{FOLDER}/{name}"
            for secret in service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets") or ()
            if (name := (secret.get("File") or {}).get("Name"))
        ]
        for service in services
    }


def wanted(cluster: Cluster) -> dict[str, list[str]]:
    """Ask the leader for `targets`."""

    def ask(api: DockerClient) -> dict[str, list[str]]:
        return targets(api.api.services())

    return cluster.leader().ask(ask)


def problems(where: Mapping[str, Sequence[str]], seen: Sequence[Mount]) -> tuple[list[str], int]:
    """Say which secret is not a read-only file in memory below /run/secrets, and count all seen.

    What a service mounts there from a disk is one too, whatever its specification calls it.
    """
    found, checked = [], 0
    by_task: dict[tuple[str, str], dict[str, Mount]] = {}
    for mount in seen:
        by_task.setdefault((mount.task, mount.service), {})[mount.target] = mount
    for (task, service), mounts in sorted(by_task.items()):
        for target in where.get(service, ()):
            checked += 1
            at_target = mounts.get(target)
            if not target.startswith(f"{FOLDER}/"):
                found.append(f"{task} has a secret at {target}")
            elif at_target is None:
                found.append(f"{task} has no mount at {target}")
            elif at_target.kind != "tmpfs":
                found.append(f"{task} has {target} on {at_target.kind}, not in memory")
            elif "ro" not in at_target.options:
                found.append(f"{task} may write to {target}")
        more = [
            mount
            for mount in mounts.values()
            if f"{mount.target}/".startswith(f"{FOLDER}/")
            and mount.kind != "tmpfs"
            and mount.target not in where.get(service, ())
        ]
        checked += len(more)
        found += [f"{task} has {each.target} on {each.kind}, not in memory" for each in more]
    return found, checked
