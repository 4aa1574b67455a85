"""Prices that are probably typing errors: far from what comparable listings say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from carprice.formats import thousands
from carprice.model.kernels import Floats

# What people mistype: a zero too many or too few, centimes (or the old "riyal" of 5 centimes) for dirhams.
_READINGS = (10, 100, 1000, 1 / 10, 1 / 100, 20, 1 / 20)


def suggestion(price_mad: float, expected_mad: float, limit: float) -> str:
    """What the seller may have meant, in words for the data owner; "" where nothing fits within `limit`."""
    readings = [(abs(np.log(price_mad / factor / expected_mad)), price_mad / factor) for factor in _READINGS]
    distance, reading = min(readings)
    return f"{thousands(price_mad)} looks like {thousands(reading)}" if distance <= limit else ""


def typing_errors(flagged: pd.DataFrame, expected_mad: Floats, limit: float) -> pd.DataFrame:
    """The flagged listings, one row each, with what comparable listings say and what may have been meant.

    `flagged` (canonical columns) and `expected_mad`, of shape (n,), have n rows in the same order.
    """
    columns = ["listing_id", "url", "make", "model", "model_year", "price_mad", "source_sha256"]
    found = flagged[columns].reset_index(drop=True)
    found["expected_mad"] = np.round(expected_mad)
    found["suggestion"] = [
        suggestion(price, expected, limit)
        for price, expected in zip(found["price_mad"], found["expected_mad"], strict=True)
    ]
    return found
