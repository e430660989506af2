"""`python -m chaos drill`: run a drill, say how it ended, keep its journal."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

from chaos import catalogue
from chaos.drills.live import Rehearsal, rehearse, served, spoiled
from chaos.drills.plan import Drill, Entry, entries, load_drill, pick, replay_command
from chaos.drills.shrink import shrink
from chaos.guard import Permission
from chaos.ledger import Ledger
from chaos.session import Chaos, heal_earlier
from fixtures import progress
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.opening import opened, source_of
from fixtures.cluster.twin.blueprint import SOURCE
from fixtures.errors import CutoverError
from load.availability import AvailabilityProbe
from verify.steady import unsteady

#: By verdict and, when it is inconclusive, cause.
_STATUS: Final = {"met": 0, "missed": 1, "aborted": 1}
_CAUSES: Final = {"fault": 3, "system": 1}
_SEEDS: Final = 1_000_000


def run(options: argparse.Namespace) -> int:
    """Run the drill that the command line names; returns the exit status."""
    drill = load_drill(options.file, catalogue.known())
    seed = None
    if drill.random is not None:
        seed = options.seed if options.seed is not None else random.SystemRandom().randrange(_SEEDS)
    elif options.seed is not None:
        raise CutoverError(
            "has a schedule of its own and draws nothing",
            where=str(options.file),
            remedy="Leave --seed out.",
        )
    whole = entries(drill, seed or 0)
    if not whole:
        raise CutoverError(
            f"seed {seed} draws no fault", where=str(options.file), remedy="Allow more time (over)."
        )
    chosen = pick(whole, options.only)
    progress.say(
        f"{drill.name}: {len(chosen)} faults" + (f", seed {seed}" if seed is not None else "")
    )
    for number, entry in enumerate(whole):
        if entry in chosen:
            progress.say(f"  {number}: at {entry.at:g} s {entry.label} for {entry.lasts:g} s")
    source = source_of(twin=options.twin, inventory=options.inventory)
    with opened(source) as cluster:
        heal_earlier(cluster, Ledger.of(cluster.name, source))
        if options.dry_run:
            return _check(cluster, options, drill, chosen)
        if options.shrink:
            return _shrink(cluster, options, drill, whole, chosen, seed)
        return _once(cluster, options, drill, chosen, seed, options.only)


def _chaos(cluster: Cluster, options: argparse.Namespace) -> Chaos:
    return Chaos(
        cluster,
        Ledger.of(cluster.name, cluster.source),
        steady=lambda: unsteady(cluster),
        allowed_cluster=options.allow_chaos,
    )


def _check(
    cluster: Cluster, options: argparse.Namespace, drill: Drill, chosen: Sequence[Entry]
) -> int:
    chaos = _chaos(cluster, options)
    for entry in chosen:
        fault = catalogue.make(entry.fault, entry.arguments)
        plan = chaos.plan(fault, Permission(drill.quorum_may_be_lost, drill.several_domains))
        progress.say(f"  {fault.label}: would touch {', '.join(sorted(plan.touches))}")
    progress.say("nothing was touched")
    return 0


def _once(
    cluster: Cluster,
    options: argparse.Namespace,
    drill: Drill,
    chosen: Sequence[Entry],
    seed: int | None,
    only: Sequence[int] | None,
) -> int:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = options.reports / f"{stamp}-{options.file.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    replay = replay_command(options.file, seed, only, where(cluster))
    with ExitStack() as stack:
        chaos = _chaos(cluster, options)
        stack.callback(chaos.close)

        def start(targets: Sequence[Any], rate: float) -> AvailabilityProbe:
            return stack.enter_context(AvailabilityProbe(targets, rate, folder))

        done = rehearse(
            cluster,
            chaos,
            drill,
            chosen,
            folder,
            seed=seed,
            replay=replay,
            start_clients=start,
        )
        verdict, reason, cause = judge(done, drill)
    progress.say(f"{verdict}: {reason or 'steady before, steady after'}")
    for target in done.probe.targets:
        share, asked = served(done, target.name)
        progress.say(f"  {target.name}: {share:.2f} % of {asked} requests good")
    progress.say(f"  journal: {done.journal}")
    progress.say(f"  again: {replay}")
    return _CAUSES.get(cause, 4) if verdict == "inconclusive" else _STATUS[verdict]


def _shrink(
    cluster: Cluster,
    options: argparse.Namespace,
    drill: Drill,
    whole: Sequence[Entry],
    chosen: Sequence[Entry],
    seed: int | None,
) -> int:
    def fails(part: Sequence[Entry]) -> bool:
        only = numbers(whole, part)
        status = _once(cluster, options, drill, part, seed, only)
        if status not in (0, 1):
            raise CutoverError("a try proved nothing, so it cannot be shrunk", where="drill")
        return status == 1

    shortest = shrink(
        chosen, fails, lambda n, length: progress.say(f"• try {n}: {length} faults …")
    )
    progress.say(f"the shortest that fails has {len(shortest)} of {len(chosen)} faults:")
    again = replay_command(options.file, seed, numbers(whole, shortest), where(cluster))
    progress.say(f"  {again}")
    return 1


def where(cluster: Cluster) -> list[str]:
    """Return the options that name `cluster` on the command line."""
    if cluster.is_twin:
        return ["--twin", cluster.source.removeprefix(SOURCE)]
    return ["--inventory", cluster.source, "--allow-chaos", cluster.name]


def numbers(whole: Sequence[Entry], part: Sequence[Entry]) -> list[int]:
    """Return the numbers that the entries of `part` have in `whole`."""
    return [number for number, entry in enumerate(whole) if any(entry is each for each in part)]


def judge(done: Rehearsal, drill: Drill) -> tuple[str, str, str]:
    """Return verdict, reason and cause: the runner's own, then the drill's criteria."""
    outcome = done.outcome
    if outcome.verdict != "met":
        return outcome.verdict, outcome.reason, outcome.cause
    if objections := spoiled(done):
        return "inconclusive", "; ".join(objections), "measuring"
    least = drill.criteria.availability_percent
    for target in done.probe.targets:
        share, asked = served(done, target.name)
        if least is not None and share < least:
            return (
                "missed",
                f"{target.name}: {share:.2f} % of {asked} requests good, {least:g} % wanted",
                "system",
            )
    longest = drill.criteria.recovered_within
    after = outcome.steady_after
    if longest is not None and after is not None and after > longest:
        return (
            "missed",
            f"steady {after:.0f} s after the last fault, {longest:g} s allowed",
            "system",
        )
    return "met", "", ""
