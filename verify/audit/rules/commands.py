"""What commands do: install, trust, delete, copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service

#: Commands of a shell's text, roughly: it need not be parsed to see what is done.
_SEPARATOR: Final = re.compile(r"&&|\|\||[;\n|]")

_INSTALLS: Final = re.compile(
    r"\bapk\s+(?:-\S+\s+)*add\b|\b(?:apt|apt-get|dnf|microdnf|yum|zypper)\s+(?:-\S+\s+)*install\b"
    r"|\bpip3?\s+install\b|\bnpm\s+(?:install|i|ci)\b|\bgem\s+install\b|\bgo\s+install\b"
    r"|\b(?:curl|wget)\b[^\n;&|]*\|\s*(?:sudo\s+)?(?:ba)?sh\b"
)
_TRUSTS: Final = re.compile(
    r"\bssh-keyscan\b|StrictHostKeyChecking[= ]+(?:no|off|accept-new)\b"
    r"|UserKnownHostsFile[= ]+/dev/null|http\.sslVerify[= ]+false|--no-check-certificate"
    r"|\bGIT_SSL_NO_VERIFY=(?!false|0)|\bNODE_TLS_REJECT_UNAUTHORIZED=0"
    r"|\bcurl\b[^\n;&|]*\s(?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)\b"
)
_DELETES: Final = re.compile(
    r"\brsync\b.*?\s--del(?:ete\S*)?(?=\s|$)|\brclone\s+(?:-\S+\s+)*sync\b"
    r"|\bs3\s+sync\b.*?\s--delete\b",
    re.DOTALL,
)
_VERSIONED: Final = re.compile(r"--(?:link-dest|backup)\b|\s-[a-zA-Z]*b[a-zA-Z]*\s")


def _short(match: re.Match[str]) -> str:
    """Return the match without its middle, which may hold anything, a password among it."""
    words = match[0].split()
    inside = " … " if len(words) > 3 else " ".join(["", *words[1:-1], ""])
    return f"`{words[0]}{inside}{words[-1]}`" if len(words) > 1 else f"`{words[0]}`"


@service_rule(
    "installs-at-start",
    Level.ERROR,
    Criterion.FAILOVER,
    "installs packages whenever it starts: without the internet, or slowly, it does not come back",
    "Build an image with the packages in it.",
)
def installs_at_start(service: Service, audit: Audit) -> Iterator[Found]:
    """A failover then takes as long as a mirror, and what runs is the newest of that hour."""
    for field, command in service.commands:
        match = _INSTALLS.search(command.script)
        if match is not None:
            yield at(service, command.at, field, f"{_short(match)} at start", needle=match[0])


@service_rule(
    "trust-on-first-use",
    Level.ERROR,
    Criterion.ENCRYPTED,
    "takes any key or certificate for the right one: whoever answers first gets the data",
    "Give it the known host key (a config with known_hosts) or the CA.",
)
def trust_on_first_use(service: Service, audit: Audit) -> Iterator[Found]:
    """In a command, or in a variable that a program reads."""
    texts = [(field, command.at, command.script) for field, command in service.commands] + [
        (f"environment.{name}", entry, f"{name}={entry.text}")
        for name, entry in service.environment.items()
    ]
    for field, where, text in texts:
        match = _TRUSTS.search(text)
        if match is not None:
            needle = match[0].split()[0] if field.count(".") == 0 else field.partition(".")[2]
            yield at(service, where, field, _short(match), needle=needle)


@service_rule(
    "mirror-deletes",
    Level.ERROR,
    Criterion.BACKUPS,
    "a mirror that deletes: an emptied or damaged source empties the copy, too",
    "Keep versions: --link-dest with a folder a day, --backup-dir, or restic.",
)
def mirror_deletes(service: Service, audit: Audit) -> Iterator[Found]:
    """Rsync --delete, rclone sync, aws s3 sync --delete, without versions."""
    for field, command in service.commands:
        for part in _SEPARATOR.split(command.script):
            deletes = _DELETES.search(part)
            if deletes and not _VERSIONED.search(part):
                message = f"{_short(deletes)} keeps no version"
                yield at(service, command.at, field, message, needle=deletes[0].split()[0] + " ")


#: Data is here, and not what an image brings.
_DATA: Final = re.compile(
    r"/(?:data|backups?|volumes?|mnt|srv|home|exports?|storage|dumps?|db|archives?"
    r"|var/(?:lib|backups?|data|opt))(?:/[^\s]*)?"
)


@service_rule(
    "copies-unmounted",
    Level.ERROR,
    Criterion.BACKUPS,
    "copies files from a folder that nothing is mounted on: there is nothing, or nothing of others",
    "Mount the volume that holds them, or fetch them over the network (redis-cli --rdb, pg_dump).",
)
def copies_unmounted(service: Service, audit: Audit) -> Iterator[Found]:
    """Sources of cp, mv, rsync, scp and tar -c, as far as they are absolute and not made there."""
    targets = [mount.target for mount in service.mounts]
    targets += ["/run/secrets", *(use.target for use in service.uses("configs"))]
    for field, command in service.commands:
        for source in _copied(command.script):
            if not _DATA.fullmatch(source) or "$" in source or _made(source, command.script):
                continue
            if not any(_below(source, target) for target in targets):
                message = f"copies {source}, and nothing is mounted there"
                yield at(service, command.at, field, message, needle=source)


def _copied(script: str) -> Iterator[str]:
    """Yield the paths that a script copies from."""
    for part in _SEPARATOR.split(script):
        tokens = [token.strip("'\"\\") for token in part.split()]
        program = next((t for t in tokens if t in ("cp", "mv", "rsync", "scp", "tar")), None)
        if program is None:
            continue
        rest = tokens[tokens.index(program) + 1 :]
        if program == "tar":
            yield from _archived(rest)
            continue
        arguments = [token for token in rest if token and not token.startswith("-")]
        yield from (token for token in arguments[:-1] if token.startswith("/"))


def _archived(tokens: list[str]) -> Iterator[str]:
    """Yield what `tar -c` puts into an archive; its first word may lack the dash."""
    options = [t for i, t in enumerate(tokens) if (t.startswith("-") and t[:2] != "--") or i == 0]
    if not any("c" in option for option in options):
        return
    for before, token in zip(["", *tokens], tokens, strict=False):
        is_archive = before in options and before.endswith("f")
        if token.startswith("/") and not is_archive:
            yield token


def _made(path: str, script: str) -> bool:
    """Whether the script itself makes the path, or the folder that it is in."""
    made = re.findall(
        r"(?:>>?|\bmkdir\s+(?:-\S+\s+)*|\s-[fo]\s+|\btee\s+)\s*['\"]?(/[^\s'\";&|]+)", script
    )
    return any(_below(path, each) for each in made)


def _below(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
