"""Steps about rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_bdd import parsers, then, when

from chaos import catalogue
from chaos.drills.command import where
from chaos.drills.live import Rehearsal, longest_outage, rehearse, served, spoiled
from chaos.drills.plan import as_rows, entries, load_drill, replay_command
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.waiting import Waited

DRILLS = Path(__file__).parents[1] / "features" / "drills"


@when(parsers.re(r"the drill (?P<file>\S+) is run"), target_fixture="rehearsal")
def run_drill(
    cluster: Cluster, chaos: Chaos, start_clients: Any, measure: Any, run: Any, file: str
) -> Rehearsal:
    """Run it to its end; a random one with the run's seed. Nothing is in force afterwards."""
    drill = load_drill(DRILLS / file, catalogue.known())
    seed = run.seed if drill.random is not None else None
    schedule = entries(drill, run.seed)
    replay = replay_command(Path("features", "drills", file), seed, None, where(cluster))
    done = rehearse(
        cluster,
        chaos,
        drill,
        schedule,
        run.folder / "drills" / Path(file).stem,
        seed=seed,
        replay=replay,
        start_clients=start_clients,
    )
    measure.drill(
        drill.name,
        seed=seed,
        schedule=as_rows(schedule),
        replay=replay,
        journal=str(done.journal.relative_to(run.folder)),
    )
    return done


@then("every fault was in force for its time and is undone")
def as_planned(rehearsal: Rehearsal, measure: Any) -> None:
    """Else it is said whose failure it was: the system's, the fault's, or the harness's."""
    outcome = rehearsal.outcome
    if outcome.verdict == "inconclusive":
        measure.inconclusive("drill as planned", outcome.reason, cause=outcome.cause)
    problems = [outcome.reason] if outcome.verdict != "met" else []
    measure.violations("drill as planned", problems, checked=1)


@then(parsers.parse("after the drill the cluster is steady within {seconds:g} seconds"))
def steady_after(rehearsal: Rehearsal, seconds: float, measure: Any) -> None:
    """Counted from the undoing of the last fault."""
    took = rehearsal.outcome.steady_after or 0.0
    measure.duration("steady after the drill", Waited(took, 0.5), limit=seconds)


@then(parsers.parse("clients were never without good answers for more than {seconds:g} seconds"))
def outages(rehearsal: Rehearsal, seconds: float, measure: Any) -> None:
    """The longest outage of each route by itself, from the first fault on."""
    if objections := spoiled(rehearsal):
        measure.inconclusive("longest outage during the drill", "; ".join(objections))
    for target in rehearsal.probe.targets:
        percent, asked = served(rehearsal, target.name)
        measure.note(f"{target.name}: good answers during the drill", percent, unit="%", n=asked)
        took = longest_outage(rehearsal, target.name)
        measure.duration(f"longest outage of {target.name}", took, limit=seconds, n=asked)
