"""Refs of both sides, and what is told of a restored clone."""

from __future__ import annotations

from verify.mirror.comparing import compare
from verify.mirror.projects import Project
from verify.mirror.refs import Refs, Unread, difference, parse
from verify.mirror.restoring import judge, spread

SOURCE = {"refs/heads/main": "a", "refs/heads/dev": "b", "refs/tags/v1": "c"}


def project(name: str) -> Project:
    return Project(1, f"g/{name}", f"gl/{name}", False, (), ())


def told(copy: Refs | Unread, *, waits: bool = False) -> tuple[list[str], int, int]:
    found = compare(
        [project("x")], {"gl/x": SOURCE, "gh/g/x": copy}, lambda p: f"gh/{p}", lambda _: waits
    )
    return found.problems, found.kept, found.waiting


def test_refs_are_the_same_or_it_says_which() -> None:
    assert told(SOURCE) == ([], 0, 0)
    assert told({}) == (["g/x: the mirror is empty"], 0, 0)
    no_tags = {ref: at for ref, at in SOURCE.items() if "tags" not in ref}
    assert told(no_tags) == (["g/x: the mirror lacks tags/v1"], 0, 0)
    assert told({**SOURCE, "refs/heads/dev": "z"}) == (
        ["g/x: the mirror has another commit at dev"],
        0,
        0,
    )


def test_what_gitlab_keeps_is_counted_and_no_problem() -> None:
    assert told({**SOURCE, "refs/heads/old": "q"}) == ([], 1, 0)


def test_a_push_under_way_is_waited_for_and_a_repository_that_cannot_be_read_is_not() -> None:
    assert told({}, waits=True) == ([], 0, 1)
    assert told(Unread("fatal: not found"), waits=True) == (
        ["g/x: its mirror cannot be read: fatal: not found"],
        0,
        0,
    )


def test_many_refs_are_named_shortly() -> None:
    many = {f"refs/heads/b{number}": "a" for number in range(9)}
    assert difference(many, {}).problems == ["lacks b0, b1, b2 and 6 more"]


def test_ls_remote_s_answers() -> None:
    output = (
        "url 0 http://h/a.git\nref 1f\trefs/heads/main\nref 2e\trefs/tags/v 1\n"
        "url 0 http://h/empty.git\n"
        "url 128 http://h/b.git\nsaid remote: Not found\nsaid fatal: no\n"
    )
    found = parse(output)
    assert found["http://h/a.git"] == {"refs/heads/main": "1f", "refs/tags/v 1": "2e"}
    assert found["http://h/empty.git"] == {}
    assert found["http://h/b.git"] == "remote: Not found fatal: no"
    assert isinstance(found["http://h/b.git"], Unread)


GOOD = (
    "copy ref refs/heads/main a\nsource ref refs/heads/main a\n"
    "copy objects 9 0123 -\nsource objects 9 0123 -\n"
)


def test_a_clone_that_is_whole() -> None:
    assert judge("g/x", GOOD).problems == []
    assert judge("g/x", GOOD).objects == 9


def test_a_clone_that_is_not() -> None:
    assert judge("g/x", GOOD + "copy fsck missing blob 77\n").problems == [
        "g/x: fsck: missing blob 77"
    ]
    both = GOOD + "copy fsck zeroPaddedFilemode 77\nsource fsck zeroPaddedFilemode 77\n"
    assert judge("g/x", both).problems == [], "an old import has it in GitLab itself"
    assert judge("g/x", GOOD.replace("copy ref refs/heads/main a", "copy ref x b")).problems == [
        "g/x: the clone's refs/heads/main is missing, not a"
    ]
    assert judge("g/x", GOOD.replace("copy objects 9 0123", "copy objects 8 4567")).problems == [
        "g/x: 8 objects, the source has 9"
    ]
    assert judge("g/x", "").objects == 0


def test_projects_are_chosen_from_end_to_end() -> None:
    paths = [f"p{number}" for number in range(1, 103)]
    assert spread(paths, 3) == ["p1", "p51", "p102"]
    assert spread(paths[:2], 3) == ["p1", "p2"]
    assert spread(paths, 1) == ["p1"]
    assert spread([], 3) == []
