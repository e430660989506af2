"""The pure parts around the probe: checks, HTTP, settings, percentiles, phases, validity."""

from __future__ import annotations

import errno
import json
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import CutoverError
from load import http10, validity
from load.asking import kind
from load.checks import Target, verdict
from load.http10 import BadAnswer
from load.percentiles import percentile
from load.phases import Phase, phases, results
from load.settings import Settings, read_settings
from tests.unit.load_builders import series

ENTRIES = {"n1": "http://127.0.0.1:8080/"}
SHOP = Target("shop", ENTRIES, "service", "shop")


# --- the right answer


@pytest.mark.parametrize(
    ("checks", "body", "right"),
    [
        ({"key": "service", "value": "shop"}, '{"service": "shop"}', True),
        ({"key": "service", "value": "shop"}, '{"service": "shopping"}', False),
        ({"key": "service", "value": "shop"}, '{"service": null}', False),
        ({"key": "service", "value": "shop"}, "not JSON", False),
        ({"key": "service", "value": "shop"}, "", False),
        ({"key": "service", "value": "shop"}, '["service"]', False),
        ({"key": "service", "value": "null"}, "{}", False),
        ({"key": "up.by", "value": "shop"}, '{"up": {"by": "shop"}}', True),
        ({"key": "up.by", "value": "shop"}, '{"up": "shop"}', False),
        ({"key": "ready", "value": "true"}, '{"ready": true}', True),
        ({"key": "n", "value": "3"}, '{"n": 3}', True),
        ({"text": "welcome"}, "<h1>welcome</h1>", True),
        ({"text": "welcome"}, "<h1>sorry</h1>", False),
        ({"pattern": r"v\d+"}, "this is v12", True),
        ({"pattern": r"v\d+"}, "this is v", False),
        ({"key": "n", "value": "3", "text": "x"}, '{"n": 3}', False),
    ],
)
def test_the_content_decides(checks: dict[str, str], body: str, right: bool) -> None:
    said, _ = verdict(Target("shop", ENTRIES, **checks), 200, body.encode())
    assert said == ("ok" if right else f"wrong body: {body.encode()[:80]!r}")


def test_another_status_is_wrong_whatever_the_body() -> None:
    assert verdict(SHOP, 503, b'{"service": "shop"}') == ("status 503", "")


def test_a_wrong_body_is_quoted_in_short() -> None:
    said, _ = verdict(SHOP, 200, b"x" * 500)
    assert said == f"wrong body: {b'x' * 80!r}"


def test_who_served_is_told_when_the_answer_does() -> None:
    assert verdict(SHOP, 200, b'{"service": "shop", "node": "n1"}') == ("ok", "n1")
    assert verdict(SHOP, 200, b'{"service": "shop"}') == ("ok", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entries": {}}, "no entry"),
        ({"entries": {"n1": "127.0.0.1:80"}}, "no http or https URL"),
        ({"entries": {"n1": "ftp://n1/"}}, "no http or https URL"),
        ({"entries": {"n1": "http:///path"}}, "no http or https URL"),
        ({"key": "", "value": ""}, "no content check"),
        ({"pattern": "("}, "pattern"),
    ],
)
def test_a_target_must_say_whom_and_what(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CutoverError, match=message):
        replace(SHOP, **change)


# --- HTTP/1.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", (200, b"body")),
        (b"HTTP/1.0 404 \r\n\r\n", (404, b"")),
        (b"HTTP/1.1 204\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 200 OK\r\nCONTENT-Length: 4\r\n\r\nbody", (200, b"body")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyguard", (200, b"body")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody", (200, b"body")),
    ],
)
def test_an_answer_is_split(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert http10.parse(answer) == expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nA: b", "not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 20x OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody", "chunked"),
    ],
)
def test_what_is_no_answer_says_why(answer: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        http10.parse(answer)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (BadAnswer("cut off"), "cut off"),
        (socket.gaierror(-2, "unknown"), "no such name"),
        (OSError(errno.EHOSTUNREACH, "no route"), "unreachable"),
        (OSError(errno.EMFILE, "too many"), "not sent: [Errno 24] too many"),
        (OSError("several"), "broken: OSError: several"),
        (KeyError("x"), "broken: KeyError: 'x'"),
    ],
)
def test_each_failure_has_a_name(error: Exception, name: str) -> None:
    assert kind(error) == name


