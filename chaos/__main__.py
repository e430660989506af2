"""`python -m chaos`: see, undo, inject and rehearse faults from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from chaos import catalogue, status
from chaos.fault import Fault, NotHealed, NotInForce, Plan, Power, Shell
from chaos.guard import Permission
from chaos.ledger import Ledger, ledgers
from chaos.session import Chaos, heal_all
from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.opening import cluster_name, opened, source_of
from fixtures.cluster.twin.blueprint import DEFAULT_NAME
from fixtures.errors import CutoverError
from fixtures.waiting import Pending, eventually
from verify.steady import unsteady

#: Exit statuses, so that a script can tell one failure from another.
MET, MISSED, MISTAKE, NOT_IN_FORCE, HARNESS = 0, 1, 2, 3, 4
_EPILOG: Final = """exit status: 0 done; 1 the system missed a criterion; 2 a mistake in what was \
asked, nothing was touched; 3 the fault was not in force, nothing was tested; 4 the harness failed \
or could not put something right"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except NotInForce as error:
        progress.say(f"error: {error}")
        return NOT_IN_FORCE
    except NotHealed as error:
        progress.say(f"error: {error}")
        return HARNESS
    except CutoverError as error:
        progress.say(f"error: {error}")
        return MISTAKE
    except KeyboardInterrupt:
        progress.say("stopped; what was in force has been undone")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__, epilog=_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
        found.set_defaults(command=run)
        return found

    command("list", _list, "List every fault with its arguments.")
    for name, run, text in (
        ("status", _status, "Say which faults are in force, and what is left on the nodes."),
        ("heal", _heal, "Undo every fault that the ledger says is in force."),
    ):
        _add_cluster(command(name, run, text), needed=False)
    inject = command("inject", _inject, "Inject one fault, keep it in force, undo it.")
    inject.add_argument("fault", help="its name, as `list` gives it")
    inject.add_argument("arguments", nargs="*", metavar="NAME=VALUE")
    inject.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        default=30.0,
        metavar="TIME",
        help="how long, such as 45s or 2m (default 30s)",
    )
    _add_breaking(inject)
    drill = command("drill", _drill, "Rehearse: steady state, faults by schedule, steady state.")
    drill.add_argument(
        "file", type=Path, help="a drill, such as features/drills/cutover_rehearsal.yml"
    )
    drill.add_argument("--seed", type=int, help="of a random schedule (default: drawn, and said)")
    drill.add_argument(
        "--only", type=_numbers, metavar="N,N", help="of the schedule only these faults, from 0"
    )
    drill.add_argument(
        "--shrink", action="store_true", help="look for the shortest schedule that still fails"
    )
    drill.add_argument("--reports", type=Path, default=Path("reports/drills"), metavar="FOLDER")
    _add_breaking(drill)
    return parser


def _add_cluster(parser: argparse.ArgumentParser, *, needed: bool) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--inventory", type=Path, metavar="FILE", help="servers, as YAML")
    which.add_argument(
        "--twin",
        metavar="NAME",
        default=DEFAULT_NAME if needed else None,
        help="a twin that stands (make up)" + ("" if needed else "; default: every cluster"),
    )


def _add_breaking(parser: argparse.ArgumentParser) -> None:
    _add_cluster(parser, needed=True)
    parser.add_argument(
        "--allow-chaos", metavar="CLUSTER", help="the cluster's name, if it is not a twin"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done and undone, touch nothing"
    )
    parser.add_argument(
        "--quorum-may-be-lost", action="store_true", help="allow what costs the managers' majority"
    )


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time up to 60m, such as 45s or 2m")
    return seconds


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as 0,3,4") from None


def _print(text: str) -> None:
    print(text)  # noqa: T201 - the command's output


def _list(_: argparse.Namespace) -> int:
    for fault in catalogue.FAULTS:
        arguments = " ".join(
            f"{name}=…" if needed else f"[{name}=…]"
            for name, needed in catalogue.arguments_of(fault).items()
        )
        _print(
            f"{fault.name} {arguments}\n    {fault.summary}\n    blast radius: {fault.blast_radius}"
        )
        if fault.needs:
            _print(f"    needs: {fault.needs}")
    return MET


