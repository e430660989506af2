"""What a drill spends of a window's error budget, and what must never look like 99 %."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.drills.live import Rehearsal, proves_nothing, spending
from chaos.drills.runner import Outcome
from load.error_budget import Span, Spending, sampling_error, spend
from load.samples import Sample
from signoff.measurement import Relation, Verdict, judge
from tests.unit.load_builders import series

DAY = 86_400.0
RATE = 10.0
#: Three faults of 40 s with a minute between them.
FAULTS = [Span(name, 60.0 + 100 * n, 100.0 + 100 * n) for n, name in enumerate("abc")]
SECONDS = 400


def drill(
    outages: Sequence[tuple[float, float]] = (),
    *,
    background: float = 0.0,
    faults: list[Span] = FAULTS,
    seconds: float = SECONDS,
    window: float = DAY,
    seed: int = 1,
) -> Spending:
    """Spend a drill in which nothing is answered from a to b for each (a, b) of `outages`.

    Outside of them the share `background` of the requests fails, drawn from `seed`.
    """
    drawn = random.Random(seed)
    marks = ""
    for seq in range(int(seconds * RATE)):
        down = any(a <= seq / RATE < b for a, b in outages)
        marks += "-" if down or drawn.random() < background else "+"
    return spend(series(marks, rate=RATE), faults, start=50.0, window=window)


def verdicts(found: Spending, limit: float = 0.99) -> list[Verdict]:
    """Return the verdicts on time and requests, as the step gives them."""
    return [
        judge(figure.value, limit, Relation.ABOVE, figure.error, figure.n)[0]
        for figure in (found.of_time(), found.of_requests())
    ]


# --- what is met


def test_short_outages_of_faults_are_spent_once_a_window() -> None:
    found = drill([(61, 73), (262, 297)])
    assert [d.fault for d in found.downtimes] == [0, 2]
    assert found.by_fault(0).value == pytest.approx(12, abs=found.by_fault(0).error)
    assert found.by_fault(1).value == 0
    assert found.by_fault(1).error == pytest.approx(1 / RATE, rel=0.01)
    assert found.by_all_faults().value == pytest.approx(47, abs=0.4)
    assert found.of_time().value == pytest.approx(1 - 47 / DAY, abs=1e-5)
    assert found.of_requests().value == pytest.approx(1 - 47 / DAY, abs=1e-5)
    assert found.budget(0.99) == pytest.approx(864)
    assert found.spent(0.99).value == pytest.approx(47 / 864, abs=1e-3)
    assert verdicts(found) == [Verdict.MET, Verdict.MET]


def test_the_drill_itself_shows_far_less() -> None:
    found = drill([(61, 73), (262, 297)])
    assert found.requests.good_share == pytest.approx(1 - 47 / 350, abs=1e-3)
    # Both outages cut a slice at either end.
    assert found.slices.good_share == pytest.approx(1 - 47 / 349, abs=0.01)


def test_no_outage_at_all_is_met_within_what_so_few_requests_can_show() -> None:
    found = drill()
    assert found.of_time().value == 1
    assert found.of_time().error == pytest.approx(
        sampling_error(0, found.requests.outside), rel=0.01
    )
    assert verdicts(found) == [Verdict.MET, Verdict.MET]
    assert verdicts(found, 0.999) == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]


# --- what must miss


def test_a_steady_background_error_misses_although_no_outage_is_long() -> None:
    found = drill(background=0.02)
    assert max(d.seconds for d in found.downtimes) < 1.5
    assert found.requests.bad_outside / found.requests.outside == pytest.approx(0.02, abs=0.008)
    assert verdicts(found)[1] is Verdict.MISSED
    assert verdicts(found)[0] is not Verdict.MET
    assert found.least_window(0.99) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_background_error_of_two_percent_is_never_met(seed: int) -> None:
    assert Verdict.MET not in verdicts(drill([(61, 73)], background=0.02, seed=seed))


def test_an_outage_of_twenty_minutes_misses_99_percent_of_a_day() -> None:
    found = drill([(61, 1261)], faults=[Span("a", 60.0, 1300.0)], seconds=1700, window=DAY)
    assert found.by_all_faults().value == pytest.approx(1200, abs=1)
    assert verdicts(found) == [Verdict.MISSED, Verdict.MISSED]
    assert found.spent(0.99).value == pytest.approx(1200 / 864, abs=0.01)


def test_the_same_outage_between_the_faults_goes_on_all_the_time() -> None:
    inside, outside = drill([(61, 73)]), drill([(120, 132)])
    assert verdicts(inside) == [Verdict.MET, Verdict.MET]
    assert outside.downtimes[0].fault is None
    assert verdicts(outside) == [Verdict.MISSED, Verdict.MISSED]


def test_an_outage_that_never_ended_lasts_until_the_window_does() -> None:
    found = drill([(262, SECONDS)])
    (never,) = found.downtimes
    assert never.open
    assert found.by_all_faults().value == pytest.approx(DAY - 212, abs=1)
    assert found.of_time().value == pytest.approx(212 / DAY, abs=1e-4)
    assert found.of_requests().value == pytest.approx(212 / DAY, abs=1e-3)
    assert verdicts(found) == [Verdict.MISSED, Verdict.MISSED]
    assert found.of_time().reason == "not served again for good"
    assert found.by_fault(2).reason == "not served again for good"
    assert found.spent(0.99).value > 90
    assert found.least_window(0.99) is None
    assert found.rows()[-1]["over"] == "never"
    assert found.objections(0.99) == []


def test_flickering_at_the_end_is_not_recovery() -> None:
    marks = "+" * 2600 + "-" * 100 + "+--" * 400
    found = spend(series(marks, rate=RATE), FAULTS, start=50.0, window=DAY)
    assert found.downtimes[-1].open
    assert verdicts(found) == [Verdict.MISSED, Verdict.MISSED]


# --- what belongs to a fault


def test_an_outage_that_outlasts_its_fault_is_all_its_own() -> None:
    found = drill([(61, 130)])
    (downtime,) = found.downtimes
    assert downtime.outlasted
    assert found.requests.bad_outside == 0
    assert found.rows()[0]["over"] == "after the fault was undone"


def test_an_outage_that_ended_with_its_fault_does_not_show_how_long_a_loss_is() -> None:
    found = drill([(61, 103)])
    assert verdicts(found) == [Verdict.MET, Verdict.MET]
    (said,) = found.objections(0.99)
    assert said.startswith("a: the outage was over only when that had been undone, after 42 s")
    assert drill([(61, 73)]).objections(0.99) == []


def test_one_that_is_too_long_already_is_missed_for_all_that() -> None:
    found = drill([(61, 1303)], faults=[Span("a", 60.0, 1300.0)], seconds=1700)
    assert found.downtimes[0].outlasted
    assert found.objections(0.99) == []
    assert verdicts(found) == [Verdict.MISSED, Verdict.MISSED]


def test_a_request_under_way_when_the_fault_comes_is_no_background() -> None:
    marks = "".join("-" if 59.8 <= n / RATE < 70 else "+" for n in range(4000))
    samples = series(marks, rate=RATE, bad_latency=1.0)
    found = spend(samples, FAULTS, start=50.0, window=DAY)
    assert found.downtimes[0].fault == 0
    assert found.requests.bad_outside == 0


def test_faults_that_overlap_share_their_time() -> None:
    faults = [Span("a", 60.0, 100.0), Span("b", 80.0, 120.0)]
    found = drill([(85, 90)], faults=faults)
    assert found.phase_seconds == pytest.approx(60)
    assert found.downtimes[0].fault == 1, "the one that came last"


def test_what_was_before_the_drill_does_not_count() -> None:
    found = drill([(10, 20)])
    assert found.downtimes == []
    assert found.requests.n == 350 * RATE


def test_a_fault_still_in_force_reaches_to_the_end() -> None:
    found = drill([(61, 73)], faults=[Span("a", 60.0, float("inf"))])
    assert found.phase_seconds == pytest.approx(SECONDS - 60, abs=0.2)


# --- windows


def test_how_long_a_window_must_be() -> None:
    found = drill([(61, 73), (262, 297)])
    least = found.least_window(0.999)
    assert least is not None
    assert least == pytest.approx(47_000, rel=0.02)
    assert drill([(61, 73), (262, 297)], window=least).of_time().value == pytest.approx(
        0.999, abs=1e-5
    )
    assert drill().least_window(0.999) == pytest.approx(120)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"window": 300.0}, "more than the window"),
        ({"faults": []}, "nothing was broken"),
        ({"faults": [Span("a", 0.0, 1000.0)]}, "nothing was asked outside of the faults"),
    ],
)
def test_what_no_window_can_be_said_of(changed: dict[str, Any], said: str) -> None:
    assert any(said in objection for objection in drill(**changed).objections(0.99))
    assert drill().objections(0.99) == []


def test_no_request_was_ever_sent() -> None:
    found = spend([], FAULTS, start=50.0, window=DAY)
    assert found.objections(0.99)


# --- errors


@pytest.mark.parametrize(
    ("bad", "n", "error"), [(0, 900, 0.0043), (18, 900, 0.0113), (1, 1, 0.7935), (5, 10, 0.2634)]
)
def test_the_error_of_a_share_from_few(bad: int, n: int, error: float) -> None:
    assert sampling_error(bad, n) == pytest.approx(error, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_true_share_lies_within_the_error(seed: int) -> None:
    drawn = random.Random(seed)
    truth = drawn.choice([0.001, 0.01, 0.05])
    bad = sum(drawn.random() < truth for _ in range(5000))
    # 95 of 100 do; three errors hold them all.
    assert abs(bad / 5000 - truth) <= 3 * sampling_error(bad, 5000)


def test_the_notes_say_what_was_spent_and_what_the_drill_showed() -> None:
    notes = {note.name: note for note in drill([(61, 73)]).notes(0.99)}
    assert notes["downtime by a"].value == pytest.approx(12, abs=0.2)
    assert notes["downtime by b"].value == 0
    assert notes["error budget"].value == pytest.approx(864)
    assert notes["error budget spent by the outages"].value == pytest.approx(1.39, abs=0.05)
    assert notes["good requests in the drill itself"].value == pytest.approx(96.6, abs=0.1)
    assert notes["good 1 s slices in the drill itself"].value == pytest.approx(96.6, abs=0.3)
    assert notes["requests failed outside of the faults"].value == 0


# --- a rehearsal's


@dataclass
class FakeProbe:
    """Clients that saw `marks`."""

    marks_seen: str
    failure: str = ""
    rate: float = RATE
    lag: float = 0.0
    targets: list[Any] = field(default_factory=lambda: [type("T", (), {"name": "shop"})])
    marks: list[tuple[str, float]] = field(default_factory=lambda: [("steady", 0.0)])
    windows: list[tuple[str, float, float | None]] = field(
        default_factory=lambda: [("b", 200.0, None), ("a", 60.0, 100.0)]
    )

    def samples(self, target: str) -> list[Sample]:
        return series(self.marks_seen, rate=self.rate, lag=self.lag)


def rehearsal(verdict: str = "met", lost: str = "n1 n2", **probe: Any) -> Rehearsal:
    found = cast("Any", FakeProbe("+" * 4000, **probe))
    outcome = Outcome(verdict, "because", began=50.0)
    return Rehearsal(outcome, found, Path("journal"), frozenset(lost.split()))


def test_a_rehearsals_faults_are_in_order_and_may_be_in_force() -> None:
    found = spending(rehearsal(), "shop", DAY)
    assert [(f.name, f.start) for f in found.faults] == [("a", 60.0), ("b", 200.0)]
    assert found.start == 50.0
    assert found.phase_seconds == pytest.approx(40 + 200, abs=0.2)


def test_a_whole_drill_with_sound_clients_proves_something() -> None:
    assert proves_nothing(rehearsal(), ["n1", "n2"]) == []


@pytest.mark.parametrize("verdict", ["aborted", "inconclusive", "missed"])
def test_a_drill_that_did_not_run_to_its_end_proves_nothing(verdict: str) -> None:
    (said,) = proves_nothing(rehearsal(verdict), ["n1"])
    assert said == f"the drill ended as {verdict}: because"


def test_a_server_that_was_not_lost_is_named() -> None:
    assert proves_nothing(rehearsal(lost="n2"), ["n1", "n2"]) == ["n1 was never lost"]


def test_spoiled_clients_prove_nothing() -> None:
    assert "lag" in proves_nothing(rehearsal(lag=1.0), ["n1"])[0]
    assert "ended by itself" in proves_nothing(rehearsal(failure="it ended by itself"), ["n1"])[0]
