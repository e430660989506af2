"""Stacks to audit: clean ones, and ways to break them."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fixtures.cluster.inventory import load_inventory
from verify.audit.audit import Finding, judge
from verify.audit.exceptions import Reason
from verify.audit.nodes import Nodes, nodes_of
from verify.audit.stack import Stack, parse

PLAN = Path(__file__).parent / "data" / "plan"
INVENTORY = PLAN / "inventory.yml"

#: Nothing is found in it.
WEB = """
version: "3.8"
services:
  web:
    image: example/web:1.4
    command: ["serve", "--port", "8080"]
    environment:
      DB_USER: app
      DB_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    networks: [app]
    ports: ["80:8080"]
    healthcheck:
      test: [CMD, check]
    deploy:
      replicas: 2
      placement:
        constraints: [node.labels.production == true]
      update_config: {order: start-first}
      resources:
        limits: {memory: 512M}
        reservations: {memory: 256M}
networks:
  app:
    driver_opts: {encrypted: "true"}
volumes:
  shared:
    driver_opts: {type: nfs, o: addr=192.0.2.9, device: ":/x"}
  local: {}
secrets:
  db_password: {external: true}
"""

#: In it is found what a database on one server is, and nothing else.
DATABASE = """
version: "3.8"
services:
  db:
    image: postgres:16
    command: postgres -c wal_level=replica
    environment:
      - POSTGRES_USER=app
      - POSTGRES_PASSWORD_FILE=/run/secrets/db_password
    secrets: [db_password]
    networks: [app]
    volumes: ["data:/var/lib/postgresql/data"]
    stop_grace_period: 1m30s
    healthcheck:
      test: pg_isready -U app
    deploy:
      replicas: 1
      placement:
        constraints: [node.hostname == hppavilion]
      update_config: {order: stop-first}
      resources:
        limits: {memory: 3G}
        reservations: {memory: 2G}
networks:
  app: {external: true}
volumes:
  data:
secrets:
  db_password: {external: true}
"""
PINNED = {"pinned-local-volume"}


@cache
def nodes() -> Nodes:
    """The plan's four servers."""
    return nodes_of(load_inventory(INVENTORY))


def stack(text: str, name: str = "shop", **variables: str) -> Stack:
    return parse(text, variables, name=name, source=f"{name}.yml")


def found(*stacks: Stack | str, on: Nodes | None = None) -> list[Finding]:
    """Everything that is found; texts are stacks called shop, shop1 and so on."""
    read = [
        stack(each, f"shop{i or ''}") if isinstance(each, str) else each
        for i, each in enumerate(stacks)
    ]
    return list(judge(read, on or nodes()).findings)


def rules(*stacks: Stack | str, on: Nodes | None = None) -> set[str]:
    return {finding.rule.id for finding in found(*stacks, on=on)}


def accepted(text: str, *reasons: Reason) -> list[Finding]:
    return list(judge([stack(text)], nodes(), reasons).findings)


def changed(text: str, changes: dict[str, Any]) -> str:
    """A stack with other values at dotted paths: below its service, or after a / the root."""
    data = copy.deepcopy(yaml.safe_load(text))
    (name,) = data["services"]
    for path, value in changes.items():
        root = path.startswith("/")
        here = data if root else data["services"][name]
        *folders, last = path.removeprefix("/").split(".")
        for folder in folders:
            here = here.setdefault(folder, {})
        if value is None:
            del here[last]
        else:
            here[last] = value
    return yaml.safe_dump(data, sort_keys=False)
