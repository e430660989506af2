"""The ledger: on disk before anything is broken, readable whatever happened to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos import ledger as ledger_module
from chaos.fault import Plan, Power, Shell
from chaos.ledger import Ledger, Owner, ledgers, parse, sources
from tests.unit.chaos_builders import breaking

OWNER = Owner(4711, 99)
PLAN = Plan(
    (
        breaking("a", "m2", gone="LOOK b", gone_at="@manager", within=3.0, gone_within=4.0),
        Power("w1", frozen=True),
    ),
    touches=frozenset({"w1", "m2"}),
    takes_away=frozenset({"w1"}),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "faults.jsonl", "twin:test")


def intend(ledger: Ledger, *ids: str) -> None:
    for fault_id in ids:
        ledger.intend(fault_id, f"fault {fault_id}", PLAN, OWNER)


def open_ids(ledger: Ledger) -> list[str]:
    return [entry.id for entry in ledger.open()]


# -- what is open ---------------------------------------------------------------------------------


def test_an_intent_is_open_with_all_that_undoes_it(ledger: Ledger) -> None:
    intend(ledger, "id1")
    [entry] = ledger.open()
    assert (entry.id, entry.label, entry.source) == ("id1", "fault id1", "twin:test")
    assert entry.owner == OWNER
    assert (entry.touches, entry.takes_away) == (PLAN.touches, PLAN.takes_away)
    assert entry.at > 0
    shell, power = entry.steps
    assert shell == replace(PLAN.steps[0], do="")
    assert power == PLAN.steps[1]


def test_what_breaks_is_not_kept(ledger: Ledger) -> None:
    intend(ledger, "id1")
    assert "BREAK" not in ledger.file.read_text()


def test_a_fault_stays_open_when_it_is_in_force_and_until_it_is_healed(ledger: Ledger) -> None:
    intend(ledger, "id1")
    ledger.in_force("id1", "seen")
    assert open_ids(ledger) == ["id1"]
    ledger.healed("id1")
    assert open_ids(ledger) == []


def test_open_faults_come_oldest_first(ledger: Ledger) -> None:
    intend(ledger, "c", "a", "b")
    ledger.healed("a")
    assert open_ids(ledger) == ["c", "b"]


def test_healing_twice_or_something_unknown_does_no_harm(ledger: Ledger) -> None:
    intend(ledger, "id1")
    for fault_id in ("other", "id1", "id1"):
        ledger.healed(fault_id)
    assert ledger.read() == ([], [])


def test_without_a_file_nothing_is_open(ledger: Ledger) -> None:
    assert ledger.read() == ([], [])
    assert not ledger.file.exists()


def test_another_object_reads_the_same(ledger: Ledger) -> None:
    intend(ledger, "id1")
    assert open_ids(Ledger(ledger.file, "elsewhere")) == ["id1"]
    assert sources(Ledger(ledger.file, "elsewhere").open()) == {"twin:test"}


# -- on disk --------------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was synced, in order: a folder, or a file with what it held at that moment."""
    seen: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            seen.append(f"folder {path.name}")
        else:
            last = json.loads(path.read_text().splitlines()[-1])
            seen.append(f"{last['event']} {last['id']}")

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_an_intent_is_wholly_on_disk_before_it_returns(ledger: Ledger, synced: list[str]) -> None:
    intend(ledger, "id1")
    # The folder too: a new file's name is not on disk by its content.
    assert synced == ["intent id1", f"folder {ledger.file.parent.name}"]


def test_only_a_new_file_has_its_folder_synced(ledger: Ledger, synced: list[str]) -> None:
    intend(ledger, "id1", "id2")
    ledger.healed("id1")
    assert synced[2:] == ["intent id2", "healed id1"]


def test_an_intent_that_cannot_be_synced_is_not_believed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        intend(ledger, "id1")


# -- damage ---------------------------------------------------------------------------------------


