"""Secrets in places where others can read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service

_SECRET: Final = {
    "password", "passwd", "passphrase", "pass", "pw", "secret", "secrets", "token", "tokens",
    "credential", "credentials", "apikey", "privatekey", "passcode",
}  # fmt: skip
#: `…_KEY` is a secret after these words only: HOST_KEY, PUBLIC_KEY and SORT_KEY are none.
_SECRET_KEY: Final = {
    "api",
    "private",
    "access",
    "secret",
    "encryption",
    "signing",
    "master",
    "app",
}
#: The last word says that it is something about a secret.
_ABOUT: Final = {
    "file", "path", "dir", "name", "id", "url", "uri", "host", "port", "user", "username",
    "ttl", "length", "expiry", "expiration", "expires", "lifetime", "type", "method", "enabled",
    "required", "policy", "header", "algorithm", "issuer", "audience", "endpoint", "min", "max",
    "age", "seconds", "hash", "rounds", "count", "limit", "mode", "interval", "scope", "prefix",
    "field", "hint", "size", "bucket", "burst", "rate", "timeout", "encryption",
}  # fmt: skip
#: Passwords to their programs (mysql, redis-cli, sshpass), and no word says so.
_KNOWN: Final = {"MYSQL_PWD", "REDISCLI_AUTH", "SSHPASS"}
#: Names that sound so and are not: etcd's token tells clusters apart.
_HARMLESS: Final = {"ETCD_INITIAL_CLUSTER_TOKEN", "PATRONI_ETCD_CLUSTER_TOKEN"}
_NO_SECRET: Final = re.compile(r"|true|false|yes|no|on|off|none|null|0|1|/[\w./-]+", re.IGNORECASE)
#: Values that are secrets, whatever they are called. Forms as their issuers document them.
_VALUES: Final = {
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    "a GitLab token": r"\bgl(?:pat|rt|dt|cbt)-[A-Za-z0-9_-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY",
    "a JSON Web Token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a password in a URL": r"\w+://[^\s:/@]*:[^\s:/@{}$\\]+@",
    "a password in a connection string": r"\bpassword=[^\s$\\&;'\"]+",
}
_REMEDY: Final = (
    "Create a secret, mount it, and name its file /run/secrets/… (as NAME_FILE, where the image "
    "knows that)."
)


def sounds_secret(name: str) -> bool:
    """Whether a variable of that name would hold a secret: DB_PASSWORD, not DB_USER or …_FILE."""
    if name in _HARMLESS or name in _KNOWN:
        return name in _KNOWN
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", split) if word]
    if not words or words[-1] in _ABOUT or words == ["pw"]:
        return False
    keyed = words[-1] == "key" and len(words) > 1 and words[-2] in _SECRET_KEY
    # PGPASSWORD, MYSQLPASSWD: no underscore.
    ends = any(words[-1].endswith(word) for word in ("password", "passwd", "passphrase", "apikey"))
    return keyed or ends or any(word in _SECRET for word in words)


def _value_kind(value: str) -> str | None:
    return next((kind for kind, form in _VALUES.items() if re.search(form, value)), None)


@service_rule(
    "plaintext-secret",
    Level.ERROR,
    Criterion.SECRETS,
    "a secret in the environment or a label: everyone who may inspect the service reads it",
    _REMEDY,
)
def plaintext_secret(service: Service, audit: Audit) -> Iterator[Found]:
    """Also one that the deployer's environment fills in: its value ends in the service's spec."""
    for name, entry in service.environment.items():
        kind, field = _value_kind(entry.text), f"environment.{name}"
        given = entry.filled.used and not entry.text.startswith("/run/secrets/")
        if kind is not None:
            yield at(service, entry, field, f"{name} has {kind}", needle=name)
        elif not sounds_secret(name):
            continue
        elif service.passed_on(name) or (given and not entry.text):
            message = f"{name} is filled in from the environment of whoever deploys"
            yield at(service, entry, field, message, needle=name)
        elif not _NO_SECRET.fullmatch(entry.text):
            yield at(service, entry, field, f"{name} has a value in clear", needle=name)
    for path in ("labels", "deploy.labels"):
        labels = service.get(path)
        entries = [*labels.map().values(), *labels.list()] if labels is not None else []
        for entry in entries:
            kind = _value_kind(entry.text)
            if kind is not None:
                yield at(service, entry, path, f"a label has {kind}")


_IN_COMMAND: Final = {
    # curl and git show their arguments to everyone on the node (ps).
    "a token in a URL": (
        r"://[^\s/'\":@]*:\\?\$\{?\w[^\s/'\"]*@"
        r"|://\\?\$\{?\w*(?i:token|pass|secret|key)\w*\}?@"
    ),
    "a token in a header": r"(?i)(?:authorization|private-token|x-api-key)\s*:[^\n]{0,20}\$\{?\w+",
    "a password as an argument": (
        r"(?i)(?:^|[\s'\"])--?(?:password|passwd|requirepass|masterauth|token|secret|api-key)[= ]+"
        r"(?![\s'\"]*(?:/run/secrets/|\$\(|`|<\(|--))[^\s'\"]"
    ),
    "a password in an assignment": (
        r"\b(?:PGPASSWORD|MYSQL_PWD|REDISCLI_AUTH|RESTIC_PASSWORD|SSHPASS)="
        r"(?![\s'\"]*(?:\\?\$|`))[^\s'\"]"
    ),
}


@service_rule(
    "secret-in-command",
    Level.ERROR,
    Criterion.SECRETS,
    "a secret on a command line: it is in the service's spec, or in the process list",
    "Let the program read it from a file: git credential.helper, curl --config, pgpass.",
)
def secret_in_command(service: Service, audit: Audit) -> Iterator[Found]:
    """By value, by option, in a URL, in a header."""
    for field, command in service.commands:
        for kind, form in {**_VALUES, **_IN_COMMAND}.items():
            match = re.search(form, command.script)
            if match is not None:
                needle = match[0].split("$")[0].strip("\\ ")[-20:]
                yield at(service, command.at, field, f"{kind}", needle=needle)
                break


@service_rule(
    "secret-copied",
    Level.WARNING,
    Criterion.SECRETS,
    "a secret is copied out of /run/secrets: from memory onto the container's disk",
    "Use the file where it is: ssh -i /run/secrets/…, with mode: 0400 at the secret.",
)
def secret_copied(service: Service, audit: Audit) -> Iterator[Found]:
    """/run/secrets is in memory, the container's own files are not."""
    for field, command in service.commands:
        match = re.search(r"\b(?:cp|mv|install)\b[^\n;&|]*/run/secrets/\S+", command.script)
        if match is not None:
            needle = re.search(r"/run/secrets/\w*", match[0])
            assert needle is not None
            yield at(service, command.at, field, f"{match[0].strip()}", needle=needle[0])


