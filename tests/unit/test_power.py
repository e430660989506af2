"""Power control by the inventory's commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fixtures.cluster import power
from fixtures.cluster.inventory import Inventory
from fixtures.cluster.power import CommandPower, Instant
from fixtures.errors import CannotProve, CutoverError


def commands(off: str = "true", on: str = "true") -> CommandPower:
    """Power control of m1 by these commands; m2 has none."""
    return CommandPower(
        Inventory.model_validate(
            {
                "cluster": "shop",
                "known_hosts": "known_hosts",
                "nodes": {
                    "m1": {
                        "address": "192.0.2.1",
                        "role": "manager",
                        "power": {"off": off, "on": on},
                    },
                    "m2": {"address": "192.0.2.2", "role": "manager"},
                },
            }
        )
    )


def test_an_instant_holds_both_clock_readings() -> None:
    assert Instant.between(10.0, 13.0) == Instant(11.5, 1.5)


def test_the_nodes_own_command_runs_with_its_arguments(tmp_path: Path) -> None:
    off, on = tmp_path / "is off", tmp_path / "is on"
    control = commands(off=f"touch {shlex.quote(str(off))}", on=f"touch {shlex.quote(str(on))}")
    control.off("m1")
    assert (off.exists(), on.exists()) == (True, False)
    control.on("m1")
    assert on.exists()


def test_a_command_is_not_given_to_a_shell(tmp_path: Path) -> None:
    control = commands(off=f"echo x; touch {tmp_path / 'ran'}")
    control.off("m1")
    assert not (tmp_path / "ran").exists()


def test_the_instant_covers_the_commands_run() -> None:
    instant = commands(off="sleep 0.2").off("m1")
    assert 0.1 <= instant.error < 2


def test_power_is_off_between_off_and_on() -> None:
    control = commands()
    seen = [control.is_on("m1")]
    control.off("m1")
    seen.append(control.is_on("m1"))
    control.on("m1")
    seen.append(control.is_on("m1"))
    assert seen == [True, False, True]


def test_a_command_that_fails_says_why_and_leaves_the_power_as_it_was() -> None:
    control = commands(off="sh -c 'echo chassis is deaf >&2; exit 3'")
    with pytest.raises(CutoverError, match="sh: power command exited with 3: chassis is deaf"):
        control.off("m1")
    assert control.is_on("m1")


def test_a_failed_on_leaves_the_node_off() -> None:
    control = commands(on="false")
    control.off("m1")
    with pytest.raises(CutoverError):
        control.on("m1")
    assert not control.is_on("m1")


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(CutoverError, match="no-such-power-command: power command failed"):
        commands(off="no-such-power-command --now").off("m1")


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "_COMMAND_SECONDS", 0.1)
    with pytest.raises(CutoverError, match="timed out"):
        commands(off="sleep 30").off("m1")


@pytest.mark.parametrize("action", ["off", "on"])
def test_without_commands_nothing_can_be_proven(action: str) -> None:
    with pytest.raises(CannotProve, match=r"nodes\.m2\.power: no power control"):
        getattr(commands(), action)("m2")


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_server_cannot_be_frozen(action: str) -> None:
    with pytest.raises(CannotProve, match="node m1"):
        getattr(commands(), action)("m1")
