"""Percentiles from raw samples: exact, never from buckets or windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(values: Sequence[float], rank: float) -> float:
    """Return the smallest value that at least `rank` percent of `values` do not exceed.

    That is the nearest-rank definition (numpy: inverted_cdf): always a value that occurred. Raises
    `ValueError` for no values.
    """
    if not values:
        raise ValueError("no values")
    return float(np.percentile(np.asarray(values), rank, method="inverted_cdf"))
