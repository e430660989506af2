"""What happens when a service is updated, stops, or fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from verify.audit.fields import Port
from verify.audit.known_images import known
from verify.audit.rule import Audit, Criterion, Found, Level, at, rule, service_rule
from verify.audit.rules.volumes import own_data
from verify.audit.stack import Service
from verify.audit.words import SHELLS, Words, words


@service_rule(
    "no-health-check",
    Level.ERROR,
    Criterion.UPDATES,
    "no health check: Swarm calls a task running before it can answer, and updates go on",
    "Add a healthcheck that asks what clients ask.",
)
def no_health_check(service: Service, audit: Audit) -> Iterator[Found]:
    """None in the file and none in the image, or one that is switched off."""
    if service.is_job:
        return
    check = service.get("healthcheck")
    image = known(service.image.name)
    if check is None:
        if image is None or not image.healthy:
            yield at(service, "", "healthcheck", "no health check")
        return
    disabled, test = service.get("healthcheck.disable"), service.get("healthcheck.test")
    first = test.list()[0].text if test is not None and test.list() else ""
    if disabled is not None and disabled.text.lower() == "true":
        yield at(service, disabled, "healthcheck.disable", "the health check is switched off")
    elif first == "NONE" or (test is not None and test.text == "NONE"):
        yield at(service, "healthcheck.test", "healthcheck.test", "the health check is NONE")
    elif test is None and (image is None or not image.healthy):
        yield at(service, check, "healthcheck.test", "the health check tests nothing")
    elif test is not None and _never_fails(_checked(words(test))):
        yield at(service, test, "healthcheck.test", "the health check cannot fail")


def _checked(test: Words) -> str:
    """Return the script of a health check; of a program without a shell, one that says as much.

    As Docker reads it: a text and CMD-SHELL go to a shell. Empty where nothing can be told.
    """
    kind, *rest = test.words or ("",)
    if test.is_text:
        return test.script
    if kind == "CMD-SHELL":
        return " ".join(rest)
    program = rest[0].rpartition("/")[2] if rest else ""
    if program in SHELLS and len(rest) == 3 and re.fullmatch(r"-[a-z]*c", rest[1]):
        return f"set -e; {rest[2]}" if "e" in rest[1] else rest[2]
    return program if program in ("true", "echo") else ""


#: An end of a script after which its status is 0, whatever came before it.
_GOOD_END: Final = re.compile(
    r"(?:\A|\|\||[;\n])\s*(?:(?:/bin/)?true|:|exit 0|echo\b[^;&|()\n]*)\s*\Z"
)
#: What may end it earlier, or keep it until its time is over.
_WAY_OUT: Final = re.compile(
    r"\b(?:exit|exec|kill|return|while|until)\b|\bset\s+-\w*e|\bset\s+-o\s+errexit"
)


def _never_fails(script: str) -> bool:
    """Whether a script ends well whatever it finds; in doubt it does not."""
    end = _GOOD_END.search(script)
    return end is not None and not _WAY_OUT.search(script[: end.start()])


@service_rule(
    "no-update-order",
    Level.WARNING,
    Criterion.UPDATES,
    "no update order: Swarm stops the old task before it starts the new one",
    "Say deploy.update_config.order: start-first, or stop-first where two must not run at once.",
)
def no_update_order(service: Service, audit: Audit) -> Iterator[Found]:
    """Neither start-first nor a deliberate stop-first."""
    if service.get("deploy.update_config.order") is None and not service.is_job:
        field = "deploy.update_config.order"
        yield at(service, "deploy.update_config", field, "not set: the old task stops first")


def _starts_first(service: Service) -> bool:
    return service.text("deploy.update_config.order") == "start-first"


@service_rule(
    "start-first-shares-data",
    Level.ERROR,
    Criterion.UPDATES,
    "start-first runs two tasks at once on data that only one may write",
    "Use order: stop-first.",
)
def start_first_shares_data(service: Service, audit: Audit) -> Iterator[Found]:
    """Two servers on one data folder, or the new one on an empty folder elsewhere."""
    if _starts_first(service) and own_data(service):
        field = "deploy.update_config.order"
        yield at(service, field, field, "start-first with data on the node's disk")


def _host_ports(service: Service) -> list[Port]:
    return [port for port in service.ports if port.mode == "host" and port.published is not None]


@service_rule(
    "host-port-start-first",
    Level.ERROR,
    Criterion.UPDATES,
    "start-first needs a node where the host port is free, and there is none",
    "Use order: stop-first, publish through the mesh (mode: ingress), or let it run on more nodes.",
)
def host_port_start_first(service: Service, audit: Audit) -> Iterator[Found]:
    """The old tasks hold the port on every node that fits: the update waits for ever."""
    ports = _host_ports(service)
    if not ports or not _starts_first(service):
        return
    free = 0 if service.is_global else len(audit.fitting(service)) - service.replicas
    wanted = service.parallelism or service.replicas
    if free < min(wanted, service.replicas):
        field = "deploy.update_config.order"
        numbers = ", ".join(str(port.published) for port in ports)
        yield at(
            service,
            field,
            field,
            f"start-first needs port {numbers} free on {wanted} more node(s), {max(0, free)} are",
        )


@service_rule(
    "host-port-too-few-nodes",
    Level.ERROR,
    Criterion.RUNNING,
    "more replicas than nodes whose host port they could have",
    "Lower the replicas, or publish through the mesh.",
)
def host_port_too_few_nodes(service: Service, audit: Audit) -> Iterator[Found]:
    """One host port serves one task a node."""
    ports, nodes = _host_ports(service), audit.fitting(service)
    if ports and not service.is_global and len(nodes) < service.replicas:
        field = "deploy.replicas"
        message = (
            f"{service.replicas} replicas need port {ports[0].published} on {len(nodes)} node(s)"
        )
        yield at(service, field, field, message)


@rule(
    "port-collision",
    Level.ERROR,
    Criterion.RUNNING,
    "two services publish the same port in the same place",
    "Publish another port, or none: services reach each other by name.",
)
def port_collision(audit: Audit) -> Iterator[Found]:
    """A port of the mesh is taken on every node, a host port on those that fit."""
    published = [
        (service, port)
        for service in audit.together
        for port in service.ports
        if port.published is not None
    ]
    for (one, first), (other, second) in combinations(published, 2):
        if (first.published, first.protocol) != (second.published, second.protocol):
            continue
        if first.mode == second.mode == "host":
            if one is other or not _must_meet(one, other, audit):
                continue
            where = "on a node that both need"
        else:
            where = "on every node"
        yield at(
            other,
            second.at,
            "ports",
            f"{second.published}/{second.protocol} is taken {where} by {one.subject}",
        )


def _must_meet(one: Service, other: Service, audit: Audit) -> bool:
    """Whether two services with a host port cannot keep apart: too few nodes for both."""
    mine, theirs = set(audit.fitting(one)), set(audit.fitting(other))
    if not mine & theirs:
        return False
    if one.is_global or other.is_global:
        return True
    return len(mine | theirs) < one.replicas + other.replicas


@service_rule(
    "gives-up",
    Level.WARNING,
    Criterion.FAILOVER,
    "a restart policy under which Swarm stops trying",
    "Use condition: any (the default) and no max_attempts.",
)
def gives_up(service: Service, audit: Audit) -> Iterator[Found]:
    """`none` and `on-failure` leave a task that ended well ended; so does a number of attempts."""
    if service.is_job:
        return
    field = "deploy.restart_policy.condition"
    condition = service.text(field, "any")
    if condition == "none":
        yield at(
            service, field, field, "none: a task that ends, and one on a lost node, is not replaced"
        )
    elif condition == "on-failure":
        yield at(
            service, field, field, "on-failure: a task that ends with status 0 is not replaced"
        )
    attempts = service.get("deploy.restart_policy.max_attempts")
    if attempts is not None and attempts.text != "0":
        field = "deploy.restart_policy.max_attempts"
        yield at(service, attempts, field, f"gives up after {attempts.text} attempts")


@service_rule(
    "short-stop",
    Level.WARNING,
    Criterion.UPDATES,
    "a database that is killed 10 s after it was asked to stop",
    "Set stop_grace_period to what a shutdown with full buffers takes, 30s or more.",
)
def short_stop(service: Service, audit: Audit) -> Iterator[Found]:
    """Swarm's default; then it starts with a crash recovery, each time."""
    image = known(service.image.name)
    if image is None or not image.stops:
        return
    field = "stop_grace_period"
    period = service.get(field)
    if period is None:
        yield at(service, "", field, "not set: 10 s")
    elif _seconds(period.text) < 10:
        yield at(service, period, field, f"{period.text} is too short")


def _seconds(text: str) -> float:
    """Seconds of a Go duration; infinite for what is none, which Docker itself refuses."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s)", text)
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(n) * units[unit] for n, unit in parts) if parts else float("inf")
