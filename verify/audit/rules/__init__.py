"""The rules: importing this package registers them all."""

from verify.audit.rules import (
    backups,
    commands,
    deploying,
    images,
    networks,
    placement,
    resources,
    schema,
    scripts,
    secrets,
    updates,
    volumes,
)

__all__ = [
    "backups",
    "commands",
    "deploying",
    "images",
    "networks",
    "placement",
    "resources",
    "schema",
    "scripts",
    "secrets",
    "updates",
    "volumes",
]
