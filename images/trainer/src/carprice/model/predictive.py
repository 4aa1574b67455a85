"""Where an asking price stands among the prices that the model holds possible for a car.

The distribution is that of the errors that the model made on listings it had left out, each in the unit of
its kind of car. Its shape is measured, not assumed; below the median and above it is stretched so that the
ends of the interval stand where the interval promises: 5 % and 95 % for a coverage of 90 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from carprice.model.kernels import Floats

_POINTS = 201


def shape_of(errors: Floats, ends: Sequence[float], coverage: float) -> list[float]:
    """The quantiles of standardised errors, of shape (n,), at equal steps of probability from 0 to 1.

    `ends` are the errors at the ends of the interval.
    """
    tail = (1 - coverage) / 2
    low, high = np.quantile(errors, (tail, 1 - tail))
    found = np.quantile(errors, np.linspace(0, 1, _POINTS))
    found *= np.where(found < 0, ends[0] / min(low, -1e-9), ends[1] / max(high, 1e-9))
    return [float(value) for value in found]


def positions(model: Any, errors: Floats) -> Floats:
    """The share of the distribution of a `PriceModel` below each standardised error, of shape (n,).

    A model that an earlier release saved knows the ends of its interval alone: each side of the median is
    taken as the half of a normal distribution that reaches there.
    """
    shape = getattr(model, "shape_", None)
    if shape is None:
        low, high = model.quantiles_
        units = errors / np.where(errors < 0, -low, high)
        normal: Floats = ndtr(units * ndtri((1 + model.coverage) / 2))
        return normal
    found: Floats = np.interp(errors, shape, np.linspace(0, 1, len(shape)))
    return found
