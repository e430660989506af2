"""Percentiles from raw samples: exact, never from buckets or windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

CONFIDENCE: Final = 0.95


def percentile(values: Sequence[float], rank: float) -> float:
    """Return the smallest value that at least `rank` percent of `values` do not exceed.

    That is the nearest-rank definition (numpy: inverted_cdf): always a value that occurred. Raises
    `ValueError` for no values.
    """
    if len(values) == 0:
        raise ValueError("no values")
    return float(np.percentile(np.asarray(values), rank, method="inverted_cdf"))


@dataclass(frozen=True, slots=True)
class Quantile:
    """A percentile as the middle of the interval that holds it, and half of that; `n` samples."""

    value: float
    error: float
    n: int


def quantile(least: Sequence[float], most: Sequence[float], rank: float) -> Quantile:
    """Bound the `rank`-th percentile of a quantity known only as `least[i]` <= x <= `most[i]`.

    A latency lies between what passed since the request was sent and what passed since it was due:
    the rest is the generator's own lateness. To that comes the sampling error: the interval between
    two order statistics that holds the percentile with 95 % confidence, whatever the distribution
    (Conover, Practical Nonparametric Statistics, 3.2).
    The error is infinite where n is too small for the percentile to be bounded from above. Give a
    request that failed as infinite: it was not answered in any time.

    Raises `ValueError` for no values, or sequences of two lengths.
    """
    n = len(least)
    if n == 0 or n != len(most):
        raise ValueError(f"{n} lower and {len(most)} upper bounds")
    share = rank / 100
    spread = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * math.sqrt(n * share * (1 - share))
    first = max(0, math.floor(n * share - spread) - 1)
    last = math.ceil(n * share + spread)
    low = float(np.partition(np.asarray(least, dtype=float), first)[first])
    high = float(np.partition(np.asarray(most, dtype=float), last)[last]) if last < n else math.inf
    if math.isinf(low):
        return Quantile(math.inf, 0.0, n)
    if math.isinf(high):
        return Quantile(low, math.inf, n)
    return Quantile((low + high) / 2, (high - low) / 2, n)