# --- settings


def test_settings_survive_the_file(tmp_path: Path) -> None:
    settings = Settings([SHOP], rate=20, timeout=0.5, duration=30)
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(settings.as_json()))
    assert read_settings(path) == settings


@pytest.mark.parametrize(
    "change",
    [
        {"targets": []},
        {"targets": [SHOP, SHOP]},
        {"rate": 0},
        {"timeout": -1},
        {"duration": 0},
        {"duration": 1e9},
        {"rate": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CutoverError):
        Settings(**{"targets": [SHOP], **change})


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"targets": [{"nme": 1}]}', '{"speed": 1}', '{"targets": 3}']
)
def test_a_file_that_is_none_of_ours_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "probe.json"
    path.write_text(content)
    with pytest.raises(CutoverError):
        read_settings(path)
    with pytest.raises(CutoverError):
        read_settings(tmp_path / "absent.json")


# --- percentiles


@pytest.mark.parametrize(
    ("rank", "expected"), [(0, 1), (1, 1), (50, 50), (95, 95), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentiles_are_values_that_occurred(rank: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], rank) == expected


@pytest.mark.parametrize("seed", range(10))
def test_percentiles_are_nearest_rank(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.uniform(0, 9) for _ in range(chance.randrange(1, 200))]
    for rank in (50, 95, 99, 100):
        expected = next(
            v for v in sorted(values) if 100 * sum(o <= v for o in values) >= rank * len(values)
        )
        assert percentile(values, rank) == expected


def test_percentiles_of_few_values() -> None:
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([1.0, 2.0], 51) == 2.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


# --- phases


def test_phases_follow_each_other() -> None:
    assert phases([("steady", 0.0), ("recovery", 5.0), ("fault", 2.0)], 9.0) == [
        Phase("steady", 0.0, 2.0),
        Phase("fault", 2.0, 5.0),
        Phase("recovery", 5.0, 9.0),
    ]
    assert phases([], 9.0) == []
    with pytest.raises(ValueError, match="after the end"):
        phases([("steady", 10.0)], 9.0)


def test_results_count_a_request_where_it_was_due() -> None:
    samples = series("+" * 5 + "-" * 5, latency=0.3)
    steady, fault, nothing = results(
        samples, [Phase("steady", 0, 0.45), Phase("fault", 0.45, 1), Phase("recovery", 1, 2)]
    )
    assert (steady.n, steady.bad, steady.p50, steady.p99) == (
        5,
        0,
        pytest.approx(0.3),
        pytest.approx(0.3),
    )
    assert (fault.n, fault.bad, fault.p50) == (5, 5, None)
    assert (nothing.n, nothing.bad) == (0, 0)


def test_latency_counts_from_when_it_was_due() -> None:
    (result,) = results(series("+++", latency=0.1, lag=0.4), [Phase("steady", 0, 1)])
    assert result.p50 == pytest.approx(0.5)


# --- validity


def test_a_generator_in_time_is_not_objected_to() -> None:
    assert validity.objections(series("+" * 50), 10) == []


def test_a_generator_that_lagged_is() -> None:
    (objection,) = validity.objections(series("+" * 50, lag=0.3), 10)
    assert "lag p99 is 0.30 s" in objection


def test_a_generator_that_sent_too_few_is() -> None:
    (objection,) = validity.objections(series("+" * 50, rate=9), 10)
    assert "only 9.0 of 10 requests a second" in objection
    assert validity.objections(series("+" * 50, rate=9.6), 10) == []


@pytest.mark.parametrize("pattern", ["", "+"])
def test_hardly_any_request_is_no_measurement(pattern: str) -> None:
    assert validity.objections(series(pattern), 10) == [f"only {len(pattern)} requests were sent"]


def test_requests_that_could_not_be_sent_are_the_generators_fault() -> None:
    samples = series("+" * 50)
    samples[3] = replace(samples[3], ok=False, entries={"n1": "not sent: 500 under way already"})
    assert validity.objections(samples, 10) == ["1 requests could not be sent to every entry"]


def test_a_fault_needs_good_traffic_before_it() -> None:
    assert validity.objections_before(series("+" * 30), 2.5) == []
    assert validity.objections_before(series("+" * 30), 1.0) != []
    assert validity.objections_before(series("-" * 30), 2.5) == [
        "only 0 good answers before the fault (at least 20)"
    ]
