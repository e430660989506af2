"""Which metrics a PromQL expression reads. Pure.

Prometheus answers a query over a metric that does not exist with an empty vector, not an error: a
rule with a misspelt name loads, is healthy, and never fires.
"""

from __future__ import annotations

import re
from typing import Final

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_LABELS_OF = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_BRACES = re.compile(r"\{[^{}]*\}")
_RANGES = re.compile(r"\[[^\]]*\]")
#: A name that is no function's; the look-ahead also keeps the match from ending within a name.
_NAME = re.compile(r"(?<![\w:.$])([A-Za-z_:][\w:]*)(?![\w:])(?!\s*\()")
_WORDS: Final = {
    *("and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"),
    *("group_left", "group_right", "start", "end", "inf", "nan", "Inf", "NaN"),
    *("sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk"),
    *("quantile", "count_values"),
}


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics that `expression` reads; not those matched by a pattern."""
    text = expression
    for pattern in (_STRINGS, _LABELS_OF, _BRACES, _RANGES):
        text = pattern.sub(" ", text)
    return {name for name in _NAME.findall(text) if name not in _WORDS}
