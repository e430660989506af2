"""`python -m verify.audit`: what stack files would break, before they are deployed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fixtures.cluster.inventory import load_inventory
from fixtures.errors import CutoverError
from fixtures.stacks import catalogue
from verify.audit import ours, sarif, text
from verify.audit.audit import Result, judge
from verify.audit.exceptions import load_exceptions
from verify.audit.nodes import nodes_of
from verify.audit.rule import RULES, Level
from verify.audit.stack import load
from verify.audit.variables import variables

CLEAN, FINDINGS, BAD_INPUT = 0, 1, 2
_EPILOG: Final = """exit status: 0 nothing at --fail-on or worse is without a written reason; \
1 something is; 2 bad input: one line names file, field and remedy. Nothing is deployed, and \
no host is asked anything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.list_rules:
        sys.stdout.writelines(f"{line}\n" for line in text.rules())
        return CLEAN
    try:
        result = _audit(options)
        status = FINDINGS if result.open(Level(options.fail_on)) else CLEAN
        _write(options, result, status)
    except CutoverError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    return status


def _audit(options: argparse.Namespace) -> Result:
    if not options.stacks and not options.ours:
        raise CutoverError(
            "no stack file", where="STACK.yml", remedy="Name one or more, or --ours."
        )
    if options.inventory is None:
        raise CutoverError(
            "missing", where="--inventory", remedy="docs/real-servers.md shows an inventory."
        )
    inventory = load_inventory(options.inventory)
    values = variables(options.env_file, options.set)
    stacks = [load(path, values) for path in options.stacks] + (
        ours.stacks() if options.ours else []
    )
    files = [*options.exceptions, *([ours.EXCEPTIONS] if options.ours else [])]
    exceptions = [each for path in files for each in load_exceptions(path, RULES)]
    return judge(
        stacks,
        nodes_of(inventory),
        exceptions,
        inventory=str(options.inventory),
        apart=catalogue.ALTERNATIVES if options.ours else (),
    )


def _write(options: argparse.Namespace, result: Result, status: int) -> None:
    if options.format == "sarif":
        report = json.dumps(sarif.document(result, status), indent=2, ensure_ascii=False) + "\n"
    else:
        report = "".join(f"{line}\n" for line in text.lines(result, reasons=options.reasons))
    if options.output is None:
        sys.stdout.write(report)
        return
    try:
        options.output.write_text(report, encoding="utf-8")
    except OSError as error:
        raise CutoverError(
            f"cannot be written ({error.strerror})", where=str(options.output), remedy="--output"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify.audit", description=__doc__, epilog=_EPILOG
    )
    add = parser.add_argument
    add("stacks", nargs="*", type=Path, metavar="STACK.yml", help="stack files of one cluster")
    add("--inventory", type=Path, metavar="FILE", help="the cluster they are meant for")
    add("--ours", action="store_true", help="the stacks of fixtures/stacks, with their reasons")
    add(
        "--exceptions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="written reasons for what is accepted (docs/audit.md)",
    )
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a stack file variable")
    add(
        "--env-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="variables, a NAME=VALUE a line; the environment is not read",
    )
    add("--format", choices=("text", "sarif"), default="text", help="default: %(default)s")
    add("--output", type=Path, metavar="FILE", help="write there instead of standard output")
    add("--reasons", action="store_true", help="show accepted findings, too (text)")
    add(
        "--fail-on",
        choices=[str(level) for level in Level],
        default=str(Level.WARNING),
        help="the least level that counts; default: %(default)s",
    )
    add("--list-rules", action="store_true", help="show every rule and end")
    return parser


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = CLEAN
    sys.exit(status)
