"""What requests show: response times, saturation, silence, request logs. No cluster, no clock."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from load.outages import longest_silence
from load.phases import Phase
from load.request_log import Header, RequestLog, Writer
from load.results import ALL_ROUTES, failures, response_time, results
from load.samples import Sample
from load.saturation import Level, is_over, level, saturation
from load.validity import generator_objections
from tests.unit.load_builders import series


def test_a_failed_request_was_not_answered_in_time() -> None:
    """A refusal is quick: as a latency it would improve the percentile."""
    samples = series("+" * 180 + "-" * 20, rate=100, latency=0.02, bad_latency=0.001)
    assert response_time(samples, 95, 2.0).value == 2.0
    assert response_time(samples, 80, 2.0).value == pytest.approx(0.02)


def test_the_generators_lag_widens_the_response_time() -> None:
    samples = series("+" * 200, rate=100, latency=0.02, lag=0.004)
    found = response_time(samples, 95, 2.0)
    assert found.value == pytest.approx(0.022)
    assert found.error == pytest.approx(0.002)


def test_results_by_route_and_phase_and_in_all() -> None:
    first = series("+" * 100, rate=10)
    other = [Sample("bar", s.seq, s.due, s.started, s.ended + 1, s.ok, s.entries) for s in first]
    phases = [Phase("steady", 0, 5), Phase("fault", 5, 100)]
    found = results(sorted([*first, *other], key=lambda s: s.due), phases)
    names = [(r.phase, r.route, r.n) for r in found]
    assert names[:3] == [("steady", ALL_ROUTES, 100), ("steady", "bar", 50), ("steady", "shop", 50)]
    assert ("whole run", ALL_ROUTES, 200) in names
    bar = next(r for r in found if r.route == "bar")
    assert bar.percentiles[50] == pytest.approx(1.01)
    assert bar.row()["p50 ms"] == "1010.0"
    assert results([], phases) == []


def test_failures_are_counted_by_kind() -> None:
    assert failures(series("+--+-")) == ["shop: 3 x refused"]


def test_a_stall_is_as_long_as_it_was_silent() -> None:
    """Those due in it were answered at its end: no request failed."""
    samples = [
        s if not 3 <= s.due < 5 else Sample("shop", s.seq, s.due, s.started, 5.01, True, s.entries)
        for s in series("+" * 100, rate=10)
    ]
    found = longest_silence(samples)
    assert found is not None
    assert abs(found.seconds - 2) <= found.error + 0.02
    assert found.start == pytest.approx(2.91)
    assert longest_silence(series("+-+")) is None


def test_a_level_leaves_out_its_first_part() -> None:
    samples = series("-" * 19 + "+" * 81, rate=10)
    found = level(10, 0, 10, samples, 95, 2.0)
    assert found is not None
    assert (found.found.n, found.failed, found.spoiled) == (80, 0, "")
    assert level(10, 50, 60, samples, 95, 2.0) is None


def _level(rate: float, milliseconds: float, spoiled: str = "") -> Level:
    found = response_time(series("+" * 200, rate=100, latency=milliseconds / 1000), 95, 2.0)
    return Level(rate, found, 0, spoiled)


def test_one_level_that_met_a_hiccup_ends_nothing() -> None:
    levels = [_level(10, 300), _level(20, 20), _level(30, 300), _level(40, 20)]
    assert not any(is_over(levels[:n], 0.1) for n in range(5))
    assert saturation(levels, 0.1).rate == 40
    levels += [_level(50, 300), _level(60, 400)]
    assert is_over(levels, 0.1)
    found = saturation([*levels, _level(70, 20)], 0.1)
    assert (found.rate, found.bounded_by_system) == (40, True), "the first of two says why"
    assert "at 50/s" in found.why_not_higher


def test_saturation_is_the_last_rate_before_the_limit_breaks() -> None:
    levels = [_level(10, 20), _level(20, 60), _level(40, 300), _level(60, 300), _level(80, 50)]
    found = saturation(levels, 0.1)
    assert found.rate == 20
    assert found.bounded_by_system
    assert "at 40/s: 300" in found.why_not_higher


def test_a_level_that_crosses_the_limit_is_not_decided() -> None:
    lagging = series("+" * 200, rate=100, latency=0.09, lag=0.02)
    level_across = Level(20, response_time(lagging, 95, 2.0), 0, "")
    found = saturation([_level(10, 20), level_across], 0.1)
    assert (found.rate, found.bounded_by_system) == (10, False)
    assert "not decided at 20/s" in found.why_not_higher


def test_what_the_generator_cannot_do_is_not_the_systems_limit() -> None:
    found = saturation([_level(10, 20), _level(20, 300, "lag p99 is 80 ms")], 0.1)
    assert (found.rate, found.bounded_by_system) == (10, False)
    assert not saturation([_level(10, 20)], 0.1).bounded_by_system


def test_a_starved_generator_is_objected_to() -> None:
    on_time = [0.001] * 100
    assert generator_objections(on_time, 10, 100, [0.3]) == []
    late = [0.001] * 98 + [0.2] * 2
    assert "lag p99 is 200 ms" in generator_objections(late, 10, 100)[0]
    assert "100 of 120" in generator_objections(on_time, 10, 120)[0]
    assert "used 97 % of its core" in generator_objections(on_time, 10, 100, [0.2, 0.97])[0]
    assert generator_objections([], 10, 100) == ["only 0 requests were sent"]


HEADER = Header(5.0, "open", ["a", "b"], ["http://127.0.0.1:1"])


def test_what_was_written_is_read_back_while_it_grows(tmp_path: Path) -> None:
    log = RequestLog(tmp_path)
    log.read_on()
    assert log.samples == []
    assert not log.complete
    writer = Writer(tmp_path / "requests-0.msgpack", HEADER)
    writer.request(0, 1, 5.0, 5.001, 5.02, 0, "ok", "n1")
    writer.flush(1.0)
    log.read_on()
    (sample,) = log.samples
    assert sample == Sample("b", 0, 5.0, 5.001, 5.02, True, {"http://127.0.0.1:1": "ok"}, "n1")
    writer.request(1, 0, 5.1, 5.1, 5.2, 0, "refused", "")
    writer.flush(1.5)
    writer.close("over")
    log.read_on()
    assert [s.ok for s in log.samples] == [True, False]
    assert log.complete
    assert log.headers == [HEADER]
    assert log.cpu_seconds() == pytest.approx(0.5)


def test_what_a_kill_cut_off_costs_only_the_last_request(tmp_path: Path) -> None:
    path = tmp_path / "requests-0.msgpack"
    writer = Writer(path, HEADER)
    for seq in range(3):
        writer.request(seq, 0, 5.0, 5.0, 5.0, 0, "ok", "")
    writer.flush(1.0)
    whole = path.read_bytes()
    for cut in range(1, 40):
        path.write_bytes(whole[:-cut])
        log = RequestLog(tmp_path)
        log.read_on()
        assert len(log.samples) >= 2
        assert not log.complete


def test_files_one_after_another_are_a_file(tmp_path: Path) -> None:
    parts = []
    for number in range(2):
        writer = Writer(tmp_path / "part", HEADER)
        writer.request(number, 0, 5.0, 5.0, 5.0, 0, "ok", "")
        writer.close("over")
        parts.append((tmp_path / "part").read_bytes())
    (tmp_path / "requests-all.msgpack").write_bytes(b"".join(parts))
    log = RequestLog(tmp_path)
    log.read_on()
    assert [s.seq for s in log.samples] == [0, 1]


def test_a_file_that_is_none_of_ours_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "requests-0.msgpack").write_bytes(msgpack.packb({"hello": 1}))
    with pytest.raises(ValueError, match="no record of a load generator"):
        RequestLog(tmp_path).read_on()
