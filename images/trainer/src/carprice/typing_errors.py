"""Prices that are probably typing errors: far from what comparable listings say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline


def out_of_fold_flags(
    pipeline: Pipeline, listings: pd.DataFrame, price_mad: npt.NDArray[np.float64], limit: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Which training prices stand further than `limit` (log price) from an out-of-fold prediction.

    `listings` of n rows and `price_mad` of shape (n,) are training rows; each is judged by a clone
    of `pipeline` that was not fitted on it.
    """
    folds = KFold(5, shuffle=True, random_state=seed)
    expected = cross_val_predict(clone(pipeline), listings, price_mad, cv=folds)
    return is_far(price_mad, expected, limit)


def is_far(
    price_mad: npt.NDArray[np.float64], expected_mad: npt.NDArray[np.float64], limit: float
) -> npt.NDArray[np.bool_]:
    """Whether each price differs from the expected one by more than `limit` in log price."""
    far: npt.NDArray[np.bool_] = np.abs(np.log(price_mad) - np.log(expected_mad)) > limit
    return far
