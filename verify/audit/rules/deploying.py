"""What `docker stack deploy` refuses, ignores, or fills with nothing.

From docker/cli, cli/compose/types: UnsupportedProperties and DeprecatedProperties are ignored with
a warning, ForbiddenProperties are refused. Checked with `docker stack config` 28.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from verify.audit.located import walk
from verify.audit.rule import Audit, Criterion, Found, Level, at, rule, service_rule
from verify.audit.stack import Service

_IGNORED: Final = {
    "restart": "use deploy.restart_policy",
    "depends_on": "nothing waits: the program itself has to try again",
    "container_name": "a task's container has its own name; reach it by the service's",
    "build": "build and push the image before",
    "links": "use networks",
    "external_links": "use networks",
    "network_mode": "declare a network, external with the name host",
    "privileged": "use cap_add",
    "devices": "mount the device",
    "expose": "services on one network reach all ports",
    "security_opt": "it is not applied",
    "shm_size": "mount a tmpfs at /dev/shm",
    "cgroup_parent": "use deploy.resources",
    "cgroupns_mode": "it is not applied",
    "domainname": "use hostname",
    "ipc": "it is not applied",
    "mac_address": "it is not applied",
    "pid": "it is not applied",
    "userns_mode": "it is not applied",
}
_FORBIDDEN: Final = (
    "extends", "volume_driver", "volumes_from", "cpu_quota", "cpu_shares", "cpuset", "mem_limit",
    "memswap_limit",
)  # fmt: skip
#: docker/cli's schema wants text there.
_TEXTS: Final = ("deploy.resources.limits.memory", "deploy.resources.reservations.memory")


@service_rule(
    "ignored-option",
    Level.WARNING,
    Criterion.RUNNING,
    "an option that Swarm does not apply",
    "Take it away, and say it in Swarm's way.",
)
def ignored_option(service: Service, audit: Audit) -> Iterator[Found]:
    """Docker says so in a warning, of depends_on not even that."""
    for name, instead in _IGNORED.items():
        found = service.get(name)
        if found is not None and found.text.lower() != "false":
            yield at(service, found, name, f"{name} is ignored: {instead}")


@rule(
    "refused",
    Level.ERROR,
    Criterion.RUNNING,
    "docker stack deploy refuses the file, or reads it in another way than it looks",
    "Write $$ for a dollar sign that is meant for the container, and quote what has to be text.",
)
def refused(audit: Audit) -> Iterator[Found]:
    """Dollar signs that begin no variable, forbidden options, numbers and truth for text."""
    for stack in audit.stacks:
        told = set()
        for path, value in walk(stack.root):
            for place in value.filled.invalid:
                needle = place.split("\n")[0]
                line = stack.line_of(value, needle)
                if (path, "$") not in told and not path.startswith("x-"):
                    told.add((path, "$"))
                    message = f"`{needle[:2]}` begins no variable of Docker's"
                    yield Found(stack.path, line, _subject(stack.name, path), path, message)
    for service in audit.services:
        for name in _FORBIDDEN:
            found = service.get(name)
            if found is not None:
                yield at(service, found, name, f"{name} is forbidden in a stack file")
        for name in _TEXTS:
            found = service.get(name)
            if found is not None and not isinstance(found.value, str):
                yield at(
                    service, found, name, f"{found.text} must be text: in quotes, or with a unit"
                )
        for file, entry in service.env_files:
            if not file.is_file():
                yield at(service, entry, "env_file", f"there is no file {entry.text}")
        for name, entry in service.environment.items():
            if isinstance(entry.value, bool):
                yield at(service, entry, f"environment.{name}", f"{entry.text} must be in quotes")


@rule(
    "variable-not-set",
    Level.WARNING,
    Criterion.RUNNING,
    "a variable without a value or default: Docker fills in nothing, without a word",
    "Give it (--set, --env-file), a default (:-), or :? to refuse; $$NAME is the container's own.",
)
def variable_not_set(audit: Audit) -> Iterator[Found]:
    """Also what was meant for the container's shell, which would need two dollar signs."""
    for stack in audit.stacks:
        for path, value in walk(stack.root):
            if not value.filled.unset or path.startswith("x-"):
                continue
            names = list(dict.fromkeys(value.filled.unset))
            line = stack.line_of(value, names[0])
            message = f"{', '.join(names)}: empty"
            yield Found(stack.path, line, _subject(stack.name, path), path, message)


def _subject(stack: str, path: str) -> str:
    """Return whom a finding at a path is about."""
    parts = path.split(".")
    return f"{stack}/{parts[1]}" if parts[0] == "services" and len(parts) > 1 else stack
