"""Mileages as steps of the brackets that sites offer, so that brackets and exact values can be compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

# A site's brackets have 5,000 km below 100,000, 10,000 km below 200,000 and 50,000 km below 500,000.
_STARTS = np.concatenate(
    [np.arange(0, 100_000, 5_000), np.arange(100_000, 200_000, 10_000), np.arange(200_000, 500_001, 50_000)]
).astype(np.float64)


def step_of(low: Floats, high: Floats) -> Steps:
    """The step in which each mileage lies, shape (n,): 0 is below 5,000 km; -1 where it is unknown.

    `low` and `high` (shape (n,), km) are equal for an exact mileage; `high` is NaN for an open bracket. A
    bracket that covers several steps lies in that of its middle.
    """
    middle = np.where(np.isnan(high), low, (low + high) / 2)
    steps = np.searchsorted(_STARTS, middle, side="right") - 1
    return np.where(np.isnan(low), -1, steps).astype(np.int64)
