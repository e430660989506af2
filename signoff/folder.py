"""The folder of one run, and the link to the newest."""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from signoff.summary import Signoff, as_json, as_markdown


def new_run_folder(reports: Path) -> Path:
    """Make a folder named by the time (UTC) below `reports`."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    folder = reports / name
    folder.mkdir(parents=True)
    return folder


def write(signoff: Signoff, folder: Path) -> None:
    """Write signoff.json and signoff.md."""
    (folder / "signoff.json").write_text(
        json.dumps(as_json(signoff), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "signoff.md").write_text(as_markdown(signoff), encoding="utf-8")


def make_latest(folder: Path) -> None:
    """Point `latest` beside `folder` at it, in one step."""
    temporary = folder.parent / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(folder.parent / "latest")
