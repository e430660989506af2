"""Where a secret has no business: each place is read whole, and says how much of it was read."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from docker import DockerClient

from fixtures import folders
from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from verify.security.search import ThisMachine, search
from verify.security.secret_values import Secret, forms, found_in

#: The drivers whose logs are files of the node's, below the engine's folder.
_FILE_LOGS: Final = ("json-file", "local")
#: Keys of the harness's own, from which a twin's secret is made: their home.
_OWN_KEYS: Final = ("id_", "host_")
_ENGINE: Final = "$(docker info --format '{{.DockerRootDir}}')"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in one place: `problems` name secret and spot, never a value.

    `searched` counts what was read; `doubts` say what could not be.
    """

    problems: list[str] = field(default_factory=list)
    searched: int = 0
    doubts: list[str] = field(default_factory=list)


def together(looks: Iterable[Look]) -> Look:
    """Sum up the looks at several nodes."""
    every = list(looks)
    return Look(
        [problem for look in every for problem in look.problems],
        # A node of which nothing could be read is none that was searched.
        min((look.searched for look in every), default=0) and sum(look.searched for look in every),
        [doubt for look in every for doubt in look.doubts],
    )


def look(cluster: Cluster, place: str, secrets: list[Secret], reports: Path) -> Look:
    """Look for `secrets` in the place of that name. Raises `CutoverError` for an unknown one.

    `reports` is the folder of the harness's runs.
    """
    places: Mapping[str, Callable[[], Look]] = {
        **{name: partial(_on_nodes, cluster, lists, secrets) for name, lists in _FILES.items()},
        "the logs of containers": lambda: _logs(cluster, secrets),
        "what containers wrote outside of volumes": lambda: _layers(cluster, secrets),
        "the settings of containers": lambda: _api(cluster, _containers, secrets),
        "the settings, labels and history of images": lambda: _api(cluster, _images, secrets),
        "services, configs, networks and all labels": lambda: _swarm(cluster, secrets),
        "reports and ledgers of the harness": lambda: _harness(cluster, reports, secrets),
    }
    if place not in places:
        raise CutoverError(
            f"{place!r} is no place", where="feature", remedy=f"There are: {', '.join(places)}."
        )
    return places[place]()


_NODE_LOGS: Final = "find /var/log -type f -size -256M -print0"
#: Place → shell that prints the paths of its files, each ended by NUL.
_FILES: Final[Mapping[str, str]] = {
    "the environment of processes": "printf '%s\\0' /proc/[0-9]*/environ",
    "command lines": "printf '%s\\0' /proc/[0-9]*/cmdline",
    "the logs of the node": _NODE_LOGS,
    # Data is large; what was copied or configured is small.
    "small files in volumes": f"find {_ENGINE}/volumes -type f -size -1024k -print0",
}


def _on_nodes(cluster: Cluster, listing: str, secrets: list[Secret]) -> Look:
    def on(node: Node) -> Look:
        found = search(node, listing, secrets, unzip=listing == _NODE_LOGS)
        # That no file is there is a fact like another: the control was found.
        return Look(found.problems(node.name), found.searched or 1)

    return together(cluster.on_all(on).values())


def _logs(cluster: Cluster, secrets: list[Secret]) -> Look:
    listing = f"find {_ENGINE}/containers -type f -name '*.log*' -print0"

    def on(node: Node) -> Look:
        found = search(node, listing, secrets, unzip=True)
        details = node.ask(_containers)
        elsewhere = [
            f"{name} on {node.name} logs to {driver}, which was not searched"
            for name, driver in ((d["Name"][1:], _driver(d)) for d in details)
            if driver not in _FILE_LOGS
        ]
        return Look(found.problems(node.name), found.searched, elsewhere)

    return together(cluster.on_all(on).values())


def _layers(cluster: Cluster, secrets: list[Secret]) -> Look:
    def on(node: Node) -> Look:
        layers = {d["Name"][1:]: _layer(d) for d in node.ask(_containers)}
        known = shlex.join(layer for layer in layers.values() if layer)
        listing = f"find {known} -type f -size -64M -print0" if known else "true"
        found = search(node, listing, secrets)
        unknown = [
            f"what {name} on {node.name} wrote is not a folder of the node's: not searched"
            for name, layer in layers.items()
            if not layer
        ]
        # That nothing was written is a fact like another: the control was found.
        return Look(found.problems(node.name), found.searched or len(layers), unknown)

    return together(cluster.on_all(on).values())