@service_rule(
    "secret-not-mounted",
    Level.ERROR,
    Criterion.RUNNING,
    "a file below /run/secrets is named that no secret of the service becomes",
    "Add the secret to the service's secrets:, or correct the name.",
)
def secret_not_mounted(service: Service, audit: Audit) -> Iterator[Found]:
    """In a variable or a command; the program then fails at start, or runs without a password."""
    files = {use.target.rpartition("/")[2] for use in service.uses("secrets")}
    texts = [
        (f"environment.{name}", entry, entry.text) for name, entry in service.environment.items()
    ] + [(field, command.at, command.script) for field, command in service.commands]
    for field, where, text in texts:
        for name in dict.fromkeys(re.findall(r"/run/secrets/([\w.-]+)", text)):
            if name not in files:
                yield at(service, where, field, f"no secret becomes {name}", needle=name)


@service_rule(
    "secret-twice",
    Level.ERROR,
    Criterion.RUNNING,
    "two secrets or configs for one file: Swarm refuses the service",
    "Give one of them another target.",
)
def secret_twice(service: Service, audit: Audit) -> Iterator[Found]:
    """By the file that they become in the container."""
    for kind in ("secrets", "configs"):
        uses = service.uses(kind)
        counts = Counter(use.target for use in uses)
        for target, count in counts.items():
            if count > 1:
                last = [use for use in uses if use.target == target][-1]
                yield at(service, last.at, kind, f"{target} is there {count} times")
