"""A drill's file: what is read from it, and every refusal with its field and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos import catalogue
from chaos.drills.plan import as_rows, entries, load_drill, pick, replay_command
from fixtures.errors import CutoverError

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "name": "two",
    "schedule": [
        {"at": 20, "fault": "task.kill", "with": {"service": "canary"}, "for": 5},
        {"at": 1, "fault": "network.cut", "with": {"node": "a", "peer": "b"}, "for": 2.5},
    ],
}


def load(folder: Path, data: Any) -> Any:
    file = folder / "drill.yml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return load_drill(file, catalogue.known())


def test_the_schedule_is_in_order_of_time_with_its_defaults(tmp_path: Path) -> None:
    drill = load(tmp_path, GOOD)
    first, second = entries(drill, seed=1)
    assert (first.at, first.fault, first.lasts) == (1.0, "network.cut", 2.5)
    assert first.label == "network.cut node='a' peer='b'"
    assert second.arguments == {"service": "canary"}
    assert (drill.clients.targets, drill.clients.rate) == (["edge", "canary"], 10.0)
    assert not drill.quorum_may_be_lost
    assert not drill.several_domains


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name"),
        ({"nam": "x"}, "nam: there is no such field"),
        ({"schedule": []}, "schedule"),
        ({"schedule": None}, "exactly one of schedule and random"),
        (
            {"random": {"faults": 1, "over": 5, "lasts": [1, 2], "of": [{"fault": "x"}]}},
            "exactly one of schedule and random",
        ),
        ({"clients": {"rate": 0}}, "clients.rate"),
        ({"clients": {"rate": 1000}}, "clients.rate"),
        ({"clients": {"targets": []}}, "clients.targets"),
        ({"abort": [{"nodes_down": 1, "no_leader_for": 2}]}, "abort.0: must be exactly one of"),
        ({"abort": [{"nodes_up": 1}]}, "abort.0.nodes_up"),
        ({"criteria": {"availability_percent": 101}}, "criteria.availability_percent"),
        ({"schedule": [{"at": -1, "fault": "task.kill", "for": 1}]}, "schedule.0.at"),
        ({"schedule": [{"at": 1, "fault": "task.kill", "for": 0}]}, "schedule.0.for"),
        ({"schedule": [{"at": float("nan"), "fault": "task.kill", "for": 1}]}, "schedule.0.at"),
        ({"schedule": [{"at": 1, "fault": "task.kill", "for": float("inf")}]}, "schedule.0.for"),
        ({"schedule": [{"at": 1, "fault": "task.kil", "for": 1}]}, "Did you mean task.kill"),
        ({"schedule": [{"at": 1, "fault": "task.kill", "for": 1}]}, "task.kill needs service"),
        (
            {"schedule": [{"at": 1, "fault": "task.kill", "with": {"servis": "x"}, "for": 1}]},
            "takes no servis",
        ),
    ],
)
def test_a_mistake_is_one_error_with_file_and_field(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(CutoverError) as caught:
        load(tmp_path, {key: v for key, v in {**GOOD, **change}.items() if v is not None})
    assert words in str(caught.value)
    assert "drill.yml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("name: [", "is not YAML"), ("name: a\nname: b\n", "given twice"), ("", "must be a mapping")],
)
def test_what_is_no_drill_at_all(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CutoverError, match=words):
        load(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match="cannot be read"):
        load_drill(tmp_path / "none.yml", catalogue.known())


def test_some_entries_are_picked_in_their_order(tmp_path: Path) -> None:
    schedule = entries(load(tmp_path, GOOD), 1)
    assert pick(schedule, None) == schedule
    assert pick(schedule, [1]) == schedule[1:]
    assert pick(schedule, [1, 0, 1]) == schedule
    for wrong in ([], [2], [-1]):
        with pytest.raises(CutoverError, match="0 to 1"):
            pick(schedule, wrong)


def test_the_replay_command_can_be_pasted() -> None:
    command = replay_command(Path("my drills/x.yml"), 7, [0, 2], ["--twin", "default"])
    assert command == "python -m chaos drill 'my drills/x.yml' --twin default --seed 7 --only 0,2"
    assert replay_command(Path("x.yml"), None, None) == "python -m chaos drill x.yml"


def test_rows_for_the_report(tmp_path: Path) -> None:
    first, _ = as_rows(entries(load(tmp_path, GOOD), 1))
    assert first == {"at": 1.0, "fault": "network.cut node='a' peer='b'", "for": 2.5}


@pytest.mark.parametrize("file", sorted((ROOT / "features" / "drills").glob("*.yml")), ids=str)
def test_every_drill_of_the_project_can_be_read(file: Path) -> None:
    drill = load_drill(file, catalogue.known())
    for entry in entries(drill, 1):
        assert catalogue.make(entry.fault, entry.arguments).name == entry.fault