def _layer(details: Mapping[str, Any]) -> str:
    """The folder that a container writes to, where its storage driver has one (overlay2)."""
    data = (details.get("GraphDriver") or {}).get("Data") or {}
    return str(data.get("UpperDir") or "")


def _driver(details: Mapping[str, Any]) -> str:
    return str(details["HostConfig"]["LogConfig"]["Type"])


def _containers(api: DockerClient) -> list[dict[str, Any]]:
    return [api.api.inspect_container(c["Id"]) for c in api.api.containers(all=True)]


def _images(api: DockerClient) -> list[dict[str, Any]]:
    found = []
    for image in api.api.images():
        name = (image["RepoTags"] or [image["Id"]])[0]
        settings = api.api.inspect_image(image["Id"])
        found.append({"Name": name, "image": settings, "history": api.api.history(image["Id"])})
    return found


def _api(
    cluster: Cluster, read: Callable[[DockerClient], list[dict[str, Any]]], secrets: list[Secret]
) -> Look:
    def on(node: Node) -> Look:
        things = node.ask(read)
        return Look(
            [f"{problem} on {node.name}" for problem in in_things(things, secrets)], len(things)
        )

    return together(cluster.on_all(on).values())


def in_things(things: Iterable[Mapping[str, Any]], secrets: list[Secret]) -> list[str]:
    """Return which secret is in which of `things`, the engine's own JSON with a `Name`."""
    patterns = {secret: forms(secret) for secret in secrets}
    problems = []
    for thing in things:
        names = found_in(json.dumps(thing, ensure_ascii=False).encode(), patterns)
        if names:
            problems.append(f"{', '.join(names)} in {str(thing['Name']).removeprefix('/')}")
    return problems


def _swarm(cluster: Cluster, secrets: list[Secret]) -> Look:
    things = cluster.leader().ask(_specifications)
    return Look(in_things(things, secrets), len(things))


def _specifications(api: DockerClient) -> list[dict[str, Any]]:
    """Everything that the managers tell; a config's content is decoded, a secret's never given."""
    kinds = {
        "service": api.api.services(),
        "task": api.api.tasks(),
        "config": api.api.configs(),
        "secret": api.api.secrets(),
        "network": api.api.networks(),
        "node": api.api.nodes(),
    }
    things = [
        {"Name": f"{kind} {_name(thing)}", "is": thing}
        for kind, found in kinds.items()
        for thing in found
    ]
    for thing in kinds["config"]:
        content = base64.b64decode(thing["Spec"].get("Data") or "").decode(errors="replace")
        things.append({"Name": f"config {_name(thing)}", "is": content})
    return things


def _name(thing: Mapping[str, Any]) -> str:
    return str(thing.get("Spec", {}).get("Name") or thing.get("Name") or thing.get("ID"))


def _harness(cluster: Cluster, reports: Path, secrets: list[Secret]) -> Look:
    """The files of all runs, the cluster's ledgers, and what processes of this run were given."""
    kept = shlex.join([str(reports), str(folders.cluster_folder(cluster.name))])
    keys = " ".join(f"! -name '{name}*'" for name in _OWN_KEYS)
    given = shlex.join(
        f"/proc/{pid}/{name}" for pid in own_processes() for name in ("cmdline", "environ")
    )
    listing = f"find {kept} -type f {keys} -size -64M -print0; printf '%s\\0' {given}"
    found = search(ThisMachine(), listing, secrets)
    return Look(found.problems(ThisMachine.name), found.searched)


def own_processes() -> list[int]:
    """Return the ids of this process and of all that descend from it."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            parent = re.search(r"^PPid:\s*(\d+)", status.read_text(), re.MULTILINE)
            parents[int(status.parent.name)] = int(parent[1]) if parent else 0
    own = [os.getpid()]
    for pid in own:  # grows while it is read
        own += [child for child, parent in parents.items() if parent == pid]
    return own
