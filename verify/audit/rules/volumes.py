"""Data: where it is kept, and whether it is still there after a move."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from verify.audit.fields import Mount
from verify.audit.known_images import known
from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service

SOCKETS: Final = ("/var/run/docker.sock", "/run/docker.sock")
#: On every node the same, or the node's own by intention.
_SYSTEM: Final = (
    "/proc",
    "/sys",
    "/dev",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hostname",
    "/run",
)
#: File systems of which every node sees the same; `type: none` with o: bind is a local folder.
_REMOTE: Final = ("nfs", "cifs", "smb", "ceph", "gluster", "fuse", "9p")
_FOLDER: Final = ("/var/log", "/var/lib/docker", "/var/run", "/")


def _as_bound(mount: Mount, service: Service) -> Mount:
    """Return a volume whose options bind a path of the node as the bind mount that it is."""
    declared = service.stack.declared("volumes").get(mount.source)
    options = declared.get("driver_opts") if declared is not None else None
    how, device = (options.get("o"), options.get("device")) if options is not None else (None, None)
    if mount.kind != "volume" or how is None or device is None:
        return mount
    bound = {"bind", "rbind"} & set(how.text.split(","))
    return replace(mount, kind="bind", source=device.text) if bound else mount


def kept_on_its_node(mount: Mount, service: Service) -> bool:
    """Whether what is mounted is on one node's disk: a local volume, or a folder of the node."""
    mount = _as_bound(mount, service)
    if mount.kind == "volume":
        return bool(mount.source) and _is_local(service, mount.source)
    return mount.kind == "bind" and not _is_system(mount)


def own_data(service: Service) -> bool:
    """Whether the service writes to data on its node's disk."""
    return any(kept_on_its_node(mount, service) and not mount.read_only for mount in service.mounts)


def _is_local(service: Service, name: str) -> bool:
    """A volume is local unless it has another driver, or mounts something remote (type: nfs)."""
    declared = service.stack.declared("volumes").get(name)
    if declared is None:
        return True
    driver, options = declared.get("driver"), declared.get("driver_opts")
    other = driver is not None and driver.text not in ("", "local")
    kind = options.get("type") if options is not None else None
    return not other and not (kind is not None and kind.text.startswith(_REMOTE))


def _is_system(mount: Mount) -> bool:
    path = posixpath.normpath(mount.source)
    return (
        path in _FOLDER
        or any(path == p or path.startswith(f"{p}/") for p in _SYSTEM)
        or (path in SOCKETS)
    )


@service_rule(
    "local-volume-moves",
    Level.ERROR,
    Criterion.FAILOVER,
    "it may run on several nodes, and its data lies on the disk of whichever it ran on",
    "Keep the data on storage that all nodes reach, or pin the service and replicate its data.",
)
def local_volume_moves(service: Service, audit: Audit) -> Iterator[Found]:
    """After a move the volume is empty, and without its folder a task does not even start."""
    fitting = audit.fitting(service)
    if service.is_global or len(fitting) < 2:
        return
    for mount in service.mounts:
        if not kept_on_its_node(mount, service):
            continue
        after = "is missing or another" if mount.kind == "bind" else "is an empty one"
        nodes = ", ".join(fitting)
        yield at(
            service,
            mount.at,
            "volumes",
            f"may run on {nodes}; after a move {mount.source} {after}",
            needle=mount.source,
        )


@service_rule(
    "data-not-kept",
    Level.ERROR,
    Criterion.AVAILABLE,
    "a database without a named volume: its data goes with its container",
    "Mount a named volume at the image's data folder.",
)
def data_not_kept(service: Service, audit: Audit) -> Iterator[Found]:
    """A known database image, or a service that names its data folder, which nothing mounts."""
    image = known(service.image.name)
    folders = {image.data} if image is not None and image.data else set()
    for name in ("PGDATA", "PATRONI_POSTGRESQL_DATA_DIR"):
        entry = service.environment.get(name)
        folders = {entry.text} if entry is not None and entry.text else folders
    for folder in sorted(folders):
        mounts = [
            mount
            for mount in service.mounts
            if (f"{folder}/").startswith(f"{mount.target.rstrip('/')}/") and mount.kind != "tmpfs"
        ]
        if not any(mount.source for mount in mounts):
            where = mounts[0].at if mounts else "volumes"
            yield at(service, where, "volumes", f"no named volume holds {folder}")


@service_rule(
    "docker-socket",
    Level.ERROR,
    Criterion.SECRETS,
    "has the Docker socket: who breaks into it is root on the node",
    "Put a proxy that allows the needed calls between them. Read-only protects the file, not the "
    "API behind it.",
)
def docker_socket(service: Service, audit: Audit) -> Iterator[Found]:
    """On a manager it holds the whole Swarm, secrets included."""
    for mount in (_as_bound(each, service) for each in service.mounts):
        if posixpath.normpath(mount.source or "-") in SOCKETS:
            how = "read-only, which is no protection" if mount.read_only else "for writing"
            yield at(service, mount.at, "volumes", f"mounts {mount.source} {how}")
