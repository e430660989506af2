"""Whether what runs is what was audited. Pure.

A clean audit of files that nobody deployed, or of some of them, says nothing of the cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fixtures.cluster.swarm import Service


def unaudited(declared: Collection[str], running: Iterable[Service]) -> list[str]:
    """Say which services that run are in no audited file; names are `stack_service`."""
    return [
        f"{service.name} runs, and no audited file has it (a file's name is its stack's)"
        for service in sorted(running, key=lambda s: s.name)
        if service.name not in declared
    ]


def differing(declared: Mapping[str, str], running: Iterable[Service]) -> list[str]:
    """Say which audited services do not run, or run another image than their file's."""
    by_name = {service.name: service for service in running}
    problems = []
    for name, image in sorted(declared.items()):
        service = by_name.get(name)
        if service is None:
            problems.append(f"{name} is in an audited file, and does not run")
        elif not _same(image, service.image):
            problems.append(f"{name} runs {_plain(service.image)}, its file says {_plain(image)}")
    return problems


def _same(said: str, runs: str) -> bool:
    """Whether both name one image; `docker stack deploy` adds the digest that it found."""
    if "@" in said:
        return runs.rpartition("@")[2] == said.rpartition("@")[2]
    return _plain(runs) == _plain(said)


def _plain(image: str) -> str:
    name = image.partition("@")[0].removeprefix("docker.io/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
