from __future__ import annotations

import json
from datetime import UTC, datetime

from verify.backups.cost import run_seconds
from verify.backups.names import Kind, parse
from verify.backups.restic import parts, read_snapshots

MOMENT = datetime(2026, 11, 26, 14, 35, 36, tzinfo=UTC)


def test_the_newest_snapshot_of_every_tag_is_read() -> None:
    printed = json.dumps(
        [
            {
                "group_key": {"tags": ["postgres"]},
                "snapshots": [
                    {"time": "2026-11-26T14:35:36.123456789Z", "tags": ["postgres"]},
                    {"time": "2026-11-26T15:34:01+01:00", "tags": ["postgres"]},
                ],
            },
            {"snapshots": [{"time": "2026-11-26T14:00:00Z", "tags": None}]},
        ]
    )
    assert read_snapshots(printed) == {"postgres": MOMENT}


def test_what_is_unpacked_has_names_that_say_what_it_is() -> None:
    for kind, part in parts("gibd").items():
        backup = parse(MOMENT.strftime(part.name))
        assert backup is not None
        assert (backup.kind, backup.taken) == (kind, MOMENT)
    assert set(parts("gibd")) == set(Kind)


def test_the_newest_run_that_succeeded_is_timed() -> None:
    log = (
        "2026-11-26T14:31:48.000000001Z 2026-11-26T14:31:48Z begins: job\n"
        "2026-11-26T14:31:49.500000001Z 2026-11-26T14:31:49Z ended with status 0\n"
        "2026-11-26T14:31:58.000000001Z 2026-11-26T14:31:58Z begins: job\n"
        "2026-11-26T14:31:58.100000001Z some words of the job's\n"
        "2026-11-26T14:32:01.000000001Z 2026-11-26T14:32:01Z ended with status 0\n"
        "2026-11-26T14:32:08.000000001Z 2026-11-26T14:32:08Z begins: job\n"
        "2026-11-26T14:32:09.000000001Z 2026-11-26T14:32:09Z ended with status 1\n"
        "2026-11-26T14:32:18.000000001Z 2026-11-26T14:32:18Z begins: job\n"
    )
    assert run_seconds(log) == 3.0
    assert run_seconds("nothing") is None
