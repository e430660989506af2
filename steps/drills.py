"""Steps about rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_bdd import parsers, then, when

from chaos import catalogue
from chaos.drills.command import where
from chaos.drills.live import (
    Rehearsal,
    longest_outage,
    proves_nothing,
    rehearse,
    served,
    spending,
    spoiled,
)
from chaos.drills.plan import as_rows, entries, load_drill, replay_command
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.tables import as_text
from fixtures.waiting import Waited
from signoff.allure_bridge import attach_text

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


@then(
    parsers.parse(
        "losing every server once in {hours:g} hours leaves clients more than {percent:g} % of the "
        "time and of their requests"
    )
)
def availability(
    cluster: Cluster, rehearsal: Rehearsal, hours: float, percent: float, measure: Any
) -> None:
    """The drill happens once in those hours; what fails outside of its faults goes on all along."""
    criterion = f"availability over {hours:g} h"
    if objections := proves_nothing(rehearsal, cluster.nodes):
        measure.inconclusive(criterion, "; ".join(objections))
    found = {t.name: spending(rehearsal, t.name, 3600 * hours) for t in rehearsal.probe.targets}
    for route, spent in found.items():
        attach_text(as_text(spent.rows()) if spent.downtimes else "none", f"Outages of {route}")
        if objections := spent.objections(percent / 100):
            measure.inconclusive(criterion, f"{route}: {'; '.join(objections)}")
        for note in spent.notes(percent / 100):
            measure.note(
                f"{route}: {note.name}", note.value, unit=note.unit, error=note.error, n=note.n
            )
    for route, spent in found.items():
        for what, figure in (("time", spent.of_time()), ("requests", spent.of_requests())):
            measure(
                f"{criterion} of {route}, by {what}",
                100 * figure.value,
                limit=percent,
                unit="%",
                relation=">",
                error=100 * figure.error,
                n=figure.n,
                reason=figure.reason,
            )


@then(parsers.parse("how long a window {percent:g} % would need is reported"))
def least_window(rehearsal: Rehearsal, percent: float, measure: Any) -> None:
    """By the time lost to faults; no criterion. Nothing is reported when no window would do."""
    for target in rehearsal.probe.targets:
        least = spending(rehearsal, target.name, 0.0).least_window(percent / 100)
        if least is not None:
            measure.note(f"{target.name}: window that keeps {percent:g} %", least / 3600, unit="h")
