"""Wiring: which plugins a run of features has."""

from pathlib import Path

# Every module in steps/ holds steps or the fixtures they stand on; `_` marks helpers.
_STEPS = sorted(
    path.stem
    for path in Path(__file__).parent.joinpath("steps").glob("*.py")
    if not path.stem.startswith("_")
)

pytest_plugins = [
    "signoff.allure_bridge",
    "signoff.plugin",
    *(f"steps.{name}" for name in _STEPS),
]
