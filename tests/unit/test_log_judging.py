from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.errors import CutoverError
from verify.logs.judging import Entry, Line, judge, told
from verify.logs.loki import lines_with, parse_streams
from verify.logs.speaking import Speaker, joined, numbered, parse_speakers
from verify.logs.texts import line_of

SECOND = 10**9
LINE = Line("mark 1", "hpr", "stack_web", "web.1.x", "stdout", 10 * SECOND, 11 * SECOND)


def entry(line: Line, ns: int = 10 * SECOND, **labels: str) -> Entry:
    return Entry({**line.labels, **labels}, ns, line.text)


def test_a_line_found_as_it_was_written() -> None:
    found = judge([LINE], [entry(LINE)])
    assert (found.missing, found.misplaced, found.repeated, found.off) == ((), (), (), 0)
    assert found.found == 1


def test_lines_that_only_contain_it_are_others() -> None:
    """Loki writes the queries that it is asked into its own log."""
    found = judge([LINE], [replace(entry(LINE), text='query="mark 1"')])
    assert found.missing == (LINE,)
    assert found.found == 0


def test_a_line_that_became_the_rest_of_another_one_is_found() -> None:
    """A program without a buffer writes a line's text and its end apart."""
    glued = replace(entry(LINE), text="cannot reach Lokimark 1")
    found = judge([LINE], [glued])
    assert (found.missing, found.found) == ((), 1)
    elsewhere = replace(glued, labels={**LINE.labels, "container": "web.2.y"})
    assert judge([LINE], [elsewhere]).missing == (LINE,)
    assert judge([LINE], [replace(glued, text="mark 11")]).missing == (LINE,)


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        ({"node": "gmktec"}, "hpr: node gmktec instead of hpr"),
        ({"service": ""}, "hpr: service missing instead of stack_web"),
        ({"container": "web.2.y"}, "hpr: container web.2.y instead of web.1.x"),
        ({"stream": "stderr"}, "hpr: stream stderr instead of stdout"),
    ],
)
def test_a_line_under_other_labels(labels: dict[str, str], wrong: str) -> None:
    assert judge([LINE], [entry(LINE, **labels)]).misplaced == (wrong,)


def test_a_container_s_name_may_have_the_api_s_slash() -> None:
    assert judge([LINE], [entry(LINE, container="/web.1.x")]).misplaced == ()


def test_a_stream_that_cannot_be_told_may_be_either() -> None:
    line = replace(LINE, stream="", service="")
    assert judge([line], [entry(line, stream="stderr", service="any")]).misplaced == ()


def test_a_line_kept_twice() -> None:
    found = judge([LINE], [entry(LINE), entry(LINE, 10 * SECOND + 1)])
    assert found.repeated == ("hpr: web.1.x, 2 copies",)
    assert found.found == 1


@pytest.mark.parametrize(("ns", "off"), [(9, 1), (10, 0), (11, 0), (14, 3)])
def test_how_far_a_stamp_is_off(ns: int, off: float) -> None:
    assert judge([LINE], [entry(LINE, ns * SECOND)]).off == off


def lines() -> list[Line]:
    return [
        replace(LINE, text=f"m {node} {service} {stream}", node=node, stream=stream,
                service=service, container=f"{service}.{node}")
        for node in ("a", "b", "c")
        for service in ("web", "db")
        for stream in ("stdout", "stderr")
    ]  # fmt: skip


def test_what_is_missing_is_told_by_its_largest_group() -> None:
    written = lines()

    def missing(chosen: str) -> str:
        return told([line for line in written if chosen in line.text], written)

    assert missing("m a ") == "nothing of the 4 lines of node a"
    assert missing(" db ") == "nothing of the 6 lines of service db"
    both = [line for line in written if line.node == "a" or line.service == "db"]
    assert told(both, written) == (
        "nothing of the 4 lines of node a; nothing of the 6 lines of service db"
    )
    assert missing("m b db ") == "nothing of the 2 lines of db.b on b"
    assert missing("a web stderr") == "'m a web stderr' of web.a (stderr) on a"
    assert missing("stderr") == "; ".join(
        f"nothing of the 2 lines on stderr of node {node}" for node in "abc"
    )
    many = [replace(LINE, text=str(n)) for n in range(20)]
    assert told(many[:8], many).endswith("and 3 more")


def test_the_query_is_logql() -> None:
    assert lines_with('a "b" ü', node="hpr") == '{node="hpr"} |= "a \\"b\\" ü"'
    assert lines_with("x") == '{node=~".+"} |= "x"'


@pytest.mark.parametrize("data", [None, {}, {"resultType": "matrix", "result": []}, []])
def test_what_is_no_answer_to_a_log_query(data: object) -> None:
    with pytest.raises(CutoverError):
        parse_streams(data)


def test_streams_are_read() -> None:
    data = {
        "resultType": "streams",
        "result": [{"stream": {"node": "a"}, "values": [["7", "x"], ["8", "y"]]}],
    }
    assert parse_streams(data) == [Entry({"node": "a"}, 7, "x"), Entry({"node": "a"}, 8, "y")]


def test_containers_are_read_with_what_their_outputs_are() -> None:
    text = (
        "1f 77 /stack_web.1.x stack_web pipe:[1] pipe:[2]\n"
        "2f 78 /alone - pipe:[3] pipe:[3]\n"
        "3f 79 /quiet - /dev/null pipe:[4]\n"
    )
    web, alone, quiet = parse_speakers("hpr", text)
    assert web == Speaker("hpr", "1f", 77, "stack_web.1.x", "stack_web", ("pipe:[1]", "pipe:[2]"))
    assert web.streams() == {"/proc/77/fd/1": "stdout", "/proc/77/fd/2": "stderr"}
    assert alone.service == ""
    assert alone.streams() == {"/proc/78/fd/1": ""}
    assert quiet.streams() == {"/proc/79/fd/2": "stderr"}


def test_nothing_written_proves_nothing() -> None:
    with pytest.raises(CutoverError, match="nothing could be written: no pipe"):
        joined("m", {"a": ([], ["no pipe"])})


@pytest.mark.parametrize(
    ("size", "characters"),
    [(16385, "abc"), (40000, "äöüжλ"), (40000, "😀"), (4000, "aé漢字😀 العربية"), (99, 'a"\\')],
)
def test_lines_of_a_length(size: int, characters: str) -> None:
    line = line_of("cutover-line-abc hpr 1 ", size, characters)
    assert len(line.encode()) == size
    assert characters in line
    # No character lies across a border of the engine's pieces, where it would be damaged.
    if size > 16384 and len(characters[0].encode()) in (1, 2, 4):
        line.encode()[:16384].decode()


def test_a_length_that_does_not_come_out_even() -> None:
    with pytest.raises(CutoverError):
        line_of("abcd", 11, "😀")


def test_numbered_lines_are_unlike() -> None:
    made = numbered(12, 40)("hpr", "mark")
    assert len(set(made)) == 12
    assert {len(line) for line in made} == {40}
