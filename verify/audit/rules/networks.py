"""Networks and ports: what is in clear, what is open, what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from verify.audit.known_images import known
from verify.audit.located import Located
from verify.audit.rule import Audit, Criterion, Found, Level, at, rule, service_rule
from verify.audit.stack import Service

_DATABASE_PORTS: Final = {
    1433: "SQL Server", 2379: "etcd", 3306: "MariaDB", 5432: "PostgreSQL", 6379: "Redis",
    6432: "PgBouncer", 8086: "InfluxDB", 9200: "Elasticsearch", 27017: "MongoDB",
}  # fmt: skip


@service_rule(
    "undeclared",
    Level.ERROR,
    Criterion.RUNNING,
    "a network, secret, config or volume that the file does not declare",
    "Declare it at the end of the file (external: true if it exists already), or correct the name.",
)
def undeclared(service: Service, audit: Audit) -> Iterator[Found]:
    """`docker stack deploy` refuses it, some kinds only after it created other services."""
    for kind in ("networks", "secrets", "configs"):
        declared = service.stack.declared(kind)
        for use in service.uses(kind):
            if use.name not in declared and not (kind == "networks" and use.name == "default"):
                yield at(service, use.at, kind, f"{use.name!r} is not declared", needle=use.name)
    for mount in service.mounts:
        if mount.kind == "volume" and mount.source not in ("", *service.stack.declared("volumes")):
            message = f"{mount.source!r} is not declared"
            yield at(service, mount.at, "volumes", message, needle=mount.source)


@rule(
    "unencrypted-overlay",
    Level.ERROR,
    Criterion.ENCRYPTED,
    "an overlay that is not encrypted: its traffic between nodes is in clear",
    'Add driver_opts: {encrypted: "true"}, or create it with --opt encrypted and call it external.',
)
def unencrypted_overlay(audit: Audit) -> Iterator[Found]:
    """Of networks that the file makes; of external ones only the wire tells."""
    for stack in audit.stacks:
        networks = stack.declared("networks")
        for name, network in networks.items():
            if _is_clear(network):
                field = f"networks.{name}"
                message = "an overlay without driver_opts.encrypted"
                yield Found(stack.path, network.line, stack.name, field, message)
        if "default" in networks:
            continue
        for service in stack.services:
            if not service.uses("networks") and service.get("network_mode") is None:
                message = f"in no network: it joins {stack.name}_default, which is not encrypted"
                yield at(service, "", "networks", message)


def _is_clear(network: Located) -> bool:
    external, driver = network.get("external"), network.get("driver")
    if external is not None and external.text.lower() != "false":
        return False
    if driver is not None and driver.text not in ("", "overlay"):
        return False
    options = network.get("driver_opts")
    encrypted = options.map().get("encrypted") if options is not None else None
    return encrypted is None or encrypted.text.lower() in ("false", "0")


@service_rule(
    "database-published",
    Level.WARNING,
    Criterion.ENCRYPTED,
    "a database's port is published: it is open on every node, past INPUT rules of the firewall",
    "Publish nothing: services reach it by name on a shared network.",
)
def database_published(service: Service, audit: Audit) -> Iterator[Found]:
    """By the port inside the container."""
    for port in service.ports:
        if port.target in _DATABASE_PORTS:
            name = _DATABASE_PORTS[port.target]
            yield at(service, port.at, "ports", f"{name} is published on port {port.published}")


@service_rule(
    "nobody-listens",
    Level.ERROR,
    Criterion.RUNNING,
    "a port is published on which the image does not listen",
    "Publish the port that it listens on, or set the variable that changes it.",
)
def nobody_listens(service: Service, audit: Audit) -> Iterator[Found]:
    """Of images whose port is known, run by their own command."""
    image = known(service.image.name)
    if image is None or image.port is None or service.get("command") or service.get("entrypoint"):
        return
    entry = service.environment.get(image.port_variable)
    listens = entry.text if entry is not None and entry.text else str(image.port)
    for port in service.ports:
        if str(port.target) != listens:
            how = f" ({image.port_variable})" if image.port_variable else ""
            message = f"{port.target} is published, and the image listens on {listens}{how}"
            yield at(service, port.at, "ports", message)


@service_rule(
    "dnsrr-with-mesh",
    Level.ERROR,
    Criterion.RUNNING,
    "a port of the mesh needs a virtual address, which endpoint_mode dnsrr has not",
    "Use endpoint_mode: vip, or mode: host for the port.",
)
def dnsrr_with_mesh(service: Service, audit: Audit) -> Iterator[Found]:
    """Swarm refuses the service."""
    if service.text("deploy.endpoint_mode") == "dnsrr":
        for port in service.ports:
            if port.mode == "ingress":
                yield at(service, port.at, "ports", f"{port.target} through the mesh with dnsrr")
