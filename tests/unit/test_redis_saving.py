"""What may keep a write of Redis from outliving its process."""

from __future__ import annotations

from typing import Any

import pytest

from verify.redis_saving import failing, kept_nowhere, unsaved

RULES = {"save": "3600 1 300 100 60 10000", "appendonly": "no"}
LOG = {"save": "", "appendonly": "yes", "appendfsync": "everysec"}
SAVED = {
    "rdb_last_bgsave_status": "ok",
    "rdb_last_save_time": 1000,
    "rdb_changes_since_last_save": 0,
    "aof_last_write_status": "ok",
}
MOUNTS = """\
800 700 0:50 / / rw,relatime - overlay overlay rw
801 800 0:53 / /proc rw - proc proc rw
802 800 254:0 /volumes/x/_data /data rw - ext4 /dev/vda rw
"""


@pytest.mark.parametrize("config", [RULES, {"save": "60 1", "appendonly": "no"}, LOG])
def test_a_rule_or_a_log_that_saves_each_write(config: dict[str, str]) -> None:
    assert unsaved(config, 3600) == []


@pytest.mark.parametrize(
    "config",
    [
        {"save": "", "appendonly": "no"},
        {},
        {"save": "7200 1", "appendonly": "no"},
        {"save": "300 100 60 10000", "appendonly": "no"},
        {"save": "", "appendonly": "yes", "appendfsync": "no"},
    ],
    ids=["none", "unknown", "too rarely", "only many writes", "a log that is not synced"],
)
def test_what_may_keep_a_write_in_memory(config: dict[str, str]) -> None:
    (problem,) = unsaved(config, 3600)
    assert "within 3600 s" in problem


@pytest.mark.parametrize(
    ("config", "changed", "now"),
    [
        (RULES, {}, 99_999),
        (RULES, {"rdb_changes_since_last_save": 5}, 4000),
        (RULES, {"aof_last_write_status": "err"}, 1000),
        (LOG, {"rdb_last_bgsave_status": "err", "rdb_changes_since_last_save": 5}, 99_999),
        (
            RULES,
            {"rdb_changes_since_last_save": 5, "rdb_current_bgsave_time_sec": 9},
            99_999,
        ),
    ],
    ids=["idle for a day", "not yet due", "no log", "a log has it", "being saved"],
)
def test_saves_that_are_as_they_should(config: dict[str, str], changed: Any, now: float) -> None:
    assert failing(config, {**SAVED, **changed}, now, 3600) == []


@pytest.mark.parametrize(
    ("config", "changed", "problem"),
    [
        (RULES, {"rdb_last_bgsave_status": "err"}, "its last save ended with err"),
        (RULES, {"rdb_changes_since_last_save": 1}, "it has changes, and saved last 167 min ago"),
        (
            RULES,
            {"rdb_changes_since_last_save": 1, "rdb_current_bgsave_time_sec": -1},
            "it has changes, and saved last 167 min ago",
        ),
        (LOG, {"aof_last_write_status": "err"}, "its last write to the AOF ended with err"),
    ],
)
def test_a_rule_saves_nothing_on_a_full_disk(
    config: dict[str, str], changed: Any, problem: str
) -> None:
    assert failing(config, {**SAVED, **changed}, 11_020, 3600) == [problem]


@pytest.mark.parametrize("folder", ["/data", "/data/redis"])
def test_a_folder_on_a_volume(folder: str) -> None:
    assert kept_nowhere(folder, MOUNTS) == []


@pytest.mark.parametrize(
    "mount",
    [
        f"254:0 /docker/volumes/{'a1' * 32}/_data /data/redis rw - ext4 /dev/vda rw",
        f"254:0 /{'a1' * 32}/_data /data/redis rw - ext4 /dev/vda rw",
        "0:60 / /data/redis rw - tmpfs tmpfs rw",
    ],
)
def test_a_mount_that_goes_with_its_container(mount: str) -> None:
    (problem,) = kept_nowhere("/data/redis", f"{MOUNTS}803 800 {mount}\n")
    assert "in memory or in a volume without a name" in problem


@pytest.mark.parametrize("folder", ["/var/lib/redis", "/database"])
def test_a_folder_that_goes_with_its_container(folder: str) -> None:
    assert kept_nowhere(folder, MOUNTS) == [
        f"{folder} is on no volume: what it saves goes with its container"
    ]
