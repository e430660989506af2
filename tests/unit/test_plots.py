"""The availability timeline, without looking at it."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from xml.dom import minidom

import pytest
from matplotlib.colors import to_hex

from signoff import latency_plots, plots
from signoff.plots import BAD, GOOD, Event, Point, Window


def points(pattern: str, start: float = 100.0) -> list[Point]:
    return [Point(start + i / 10, 0.02, mark == "+") for i, mark in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", []),
        ("+", [(True, 100.0, 100.0)]),
        ("+++", [(True, 100.0, 100.2)]),
        ("++-+", [(True, 100.0, 100.2), (False, 100.2, 100.3), (True, 100.3, 100.3)]),
        ("--+", [(False, 100.0, 100.2), (True, 100.2, 100.2)]),
    ],
)
def test_stretches_of_one_state(
    pattern: str, expected: Sequence[tuple[bool, float, float]]
) -> None:
    assert plots.stretches(points(pattern)) == [
        (ok, pytest.approx(start), pytest.approx(end)) for ok, start, end in expected
    ]


def drawn(**series: str) -> plots.Figure:
    return plots.timeline(
        "losing a node",
        {name: points(pattern) for name, pattern in series.items()},
        [Window("fault", 102.0, 104.0)],
        [Event("node reported Down", 103.0), Event("first good answer", 103.5)],
        origin=102.0,
    )


def strip(figure: plots.Figure, axis: int) -> list[str]:
    """Return the colours of an axis' strip, from left to right."""
    found = [
        (patch.get_x(), to_hex(patch.get_facecolor()))
        for patch in figure.axes[axis].patches
        if to_hex(patch.get_facecolor()) in (GOOD, BAD)
    ]
    return [colour for _, colour in sorted(found)]


def test_each_target_has_an_axis_of_its_own() -> None:
    figure = drawn(edge="+" * 20 + "-" * 10 + "+" * 20, canary="+" * 50)
    assert [axis.get_ylabel().split("\n")[0] for axis in figure.axes] == ["edge", "canary"]
    assert strip(figure, 0) == [GOOD, BAD, GOOD]
    assert strip(figure, 1) == [GOOD]


def test_a_single_bad_request_among_many_is_drawn_with_an_outline() -> None:
    figure = drawn(edge="+" * 600 + "-" + "+" * 600)
    (bad,) = [p for p in figure.axes[0].patches if to_hex(p.get_facecolor()) == BAD]
    assert bad.get_linewidth() >= 1


def test_the_legend_counts() -> None:
    legend = drawn(edge="+++--").axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["3 good", "2 bad"]


def test_seconds_count_from_the_fault() -> None:
    figure = drawn(edge="+" * 50)
    assert figure.axes[-1].get_xlabel() == "seconds since the fault"
    low, high = figure.axes[0].get_xlim()
    assert low == pytest.approx(-2, abs=0.5)
    assert high == pytest.approx(2.9, abs=0.5)


def test_windows_and_events_are_named_once_in_order() -> None:
    figure = drawn(edge="+" * 50, canary="+" * 50)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["fault", "node reported Down", "first good answer"]


@pytest.mark.parametrize("pattern", ["", "+", "-", "---", "+++"])
def test_anything_can_be_drawn(pattern: str) -> None:
    assert plots.as_png(drawn(edge=pattern)).startswith(b"\x89PNG")


def test_a_request_that_was_never_sent_has_no_latency_and_is_drawn() -> None:
    figure = plots.timeline("x", {"edge": [Point(1.0, 0.0, False)]}, [], [], origin=0)
    assert plots.as_png(figure).startswith(b"\x89PNG")


def test_requests_may_come_in_any_order() -> None:
    series = {"edge": points("++--++")[::-1]}
    assert strip(plots.timeline("x", series, [], [], origin=0), 0) == [GOOD, BAD, GOOD]


def test_nothing_at_all_can_be_drawn() -> None:
    assert plots.as_png(plots.timeline("none", {}, [], [], origin=0)).startswith(b"\x89PNG")


def test_the_svg_loads_nothing_and_needs_no_font() -> None:
    svg = plots.as_svg(drawn(edge="+++---+++"))
    assert minidom.parseString(svg).getElementsByTagName("text") == []
    assert not re.search(r"""(href|src)=["'](?!#)""", svg)
    assert svg == plots.as_svg(drawn(edge="+++---+++"))


def test_the_png_is_as_wide_as_a_report() -> None:
    png = plots.as_png(drawn(edge="+++"))
    (width,) = struct.unpack(">I", png[16:20])
    assert width == 1100


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        ([(0, "fault"), (7, "healed")], [0, 0]),
        ([(0, "fault"), (6.9, "healed")], [0, 1]),
        ([(0, "fault"), (1, "a"), (2, "b"), (3, "c")], [0, 1, 2, 3]),
        ([(0, "fault"), (1, "a"), (4, "b"), (7, "c")], [0, 1, 1, 0]),
    ],
)
def test_a_name_stands_on_the_lowest_line_where_it_meets_no_other(
    marks: list[tuple[float, str]], expected: list[int]
) -> None:
    assert plots.lines_for(marks, 1.0) == expected


def test_the_names_of_close_events_do_not_overlap() -> None:
    events = [Event(f"something happened {i}", 102 + i / 10) for i in range(6)]
    figure = plots.timeline(
        "t", {"edge": points("+" * 600)}, [Window("fault", 101, 120)], events, origin=101
    )
    plots.as_png(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 7
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("last", [94218.51310770371, 94034.91627785105, 93914.91627785105])
def test_the_last_answer_is_in_the_last_slice(last: float) -> None:
    """120 slices of (last - first) / 120 may end before the last moment, by rounding."""
    first = 93914.91627785105
    edges = latency_plots.slices([first, last])
    assert edges[-1] > last
    found = latency_plots.bands([Point(first, 0.1, ok=True), Point(last, 0.1, ok=True)], edges)
    assert found[50][-1] == 0.1
