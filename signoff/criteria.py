"""Write docs/criteria.md: the plan's lines, what proves them, and what a run said of them.

    python -m signoff.criteria [RUN]

RUN is a run's folder, reports/latest unless given; it must be of all features, on a twin.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fixtures.errors import CutoverError
from signoff import plan_lines
from signoff.bdd.collection import features_below
from signoff.measurement import Measurement, Verdict

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "criteria.md"
FEATURES: Final = ROOT / "features"
_HEAD: Final = """# The plan's criteria

Every line under *Success Criteria* and *Performance Targets* of the plan, the features that prove
it, and the tests that break the property and see its scenario go red. Made by `make criteria` from
`features/plan.yml` and the newest whole run; a unit test holds the page against both.

"""


def page(judged: Sequence[plan_lines.Judged], of_run: str) -> str:
    """Return the text of docs/criteria.md."""
    text = [_HEAD + f"Verdicts: {of_run}."]
    for part in dict.fromkeys(j.line.part for j in judged):
        mine = [j for j in judged if j.line.part == part]
        text += ["", f"## {part}", "", *plan_lines.documented(mine)]
    return "\n".join(text) + "\n"


def measurements_of(signoff: dict[str, Any]) -> list[Measurement]:
    """Return as much of the measurements of a signoff.json as the plan's lines need."""
    return [
        Measurement(
            c["criterion"],
            c["feature"],
            c["unit"],
            Verdict(c["verdict"]),
            n=c["n"],
            reason=c["reason"],
            scenario=c["scenario"],
        )
        for c in signoff["criteria"]
    ]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; 1 when the run is not of all features, 2 when there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m signoff.criteria", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "run",
        nargs="?",
        type=Path,
        default=ROOT / "reports" / "latest",
        help="a run's folder (default: reports/latest); of all features, on a twin",
    )
    run = parser.parse_args(arguments).run.resolve()
    remedy = "Run `make acceptance` first, or name the folder of a whole run."
    try:
        signoff = json.loads((run / "signoff.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        problem = f"no sign-off can be read ({said})"
        _say(f"error: {CutoverError(problem, where=str(run / 'signoff.json'), remedy=remedy)}")
        return 2
    judged = plan_lines.judge_lines(
        plan_lines.read(FEATURES / plan_lines.TABLE),
        measurements_of(signoff),
        features_below(FEATURES),
    )
    missing = [j.line.line for j in judged if j.verdict == plan_lines.NOT_RUN]
    if missing:
        _say(f"error: {run.name} is not of all features; not run: {'; '.join(missing)}. {remedy}")
        return 1
    PAGE.write_text(page(judged, f"of run {run.name}"), encoding="utf-8")
    _say(f"{PAGE.relative_to(ROOT)}: of {run.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
