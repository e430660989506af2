"""How long Redis may keep a write in memory only."""

from __future__ import annotations

import pytest

from verify.redis_server import unsaved_problems


@pytest.mark.parametrize(
    "config",
    [
        {"save": "3600 1 300 100 60 10000", "appendonly": "no"},
        {"save": "60 1", "appendonly": "no"},
        {"save": "", "appendonly": "yes", "appendfsync": "everysec"},
    ],
)
def test_a_rule_or_a_log_that_saves_each_write(config: dict[str, str]) -> None:
    assert unsaved_problems(config, 3600) == []


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
    (problem,) = unsaved_problems(config, 3600)
    assert "within 3600 s" in problem
