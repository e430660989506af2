"""What a rule is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from verify.audit.located import Located
from verify.audit.nodes import Nodes
from verify.audit.stack import Service, Stack


class Level(StrEnum):
    """Whether a criterion breaks: error, it does; warning, it may; note, it is untidy."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def weight(self) -> int:
        """Larger is worse."""
        return (Level.NOTE, Level.WARNING, Level.ERROR).index(self)


class Criterion(StrEnum):
    """What of the plan a finding endangers, in the plan's words."""

    RUNNING = "All 70+ containers running across 4 servers"
    UPDATES = "Zero downtime deployments (rolling updates)"
    FAILOVER = "Automatic failover (< 60 seconds)"
    AVAILABLE = "High Availability > 99%"
    BACKUPS = "Automated backups (daily DB, hourly Redis, weekly volumes)"
    REPLICAS = "PostgreSQL replicas on server 81 (read scaling)"
    ENCRYPTED = "Encrypted network communication"
    SECRETS = "Secrets encrypted at rest and in transit"
    MEMORY = "Server 84 RAM Usage < 20 GB, no swap"


@dataclass(frozen=True)
class Found:
    """One place where a rule is broken. `subject` is `stack/service`, a stack or a node."""

    path: str
    line: int
    subject: str
    field: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What is judged: the stacks that share one cluster.

    Those called in `apart` never stand beside the others, so they take neither ports nor memory.
    """

    stacks: Sequence[Stack]
    nodes: Nodes
    inventory: str
    apart: frozenset[str] = frozenset()

    @cached_property
    def services(self) -> list[Service]:
        """Every service of every stack."""
        return [service for stack in self.stacks for service in stack.services]

    @cached_property
    def together(self) -> list[Service]:
        """Every service of the stacks that stand at the same time."""
        return [service for service in self.services if service.stack.name not in self.apart]

    @property
    def subjects(self) -> set[str]:
        """Everything that a finding can be about."""
        return {
            *(service.subject for service in self.services),
            *(stack.name for stack in self.stacks),
            *self.nodes.nodes,
        }

    def fitting(self, service: Service) -> list[str]:
        """Return the nodes on which a task of the service may run."""
        return self.nodes.fitting(service)


Check = Callable[[Audit], Iterator[Found]]
ServiceCheck = Callable[[Service, Audit], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A named thing that must not be in a stack file."""

    id: str
    level: Level
    criterion: Criterion
    summary: str
    remedy: str
    check: Check


RULES: Final[dict[str, Rule]] = {}


def rule(
    id_: str, level: Level, criterion: Criterion, summary: str, remedy: str
) -> Callable[[Check], Check]:
    """Register a check of all stacks together."""

    def register(check: Check) -> Check:
        if id_ in RULES:
            raise ValueError(f"two rules are called {id_}")
        RULES[id_] = Rule(id_, level, criterion, summary, remedy, check)
        return check

    return register


def service_rule(
    id_: str, level: Level, criterion: Criterion, summary: str, remedy: str
) -> Callable[[ServiceCheck], ServiceCheck]:
    """Register a check of one service at a time."""

    def register(check: ServiceCheck) -> ServiceCheck:
        def of_all(audit: Audit) -> Iterator[Found]:
            for service in audit.services:
                yield from check(service, audit)

        rule(id_, level, criterion, summary, remedy)(of_all)
        return check

    return register


def at(service: Service, where: Located | str, field: str, message: str, needle: str = "") -> Found:
    """Return a finding about a service at a value, or at the nearest thing to a missing field.

    `needle`: text whose line within the value is meant.
    """
    value = service.near(where) if isinstance(where, str) else where
    line = service.stack.line_of(value, needle) if needle else value.line
    full = f"services.{service.name}.{field}" if field else f"services.{service.name}"
    return Found(service.stack.path, line, service.subject, full, message)
