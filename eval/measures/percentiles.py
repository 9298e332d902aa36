"""Percentiles of latencies: p50, p95, p99, in the unit of the values.

Between two values of the sorted list the percentile lies on the straight line (Hyndman & Fan 1996, type 7: numpy's
`linear`): p of n values is at place p / 100 * (n - 1), counted from 0. No values give 0: their number stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PERCENTS = (50, 95, 99)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of `values`."""
    found = np.percentile(values, _PERCENTS, method="linear") if len(values) else np.zeros(len(_PERCENTS))
    return {f"p{percent}": float(value) for percent, value in zip(_PERCENTS, found, strict=True)}
