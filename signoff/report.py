"""`python -m signoff.report [RUN]`: one self-contained HTML from a run's Allure results.

Allure 3 comes from npm, pinned by signoff/allure/package-lock.json, and is kept in the cache. The
analytics script that it embeds is taken out, and the page is checked to load nothing from outside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from fixtures import folders, progress
from fixtures.errors import CutoverError
from fixtures.locking import locked

_LOCK_FILE: Final = Path(__file__).parent / "allure" / "package-lock.json"
_INSTALL_SECONDS: Final = 600
_BUILD_SECONDS: Final = 300
_OLDEST_NODE: Final = 20
_ANALYTICS: Final = re.compile(
    r"<script\b[^>]*(?:googletagmanager|google-analytics)[^>]*>.*?</script>"
    r"|<script\b[^>]*>(?:(?!</script>).){0,2000}?(?:dataLayer|gtag\()(?:(?!</script>).)*?</script>",
    re.DOTALL,
)
_LOADED_FROM_OUTSIDE: Final = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)\s*=\s*[\"']?(?:https?:)?//[^\"'\s>]+", re.I
)


def build(run: Path) -> Path:
    """Build `run`/report.html and return its path. Raises `CutoverError`."""
    signoff = _read_signoff(run)
    results = run / "allure-results"
    if not any(results.glob("*-result.json")):
        raise CutoverError("holds no results", where=str(results), remedy="Run: make acceptance")
    allure = _installed_allure()
    state = "READY" if signoff["ready"] else "NOT READY"
    with (
        tempfile.TemporaryDirectory(prefix="cutover-report-") as folder,
        progress.step("building report.html"),
    ):
        _run(
            [
                *(str(allure), "awesome", str(results), "--single-file"),
                *("--output", folder, "--group-by", "epic,feature"),
                *("--report-name", f"cutover: {signoff['cluster']} {state}"),
            ],
            _BUILD_SECONDS,
            "allure",
            cwd=Path(folder),
        )
        page = (Path(folder) / "index.html").read_text(encoding="utf-8")
    report = run / "report.html"
    report.write_text(without_analytics(page), encoding="utf-8")
    return report


def without_analytics(page: str) -> str:
    """Return `page` without the analytics scripts.

    Raises `CutoverError` if it would still load something from outside.
    """
    cleaned = _ANALYTICS.sub("", page)
    outside = _LOADED_FROM_OUTSIDE.findall(cleaned)
    if outside or "googletagmanager" in cleaned:
        raise CutoverError(
            f"the report would load from outside: {', '.join(outside) or 'analytics'}",
            where="signoff/report.py",
            remedy="Allure's page has changed: mend the pattern before you upgrade it.",
        )
    return cleaned


def _read_signoff(run: Path) -> dict[str, object]:
    try:
        content: dict[str, object] = json.loads((run / "signoff.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CutoverError(
            f"has no sign-off ({type(error).__name__})", where=str(run), remedy="make acceptance"
        ) from error
    return content


def _installed_allure() -> Path:
    """Return the allure command, installed in the cache under its lock file's hash."""
    digest = hashlib.sha256(_LOCK_FILE.read_bytes()).hexdigest()[:12]
    home = folders.cache_home() / f"allure-{digest}"
    command = home / "node_modules/.bin/allure"
    with locked(folders.state_home() / "allure.lock", what="Allure", within=_INSTALL_SECONDS):
        _check_node()
        if (home / "complete").exists():
            return command
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCK_FILE.with_name(name), home)
        with progress.step("installing Allure from npm"):
            install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            _run(install, _INSTALL_SECONDS, "npm", cwd=home)
        (home / "complete").touch()
    return command


def _check_node() -> None:
    if not shutil.which("npm") or not shutil.which("node"):
        raise CutoverError(
            "node and npm are not installed",
            where="this machine",
            remedy=f"Install Node.js {_OLDEST_NODE} or newer, then: make report. The sign-off "
            "itself (signoff.md, signoff.json) does not need it.",
        )
    version = _run(["node", "--version"], 30, "node")
    if int(version.strip().lstrip("v").split(".")[0]) < _OLDEST_NODE:
        raise CutoverError(
            f"Node.js {version.strip()} is too old",
            where="this machine",
            remedy=f"Install {_OLDEST_NODE} or newer, then: make report",
        )


def _run(command: list[str], seconds: float, name: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CutoverError(f"took over {seconds:g} s", where=name) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise CutoverError(f"ended with status {done.returncode}: {said}", where=name)
    return done.stdout


def main() -> int:
    """Run the command line; returns the exit status: 0, or 2 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m signoff.report", description=__doc__)
    parser.add_argument(
        "run", nargs="?", type=Path, default=Path("reports/latest"), help="default: %(default)s"
    )
    options = parser.parse_args()
    try:
        report = build(options.run.resolve())
    except CutoverError as error:
        progress.say(f"error: {error}")
        return 2
    progress.say(f"report: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
