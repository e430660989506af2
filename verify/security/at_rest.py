"""What Swarm's managers keep on their disks: the Raft log and the key that it is sealed with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fixtures.cluster.cluster import Cluster, Node
from verify.security.search import contains, search
from verify.security.secret_values import Secret

_STORE: Final = "find $(docker info --format '{{.DockerRootDir}}')/swarm -type f -print0"
_KEY: Final = "$(docker info --format '{{.DockerRootDir}}')/swarm/certificates/swarm-node.key"
_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Store:
    """One manager's store.

    `leaks` name the files with a secret in clear; `control` the files in which the manager's own
    address was found, by the same search; `logs` counts the files of the Raft log. `sealed_by` is
    what the headers of the node's key say: `raft-dek` is the key of the log (swarmkit, package
    ca), `kek-version` is there when the key itself is locked. `key_mode` is the key file's
    `mode owner`.
    """

    manager: str
    leaks: tuple[str, ...]
    control: tuple[str, ...]
    logs: int
    sealed_by: frozenset[str]
    key_mode: str

    def problems(self) -> list[str]:
        """Say what lets somebody without root read a secret, or anybody without the key."""
        found = [f"{leak} on {self.manager}" for leak in self.leaks]
        if self.key_mode != "600 root":
            found.append(f"{self.manager}: the key of its Raft log has mode {self.key_mode}")
        return found

    def doubts(self) -> list[str]:
        """Say why that nothing was found proves nothing."""
        found = []
        if not self.logs:
            found.append(f"{self.manager}: no file of a Raft log was read")
        if not self.control:
            found.append(f"{self.manager}: its own address, which is there in clear, was not found")
        if "raft-dek" not in self.sealed_by:
            found.append(f"{self.manager}: its key names no key of a Raft log")
        return found


def stores(cluster: Cluster, secrets: list[Secret]) -> list[Store]:
    """Read the store of every manager. Raises `CutoverError`."""
    addresses = {node.hostname: node.address for node in cluster.snapshot().nodes}

    def read(node: Node) -> Store:
        found = search(node, _STORE, secrets)
        # The engine writes where it listens into state files of its own, in clear.
        control, _ = contains(node, _STORE, addresses[node.name])
        logs = node.run(f"{_STORE} | tr '\\0' '\\n' | grep -c '/raft/'", check=False).stdout
        key = node.run(f"cd /; stat -c '%a %U' {_KEY}; sed '/^$/q' {_KEY}", timeout=_SECONDS).stdout
        mode, _, text = key.partition("\n")
        return Store(
            node.name,
            tuple(f"{', '.join(names)} in {path}" for path, names in found.files.items()),
            tuple(control),
            int(logs or 0),
            headers(text),
            mode,
        )

    return list(cluster.on_all(read, cluster.managers).values())


def headers(text: str) -> frozenset[str]:
    """Return the names of the headers of a PEM file (RFC 1421), never what they say."""
    return frozenset(re.findall(r"^([A-Za-z-]+):", text, re.MULTILINE))


def autolock(cluster: Cluster) -> bool:
    """Whether a manager that starts waits for somebody to bring the key."""
    spec = cluster.leader().ask(lambda api: api.api.inspect_swarm())["Spec"]
    return bool((spec.get("EncryptionConfig") or {}).get("AutoLockManagers"))


def statement(locked: bool, with_swap: Sequence[str]) -> str:
    """Say what the seal is worth."""
    said = (
        "Secrets at rest: autolock is on, so a manager's disk alone opens nothing, and a manager "
        "that starts waits for `docker swarm unlock`: it does not come back by itself."
        if locked
        else "Secrets at rest: the managers' Raft log is encrypted, and autolock is off: the key "
        "lies beside it, so who has a manager's disk, or root there, has the secrets. With "
        "autolock a manager that lost its power waits for a person, against automatic recovery."
    )
    if with_swap:
        said += f" Secrets in memory may reach the swap of {', '.join(sorted(with_swap))}."
    return said


def with_swap(cluster: Cluster) -> list[str]:
    """Return the nodes that swap to a disk: what is in memory may be written there."""
    lines = cluster.on_all(lambda node: node.run("tail -n +2 /proc/swaps").stdout.split())
    return [name for name, found in lines.items() if found]
