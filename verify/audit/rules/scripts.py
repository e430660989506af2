"""Scripts inside a stack file, and what YAML and Docker make of them before a shell reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service
from verify.audit.words import SHELLS, Words, split

_HEREDOC: Final = re.compile(r"<<-?\s*[\\'\"]?(\w+)")
_OPERATORS: Final = {"&&", "||", "|", ";", ">", ">>", "<", "do", "done", "then", "fi", "2>&1"}


@service_rule(
    "folded-script",
    Level.ERROR,
    Criterion.RUNNING,
    "a folded text (>) joins lines: a comment swallows commands, a here-document never ends",
    "Write it with |, or better as a config that is mounted and run.",
)
def folded_script(service: Service, audit: Audit) -> Iterator[Found]:
    """The lines as they are after folding, against the lines in the file."""
    for field, command in service.commands:
        if command.at.style != ">":
            continue
        lines = command.at.filled.kept.splitlines()
        for number in range(command.at.first + 1, command.at.last + 1):
            comment = service.stack.lines[number - 1].strip().replace("$$", "$")
            if not comment.startswith("#") or comment.startswith("#!"):
                continue
            joined = next((line.partition(comment)[2] for line in lines if comment in line), "")
            if joined.strip():
                message = f"the comment {comment!r} swallows what follows it"
                yield at(service, command.at, field, message, needle=comment)
                break
        for match in _HEREDOC.finditer(command.script):
            folded = next((line for line in lines if match[0] in line), "")
            number = service.stack.line_of(command.at, match[0])
            written = service.stack.lines[number - 1].replace("$$", "$")
            same = _after(folded, match[0]) == _after(written, match[0])
            if not same or match[1] not in (line.strip() for line in lines):
                message = f"the here-document {match[1]} is joined to one line"
                yield at(service, command.at, field, message, needle=match[0])
                break


def _after(line: str, marker: str) -> str:
    return line.partition(marker)[2].strip()


@service_rule(
    "script-falls-apart",
    Level.ERROR,
    Criterion.RUNNING,
    "a command whose shell gets a part of the script only, or that no shell reads at all",
    'Write a list: ["sh", "-c", script], or mount the script as a config.',
)
def script_falls_apart(service: Service, audit: Audit) -> Iterator[Found]:
    """Docker splits a text like a shell does, after it filled in the variables."""
    for field, command in service.commands:
        if field == "healthcheck.test":
            continue
        stray = _unread(command, in_shell=field == "command" and _entrypoint_is_shell(service))
        if stray:
            message = f"`{stray}` and what follows it is read by no shell"
            yield at(service, command.at, field, message)


def _entrypoint_is_shell(service: Service) -> bool:
    return any(
        field == "entrypoint" and words.words[:1] and words.words[0].rpartition("/")[2] in SHELLS
        for field, words in service.commands
    )


def _unread(command: Words, *, in_shell: bool) -> str:
    """Return the first part of a shell's language that is given to no shell, or nothing."""
    if in_shell:
        return ""
    if command.is_text:
        try:
            parts = split(command.at.text)
        except ValueError:
            return "a quotation without an end"
    else:
        parts = [entry.text for entry in command.at.list()]
    for index, word in enumerate(parts[:-2]):
        if word.rpartition("/")[2] in SHELLS and re.fullmatch(r"-\w*c", parts[index + 1]):
            parts = [piece for each in parts[index + 3 :] for piece in each.split()]
            break
    return next((part for part in parts if part in _OPERATORS), "")
