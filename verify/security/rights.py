"""What containers may do beyond Docker's defaults: by the engine's word and by the kernel's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docker import DockerClient

from fixtures.cluster.cluster import Cluster, Node

#: Docker's defaults (moby, oci/caps/defaults.go), by their numbers in linux/capability.h.
DEFAULT_CAPABILITIES: Final = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
_NAMES: Final = {
    0: "CHOWN", 1: "DAC_OVERRIDE", 2: "DAC_READ_SEARCH", 3: "FOWNER", 4: "FSETID", 5: "KILL",
    6: "SETGID", 7: "SETUID", 8: "SETPCAP", 9: "LINUX_IMMUTABLE", 10: "NET_BIND_SERVICE",
    11: "NET_BROADCAST", 12: "NET_ADMIN", 13: "NET_RAW", 14: "IPC_LOCK", 15: "IPC_OWNER",
    16: "SYS_MODULE", 17: "SYS_RAWIO", 18: "SYS_CHROOT", 19: "SYS_PTRACE", 20: "SYS_PACCT",
    21: "SYS_ADMIN", 22: "SYS_BOOT", 23: "SYS_NICE", 24: "SYS_RESOURCE", 25: "SYS_TIME",
    26: "SYS_TTY_CONFIG", 27: "MKNOD", 28: "LEASE", 29: "AUDIT_WRITE", 30: "AUDIT_CONTROL",
    31: "SETFCAP", 32: "MAC_OVERRIDE", 33: "MAC_ADMIN", 34: "SYSLOG", 35: "WAKE_ALARM",
    36: "BLOCK_SUSPEND", 37: "AUDIT_READ", 38: "PERFMON", 39: "BPF", 40: "CHECKPOINT_RESTORE",
}  # fmt: skip
_SOCKETS: Final = ("docker.sock", "containerd.sock")
#: Of a host's folders those through which whoever mounts them has its Docker socket as well.
_ABOVE_SOCKETS: Final = ("/", "/run", "/var", "/var/run", "/run/containerd")
_NAMESPACES: Final = {
    "NetworkMode": "host network",
    "PidMode": "host PID namespace",
    "IpcMode": "host IPC namespace",
    "UTSMode": "host UTS namespace",
    "UsernsMode": "host user namespace",
}
_SECONDS: Final = 20.0
_STATUS: Final = """
while read -r pid; do
  sed -n "s/^\\(Uid\\|CapBnd\\|Seccomp\\):/$pid \\1/p" "/proc/$pid/status" 2>/dev/null
done
true
"""


@dataclass(frozen=True, slots=True)
class Process:
    """The first process of a container, as the kernel has it: effective user, bounding set."""

    uid: int
    capabilities: frozenset[int]
    filtered: bool


@dataclass(frozen=True, slots=True)
class Container:
    """One running container: its service's short name, or its own; what it has, word by word."""

    service: str
    name: str
    node: str
    rights: frozenset[str]


def rights_of(
    details: Mapping[str, Any], process: Process | None, volumes: Mapping[str, str]
) -> frozenset[str]:
    """Return what a container has beyond the defaults; `details` as the engine inspects it.

    `volumes`: those of its node that are a path of the host by another name → that path.

    The words are those of the feature's table: `root`, `privileged`, `capability NET_ADMIN`,
    `host network`, `Docker socket`, `mount /path`, `device /dev/x`, `no seccomp filter`.
    """
    host = details["HostConfig"]
    found = set()
    if host.get("Privileged"):
        found.add("privileged")
    found |= {f"capability {name.removeprefix('CAP_')}" for name in host.get("CapAdd") or ()}
    found |= {words for key, words in _NAMESPACES.items() if host.get(key) == "host"}
    found |= {f"device {device['PathOnHost']}" for device in host.get("Devices") or ()}
    found |= {f"security option {o}" for o in host.get("SecurityOpt") or () if "unconfined" in o}
    for mount in details.get("Mounts") or ():
        if mount.get("Type") == "bind":
            found.add(mount_right(str(mount["Source"])))
        elif path := volumes.get(str(mount.get("Name"))):
            found.add(mount_right(path))
    if process is None:
        return frozenset(found)
    if process.uid == 0:
        found.add("root")
    extra = process.capabilities - DEFAULT_CAPABILITIES
    found |= {f"capability {_NAMES.get(number, number)}" for number in extra}
    if not process.filtered:
        found.add("no seccomp filter")
    return frozenset(found)


def mount_right(source: str) -> str:
    """Return what a mount of the host's path `source` is called in the table."""
    if source.endswith(_SOCKETS) or source.rstrip("/") in {p.rstrip("/") for p in _ABOVE_SOCKETS}:
        return "Docker socket"
    return f"mount {source}"


def of_the_host(volumes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return volume → path of the host, of those that mount one (`o: bind`, or a disk of its own).

    The engine calls them volumes like any other, with a source below its own folder.
    """
    devices = {v["Name"]: str((v.get("Options") or {}).get("device", "")) for v in volumes}
    return {name: device for name, device in devices.items() if device.startswith("/")}


def parse_status(text: str) -> dict[int, Process]:
    """Read lines of `pid field value...` of /proc/pid/status (proc(5))."""
    fields: dict[int, dict[str, list[str]]] = {}
    for line in text.splitlines():
        pid, name, *values = line.split()
        fields.setdefault(int(pid), {})[name] = values
    return {
        pid: Process(
            int(found["Uid"][1]),
            frozenset(n for n in range(64) if int(found["CapBnd"][0], 16) >> n & 1),
            found.get("Seccomp", ["0"])[0] != "0",
        )
        for pid, found in fields.items()
        if {"Uid", "CapBnd"} <= found.keys()
    }


def containers(cluster: Cluster) -> list[Container]:
    """Look at every running container of every node, of the Swarm or not. Raises `CutoverError`."""
    services = {service.name: service.short_name for service in cluster.snapshot().services}

    def read(node: Node) -> list[Container]:
        every, volumes = node.ask(_running)
        pids = "\n".join(str(details["State"]["Pid"]) for details in every) + "\n"
        status = parse_status(node.run(_STATUS, stdin=pids.encode(), timeout=_SECONDS).stdout)
        return [
            Container(
                services.get(
                    (details["Config"].get("Labels") or {}).get(
                        "com.docker.swarm.service.name", ""
                    ),
                    details["Name"].removeprefix("/"),
                ),
                details["Name"].removeprefix("/"),
                node.name,
                rights_of(details, status.get(details["State"]["Pid"]), volumes),
            )
            for details in every
        ]

    return [container for found in cluster.on_all(read).values() for container in found]


def _running(api: DockerClient) -> tuple[list[dict[str, Any]], dict[str, str]]:
    details = [api.api.inspect_container(c["Id"]) for c in api.api.containers()]
    return details, of_the_host(api.api.volumes()["Volumes"] or ())


def problems(seen: Sequence[Container], allowed: Iterable[Mapping[str, str]]) -> list[str]:
    """Say which container has what no row of `allowed` (service, right) gives its service."""
    given = {(row["service"], row["right"]) for row in allowed}
    found = {
        f"{container.service} on {container.node}: {right}"
        for container in seen
        for right in container.rights
        if (container.service, right) not in given
    }
    return sorted(found)