def _sources(options: argparse.Namespace) -> list[str]:
    """Return the clusters that are meant: the one named, or all that have a ledger."""
    if options.inventory is not None or options.twin is not None:
        return [source_of(twin=options.twin, inventory=options.inventory)]
    found = {entry.source for file in ledgers() for entry in Ledger(file, "").open()}
    return sorted(found)


def _status(options: argparse.Namespace) -> int:
    sources = _sources(options)
    if not sources:
        _print("no fault is in force on any cluster")
        return MET
    left = False
    for source in sources:
        ledger = Ledger.of(cluster_name(source), source)
        opened_faults, damage = ledger.read()
        with opened(source) as cluster:
            lines = status.of(cluster, opened_faults)
        _print("\n".join([f"{source}:", *(f"  {line}" for line in [*damage, *lines])]))
        left = left or bool(lines)
        if not lines:
            _print("  no fault is in force, and nothing is left on any node")
    return MISSED if left else MET


def _heal(options: argparse.Namespace) -> int:
    sources = _sources(options)
    if not sources:
        _print("nothing to heal")
    failed = False
    for source in sources:
        ledger = Ledger.of(cluster_name(source), source)
        entries, damage = ledger.read()
        for sentence in damage:
            progress.say(sentence)
        if not entries:
            _print(f"{source}: nothing to heal")
            continue
        with opened(source) as cluster:
            healing = heal_all(cluster, ledger, entries)
        for failure in healing.failures:
            progress.say(f"error: {failure}")
        failed = failed or bool(healing.failures)
        _print(f"{source}: {len(entries) - len(healing.failures)} of {len(entries)} faults undone")
        ledger.forget()
    return HARNESS if failed else MET


def _chaos(cluster: Cluster, options: argparse.Namespace) -> Chaos:
    return Chaos(
        cluster,
        Ledger.of(cluster.name, cluster.source),
        steady=lambda: unsteady(cluster),
        allowed_cluster=options.allow_chaos,
    )


def _inject(options: argparse.Namespace) -> int:
    fault = catalogue.make(options.fault, _pairs(options.arguments))
    source = source_of(twin=options.twin, inventory=options.inventory)
    permission = Permission(quorum_may_be_lost=options.quorum_may_be_lost)
    _end_on_signals()
    with opened(source) as cluster:
        chaos = _chaos(cluster, options)
        if options.dry_run:
            _print(explain(fault, chaos.plan(fault, permission)))
            return MET
        try:
            with chaos.inject(fault, permission) as found:
                _print(f"in force: {found.proof}")
                end = time.monotonic() + options.seconds
                eventually(
                    lambda: time.monotonic() >= end or Pending("Ctrl-C undoes it now"),
                    within=options.seconds + 5,
                    what=fault.label,
                )
            _print("undone, and proven gone")
        finally:
            chaos.close()
    return MET


def _drill(options: argparse.Namespace) -> int:
    from chaos.drills import command

    _end_on_signals()
    return command.run(options)


def _end_on_signals() -> None:
    """Make a polite end (SIGTERM, a closed terminal) undo what is in force, as Ctrl-C does."""

    def end(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _pairs(arguments: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign or name in pairs:
            raise CutoverError(
                f"{argument!r} is not NAME=VALUE" if not sign else f"{name} is given twice",
                where="inject",
                remedy="Such as: inject network.cut node=hpr peer='the leader'",
            )
        pairs[name] = value
    return pairs


def explain(fault: Fault, plan: Plan) -> str:
    """Return, for a dry run, everything that would be done and undone."""
    lines = [
        f"would inject {fault.label}",
        f"  {fault.summary}",
        f"  blast radius: {fault.blast_radius}",
        f"  takes away: {', '.join(sorted(plan.takes_away)) or 'no node'}",
    ]
    for step in plan.steps:
        match step:
            case Power():
                verb = "freeze it" if step.frozen else "cut its power"
                undo = "let it go on" if step.frozen else "give its power back"
                lines += [f"on {step.node}: {verb}", f"to undo: {undo}"]
            case Shell():
                lines += [f"on {step.node}:", _indented(step.do), "to undo:", _indented(step.undo)]
    return "\n".join([*lines, "nothing was touched"])


def _indented(script: str) -> str:
    return "\n".join(f"    {line}" for line in script.strip().splitlines()) or "    (nothing)"


if __name__ == "__main__":
    sys.exit(main())
