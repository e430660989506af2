"""`python -m chaos`: what it takes, what it refuses before anything is touched, how it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos import __main__ as command
from chaos import catalogue, status
from chaos.fault import NotHealed, NotInForce, Plan
from chaos.healing import Healing
from chaos.ledger import Ledger, Owner
from fixtures.errors import CutoverError
from tests.unit.chaos_builders import ChaosCluster, breaking, quiet


@pytest.fixture
def said() -> Iterator[list[str]]:
    with quiet() as lines:
        yield lines


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The one ledger of this machine."""
    found = Ledger(tmp_path / "chaos" / "twin-test.jsonl", "twin:test")
    monkeypatch.setattr(Ledger, "of", lambda *_: found)
    monkeypatch.setattr(command, "ledgers", lambda: [found.file])
    return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ChaosCluster:
    """What is opened, whichever cluster is named."""
    found = ChaosCluster()

    @contextmanager
    def opened(_: str) -> Iterator[ChaosCluster]:
        yield found

    monkeypatch.setattr(command, "opened", opened)
    return found


def begin(ledger: Ledger) -> None:
    """Let a fault be in force of which only the ledger knows."""
    plan = Plan((breaking("web"),), frozenset({"m1"}))
    ledger.intend("f00d", "web", plan, Owner(1, 1))


def test_help_and_list_need_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    assert end.value.code == 0
    assert "exit status" in capsys.readouterr().out
    assert command.main(["list"]) == command.MET
    listed = capsys.readouterr().out
    assert all(name in listed for name in catalogue.known())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inject", "node.power-of", "node=hpr"], "Did you mean node.power-off"),
        (["inject", "network.cut", "node=hpr"], "needs peer"),
        (["inject", "network.cut", "hpr"], "not NAME=VALUE"),
        (["inject", "network.cut", "node=a", "node=b"], "given twice"),
        (["inject", "task.kill", "service=x", "--twin", "no-such-twin"], "no-such-twin"),
        (["inject", "task.kill", "service=x", "--inventory", "/none.yml"], "/none.yml"),
        (["status", "--twin", "no-such-twin"], "no-such-twin"),
        (["status", "--twin", "../Elsewhere"], "cannot name a twin"),
        (["drill", "/none.yml"], "/none.yml"),
    ],
)
def test_a_mistake_is_one_error_and_status_2(
    arguments: list[str],
    words: str,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    previous = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    try:
        assert command.main(arguments) == command.MISTAKE
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGHUP), previous, strict=True):
            signal.signal(number, handler)
    (error,) = [line for line in said if line.startswith("error:")]
    assert words in error


@pytest.mark.parametrize("time", ["0", "-3s", "2h", "61m", "soon", "nan"])
def test_a_time_that_is_none_is_refused_by_name(
    time: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["inject", "task.kill", "service=x", f"--for={time}"])
    assert end.value.code == 2
    assert "--for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotInForce("no effect"), command.NOT_IN_FORCE),
        (NotHealed("still there"), command.HARNESS),
        (CutoverError("wrong"), command.MISTAKE),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_ending_has_its_exit_status(
    error: BaseException, expected: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(command, "_list", fail)
    assert command.main(["list"]) == expected
    assert len(said) == 1


def test_status_with_nothing_in_force(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert not ledger.file.exists()
    assert command.main(["status"]) == command.MET
    assert "no fault is in force" in capsys.readouterr().out


@pytest.mark.usefixtures("said")
def test_status_names_what_is_in_force_and_fails(
    ledger: Ledger,
    cluster: ChaosCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin(ledger)
    monkeypatch.setattr(status, "of", lambda _, entries: [f"{e.label} in force" for e in entries])
    assert command.main(["status"]) == command.MISSED
    assert "web in force" in capsys.readouterr().out


@pytest.mark.usefixtures("said")
def test_heal_undoes_what_any_ledger_names(
    ledger: Ledger, cluster: ChaosCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(ledger)
    cluster.broken.add("web")
    assert command.main(["heal"]) == command.MET
    assert "1 of 1 faults undone" in capsys.readouterr().out
    assert not cluster.broken
    assert command.main(["heal"]) == command.MET
    assert "nothing to heal" in capsys.readouterr().out


def test_a_heal_that_fails_says_what_and_keeps_it(
    ledger: Ledger,
    cluster: ChaosCluster,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin(ledger)
    healing = Healing(0.0, failures=["web on m1: no answer"])
    monkeypatch.setattr(command, "heal_all", lambda *_: healing)
    assert command.main(["heal"]) == command.HARNESS
    assert any("web on m1: no answer" in line for line in said)
    assert [entry.label for entry in ledger.open()] == ["web"]
