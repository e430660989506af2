"""From recovery times measured at small sizes to the one at the plan's size: pure.

Method: time = fixed + per byte × size, by least squares over the measured sizes. The estimate at a
size is then a weighted sum of the measured times, so its error is that sum with the weights'
absolute values over the times' errors, each no less than the largest residual. That is the worst
case, not a standard deviation. It holds as long as the restore stays linear (no index outgrows the
memory, no disk slows down when it is full), which small sizes cannot show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fixtures.errors import CutoverError


@dataclass(frozen=True, slots=True)
class Point:
    """A restore of `size` bytes that took `seconds` ± `error`."""

    size: float
    seconds: float
    error: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds` ± `error` for the size asked for; `fixed` seconds and `rate` seconds a byte."""

    seconds: float
    error: float
    fixed: float
    rate: float


def extrapolate(points: Sequence[Point], size: float) -> Estimate:
    """Estimate the time for `size` bytes. Raises `CutoverError` for fewer than two sizes."""
    count = len(points)
    mean = sum(p.size for p in points) / max(1, count)
    spread = sum((p.size - mean) ** 2 for p in points)
    if spread == 0:
        raise CutoverError("needs at least two sizes", where="extrapolation of the recovery time")
    weights = [1 / count + (size - mean) * (p.size - mean) / spread for p in points]
    rate = sum((p.size - mean) * p.seconds for p in points) / spread
    fixed = sum(p.seconds for p in points) / count - rate * mean
    residual = max(abs(p.seconds - fixed - rate * p.size) for p in points)
    error = sum(abs(w) * max(p.error, residual) for w, p in zip(weights, points, strict=True))
    return Estimate(fixed + rate * size, error, fixed, rate)