def test_after_a_half_written_line_the_next_one_stands_by_itself(ledger: Ledger) -> None:
    intend(ledger, "id1")
    whole = ledger.file.read_bytes()
    ledger.file.write_bytes(whole + whole[: len(whole) // 2])
    intend(ledger, "id2")
    opened, damage = ledger.read()
    assert [entry.id for entry in opened] == ["id1", "id2"]
    assert len(damage) == 1
    assert f"{ledger.file}: line 2 cannot be read" in damage[0]


def test_a_whole_line_whose_end_is_missing_is_read_with_the_next(ledger: Ledger) -> None:
    intend(ledger, "id1")
    ledger.file.write_bytes(ledger.file.read_bytes().rstrip(b"\n"))
    intend(ledger, "id2")
    opened, damage = ledger.read()
    assert [entry.id for entry in opened] == ["id1", "id2"]
    assert damage == []


def test_a_half_written_line_can_be_healed_past(ledger: Ledger) -> None:
    intend(ledger, "id1")
    with ledger.file.open("ab") as file:
        file.write(b'{"event": "intent", "id": "id2", "fa')
    ledger.healed("id1")
    opened, damage = ledger.read()
    assert opened == []
    assert len(damage) == 1


GARBAGE = [
    b"\xff\xfe\x00 not UTF-8 \x80",
    b"\x00" * 4096,
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"intent"',
    b"{}",
    b'{"event": "intent"}',
    b'{"event": "healed"}',
    b'{"event": "intent", "id": ["id3"]}',
    b'{"event": "healed", "id": {}}',
    b'{"event": "intent", "id": "id3", "steps": 5}',
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_bad_line_is_named_and_passed_over(ledger: Ledger, garbage: bytes) -> None:
    intend(ledger, "id1", "id2")
    first, second = ledger.file.read_bytes().splitlines(keepends=True)
    ledger.file.write_bytes(first + garbage + b"\n" + second)
    opened, damage = ledger.read()
    assert [entry.id for entry in opened] == ["id1", "id2"]
    assert len(damage) == 1
    assert "line 2 cannot be read" in damage[0]
    assert "passed over" in damage[0]


def test_empty_lines_are_no_damage(ledger: Ledger) -> None:
    intend(ledger, "id1")
    ledger.file.write_bytes(b"\n  \n" + ledger.file.read_bytes() + b"\n")
    assert [entry.id for entry in ledger.open()] == ["id1"]
    assert ledger.read()[1] == []


def test_an_event_of_a_later_version_is_no_damage() -> None:
    assert parse('{"event": "noted", "id": "id1"}', "x") == ([], [])


def line(**changed: object) -> str:
    """An intent's line; a value of None takes the field away."""
    data: dict[str, object] = {
        "event": "intent",
        "id": "id1",
        "fault": "a fault",
        "source": "twin:test",
        "owner": {"pid": 1, "started": 2},
        "at": 3.0,
        "touches": ["m1"],
        "takes_away": [],
        "steps": [{"via": "power", "node": "m1"}],
        **changed,
    }
    return json.dumps({key: value for key, value in data.items() if value is not None})


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": [{"via": "magic", "node": "m1"}]},
        {"steps": [{"node": "m1"}]},
        {"steps": [{"via": "power"}]},
        {"steps": [{"via": "shell", "node": "m1"}]},
        {"steps": [{"via": "power", "node": "m1"}, "and more"]},
        {"steps": [None]},
        *({field: None} for field in ("event", "id", "fault", "source", "owner", "at")),
        *({field: None} for field in ("touches", "takes_away", "steps")),
        {"owner": {"pid": 1}},
        {"owner": {"pid": "x", "started": 2}},
        {"owner": 5},
        {"at": "yesterday"},
        {"at": [1]},
    ],
    ids=str,
)
def test_an_intent_that_lacks_something_is_damage_and_no_fault(changed: dict[str, object]) -> None:
    other = line(id="id2")
    opened, damage = parse(f"{line(**changed)}\n{other}\n", "the file")
    assert [entry.id for entry in opened] == ["id2"]
    assert len(damage) == 1
    assert damage[0].startswith("the file: line 1 cannot be read")


def test_a_line_that_is_whole_is_read() -> None:
    [entry] = parse(line(), "x")[0]
    assert entry.owner == Owner(1, 2)
    assert entry.steps == (Power("m1"),)


def test_a_step_with_fields_of_a_later_version_is_read() -> None:
    step = {"via": "shell", "node": "m1", "do": "", "undo": "u", "in_force": "f", "later": 1}
    [entry] = parse(line(steps=[step]), "x")[0]
    assert entry.steps == (Shell("m1", do="", undo="u", in_force="f"),)


# -- owners ---------------------------------------------------------------------------------------


def test_this_process_is_alive() -> None:
    assert Owner.me().pid == os.getpid()
    assert Owner.me().started > 0
    assert Owner.me().alive


def test_the_same_id_with_another_start_is_another_process() -> None:
    me = Owner.me()
    assert not replace(me, started=me.started - 1).alive
    assert not replace(me, started=0).alive


def test_a_process_that_ended_is_not_alive_even_while_nobody_took_note() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        started = ledger_module._started(child.pid)
        assert started is not None
        owner = Owner(child.pid, started)
        assert owner.alive
        assert child.stdin is not None
        child.stdin.close()
        # WNOWAIT leaves it a zombie, which still has its id and its start.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not owner.alive
    finally:
        child.wait(timeout=10)
    assert not owner.alive


def test_a_name_with_blanks_and_brackets_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "x) Z 1 ("
    program.symlink_to(Path("/bin/cat").resolve())
    child = subprocess.Popen([program], stdin=subprocess.PIPE)
    try:
        started = ledger_module._started(child.pid)
        assert started is not None
        assert started >= Owner.me().started
    finally:
        child.communicate(timeout=10)


def test_an_owner_survives_the_file(ledger: Ledger) -> None:
    ledger.intend("id1", "x", PLAN, Owner.me())
    ledger.intend("id2", "y", PLAN, replace(Owner.me(), started=1))
    assert [entry.owner.alive for entry in ledger.open()] == [True, False]


# -- the end --------------------------------------------------------------------------------------


def test_a_ledger_is_forgotten_when_nothing_is_open(ledger: Ledger) -> None:
    intend(ledger, "id1")
    ledger.healed("id1")
    ledger.forget()
    assert not ledger.file.exists()
    ledger.forget()
    assert ledger.read() == ([], [])


def test_a_ledger_with_an_open_fault_is_kept(ledger: Ledger) -> None:
    intend(ledger, "id1", "id2")
    ledger.healed("id1")
    before = ledger.file.read_bytes()
    ledger.forget()
    assert ledger.file.read_bytes() == before


def test_a_ledger_with_a_line_that_nobody_could_read_is_kept(ledger: Ledger) -> None:
    # It may have been an intent, and is the only trace of it.
    ledger.file.write_bytes(b'{"event": "intent", "id"\n')
    ledger.forget()
    assert ledger.file.exists()


def test_what_is_healed_after_the_file_vanished_makes_no_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    Ledger(folder / "faults.jsonl", "twin:test").healed("id1")
    assert not folder.exists()


def test_all_clusters_ledgers_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ledgers() == []
    for cluster in ("shop", "twin-a"):
        Ledger.of(cluster, f"source of {cluster}").intend("id1", cluster, PLAN, OWNER)
    Ledger.of("without", "x")
    assert [file.parent.name for file in ledgers()] == ["shop", "twin-a"]
    assert open_ids(Ledger.of("shop", "x")) == ["id1"]


# -- several processes ----------------------------------------------------------------------------

_PROCESSES, _EACH = 8, 9
_WRITER = """
import sys
from pathlib import Path
from chaos.fault import Plan, Power
from chaos.ledger import Ledger, Owner

ledger, me = Ledger(Path(sys.argv[1]), "twin:test"), sys.argv[2]
sys.stdin.read()
for number in range(int(sys.argv[3])):
    plan = Plan((Power("m1"),) * 40, frozenset({"m1"}))
    ledger.intend(f"{me}-{number}", "x" * 3000, plan, Owner.me())
    if number % 2:
        ledger.healed(f"{me}-{number}")
"""


def test_appends_of_eight_processes_at_once_lose_nothing(ledger: Ledger) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, ledger.file, str(number), str(_EACH)],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for number in range(_PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        assert [writer.wait(timeout=60) for writer in writers] == [0] * _PROCESSES
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(timeout=10)
    opened, damage = ledger.read()
    assert damage == []
    expected = {f"{w}-{n}" for w in range(_PROCESSES) for n in range(0, _EACH, 2)}
    assert {entry.id for entry in opened} == expected
    healed = _EACH // 2
    assert len(ledger.file.read_text().splitlines()) == _PROCESSES * (_EACH + healed)
