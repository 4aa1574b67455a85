"""The reference recipe: a random forest on label-encoded columns, without the outliers by quartiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

CATEGORIES = ["make", "model", "fuel", "gearbox", "first_owner", "condition"]
BOUNDED = ["model_year", "mileage_km", "fiscal_power_cv", "price_mad"]


def reference(
    training: pd.DataFrame, test: pd.DataFrame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Prices in MAD for the test rows, and which of them lie inside the recipe's own bounds.

    Empty categories are filled with the mode, the mileage is the middle of its bracket, rows outside 1.5
    interquartile ranges of the training rows in any of `BOUNDED` are left out of training.
    """
    a, b = _prepared(training), _prepared(test)
    for column in CATEGORIES:
        mode = next(iter(a[column].mode()), "")  # a file may lack the column
        a[column], b[column] = a[column].fillna(mode), b[column].fillna(mode)
        codes = {value: code for code, value in enumerate(sorted(set(a[column]) | set(b[column])))}
        a[column], b[column] = a[column].map(codes), b[column].map(codes)
    inside_a, inside_b = np.ones(len(a), dtype=bool), np.ones(len(b), dtype=bool)
    for column in BOUNDED:
        low, high = a[column].quantile([0.25, 0.75])
        margin = 1.5 * (high - low)
        inside_a &= a[column].between(low - margin, high + margin).to_numpy()
        inside_b &= b[column].between(low - margin, high + margin).to_numpy()
    forest = RandomForestRegressor(
        n_estimators=100,
        max_depth=20,
        min_samples_split=5,
        min_samples_leaf=2,
        max_features="sqrt",
        random_state=42,
    )
    columns = [column for column in a if column != "price_mad"]
    forest.fit(a.loc[inside_a, columns], a.loc[inside_a, "price_mad"])
    return forest.predict(b[columns]), inside_b


def _prepared(listings: pd.DataFrame) -> pd.DataFrame:
    table = listings[[*CATEGORIES, "model_year", "fiscal_power_cv", "price_mad"]].copy()
    table["gearbox"] = table["gearbox"].fillna("--")  # a value like any other in that recipe
    table["first_owner"] = table["first_owner"].map({0.0: "Non", 1.0: "Oui"})
    table["mileage_km"] = (listings["mileage_km_min"] + listings["mileage_km_max"]) / 2
    for column in ("model_year", "fiscal_power_cv"):
        table[column] = table[column].fillna(table[column].median())
    return table
