"""What an availability probe is told to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixtures.errors import CutoverError
from load.checks import Target

LONGEST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Targets, `rate` (requests a second to each), `timeout` and `duration` in seconds.

    Load stops by itself: `duration` is at most `LONGEST_SECONDS`. Raises `CutoverError`.
    """

    targets: Sequence[Target]
    rate: float = 10.0
    timeout: float = 1.0
    duration: float = 600.0

    def __post_init__(self) -> None:
        names = [target.name for target in self.targets]
        if not names or len(set(names)) < len(names):
            raise CutoverError("targets must be given, each with a name of its own", where="probe")
        for name in ("rate", "timeout", "duration"):
            if not getattr(self, name) > 0:
                raise CutoverError(f"{name} must be above 0", where="probe")
        if self.duration > LONGEST_SECONDS:
            raise CutoverError(f"duration is over {LONGEST_SECONDS:g} s", where="probe")

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON-ready values."""
        return {
            "targets": [target.as_json() for target in self.targets],
            "rate": self.rate,
            "timeout": self.timeout,
            "duration": self.duration,
        }


def read_settings(path: Path) -> Settings:
    """Read what `as_json` wrote. Raises `CutoverError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        targets = [Target(**target) for target in content.pop("targets", [])]
        return Settings(targets, **content)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CutoverError(f"not the settings of a probe: {error}", where=str(path)) from error
