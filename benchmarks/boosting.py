"""Gradient boosting as a data scientist would set it up for these listings: LightGBM and CatBoost.

Both learn the log price with an absolute loss; make, model and both together are native categories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.schema import EQUIPMENT

Floats = npt.NDArray[np.float64]

ROUNDS, LEARNING_RATE = 3000, 0.05
_NUMBERS = ("model_year", "mileage_km", "fiscal_power_cv", *EQUIPMENT)
_CATEGORIES = (
    *("make", "model", "make_and_model", "fuel", "gearbox", "first_owner", "condition"),
    *("city", "origin", "doors"),
)
_UNKNOWN = "unknown"


def lightgbm(training: pd.DataFrame, test: pd.DataFrame) -> Floats:
    """LightGBM's prices in MAD for the test listings (canonical columns), of shape (n,)."""
    from lightgbm import LGBMRegressor

    a, b = _prepared(training, test)
    for column in a.select_dtypes("category"):
        b[column] = b[column].where(b[column].isin(a[column]))
    model = LGBMRegressor(
        objective="l1",
        n_estimators=ROUNDS,
        num_leaves=127,
        learning_rate=LEARNING_RATE,
        random_state=0,
        n_jobs=1,
        verbose=-1,
    )
    model.fit(a, np.log(training["price_mad"].to_numpy(dtype=np.float64)))
    predicted: Floats = np.exp(np.asarray(model.predict(b)))
    return predicted


def catboost(training: pd.DataFrame, test: pd.DataFrame) -> Floats:
    """CatBoost's prices in MAD for the test listings (canonical columns), of shape (n,)."""
    from catboost import CatBoostRegressor

    a, b = _prepared(training, test)
    categories = [str(column) for column in a.select_dtypes("category")]
    model = CatBoostRegressor(
        loss_function="MAE",
        iterations=ROUNDS,
        depth=8,
        learning_rate=LEARNING_RATE,
        cat_features=categories,
        random_seed=0,
        thread_count=1,
        allow_writing_files=False,
        verbose=False,
    )
    a, b = (table.astype(dict.fromkeys(categories, str)) for table in (a, b))
    model.fit(a, np.log(training["price_mad"].to_numpy(dtype=np.float64)))
    predicted: Floats = np.exp(np.asarray(model.predict(b)))
    return predicted


BOOSTING: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], Floats]] = {
    "LightGBM": lightgbm,
    "CatBoost": catboost,
}


def _prepared(training: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers (NaN unknown) and categories of both, without columns in which all training rows are equal."""
    together = pd.concat([training, test], ignore_index=True)
    together["mileage_km"] = together[["mileage_km_min", "mileage_km_max"]].mean(axis=1)
    together["make_and_model"] = together["make"].astype(str) + "/" + together["model"].astype(str)
    table = pd.DataFrame(
        {column: together[column].astype(np.float64) for column in _NUMBERS}
        | {
            column: together[column].map(lambda value: _UNKNOWN if pd.isna(value) else str(value))
            for column in _CATEGORIES
        }
    )
    for column in _CATEGORIES:
        table[column] = table[column].astype("category")
    varies = [column for column in table if table[column].iloc[: len(training)].nunique(dropna=False) > 1]
    return table[varies].iloc[: len(training)].copy(), table[varies].iloc[len(training) :].copy()
