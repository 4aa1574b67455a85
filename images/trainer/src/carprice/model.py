"""The model: one scikit-learn pipeline from canonical listing columns to a price in MAD."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from carprice.listing import EQUIPMENT, FEATURES, TEXT_FEATURES
from carprice.params import TrainingParams

MANY_VALUED = ["make", "model", "city"]
FEW_VALUED = ["fuel", "gearbox", "origin", "first_owner", "condition"]
NUMBERS = ["model_year", "mileage_km", "mileage_km_per_year", "fiscal_power_cv", "doors", "equipment_count"]


class ListingFeatures(TransformerMixin, BaseEstimator):
    """Canonical listing columns in, the model's own columns out; absent columns count as unknown.

    Input: a DataFrame of n rows with any of `carprice.listing.FEATURES`. Output: a DataFrame of n
    rows with text columns (None where unknown) and float columns (NaN where unknown).
    """

    def fit(self, listings: pd.DataFrame, y: Any = None) -> Self:
        """Remember the newest model year, from which age is counted, and which numbers are known."""
        years = pd.to_numeric(listings["model_year"], errors="coerce")
        self.newest_year_ = float(np.nanmax(years)) if years.notna().any() else 0.0
        self.never_known_: list[str] = []
        numbers = self.transform(listings)[NUMBERS]
        self.never_known_ = [column for column in NUMBERS if numbers[column].isna().all()]
        return self

    def transform(self, listings: pd.DataFrame) -> pd.DataFrame:
        """The model's columns for each listing."""
        given = listings.reindex(columns=list(FEATURES))
        out = pd.DataFrame(index=given.index)
        for column in MANY_VALUED + FEW_VALUED:
            text = given[column].astype(object)
            out[column] = text.where(text.notna(), "unknown").astype(str).str.casefold()
        out["model"] = out["make"] + " " + out["model"]
        number = {
            column: pd.to_numeric(given[column], errors="coerce").astype(float)
            for column in (
                "model_year", "mileage_km_min", "mileage_km_max", "fiscal_power_cv", "doors", *EQUIPMENT
            )
        }  # fmt: skip
        out["model_year"] = number["model_year"]
        out["mileage_km"] = (number["mileage_km_min"] + number["mileage_km_max"]) / 2
        age = (self.newest_year_ - number["model_year"]).clip(lower=0) + 1
        out["mileage_km_per_year"] = out["mileage_km"] / age
        out["fiscal_power_cv"] = number["fiscal_power_cv"]
        out["doors"] = number["doors"]
        out["equipment_count"] = sum(number[column] for column in EQUIPMENT)
        # The boosting refuses a column without a single value.
        out[self.never_known_] = 0.0
        return out


def build_pipeline(params: TrainingParams, seed: int) -> Pipeline:
    """An unfitted pipeline; `fit(listings, price_mad)`, `predict(listings)` in MAD."""
    encode = ColumnTransformer(
        [
            (
                "many",
                TargetEncoder(target_type="continuous", cv=KFold(5, shuffle=True, random_state=seed)),
                MANY_VALUED,
            ),
            (
                "few",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                FEW_VALUED,
            ),
            ("numbers", "passthrough", NUMBERS),
        ],
        verbose_feature_names_out=False,
    )
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=params.learning_rate,
        max_iter=params.max_iter,
        max_leaf_nodes=params.max_leaf_nodes,
        min_samples_leaf=params.min_samples_leaf,
        l2_regularization=params.l2_regularization,
        early_stopping=False,
        random_state=seed,
    )
    # An asking price is right or wrong by a share of itself, so the logarithm is what is learned.
    on_log_price = TransformedTargetRegressor(
        regressor=Pipeline([("encode", encode), ("boosting", boosting)]), func=np.log, inverse_func=np.exp
    )
    return Pipeline([("listing", ListingFeatures()), ("price", on_log_price)])


def features_of(listings: pd.DataFrame) -> pd.DataFrame:
    """The columns a model sees, in the types of its signature: text (None unknown) and float64 (NaN)."""
    given = listings.reindex(columns=list(FEATURES))
    out = {}
    for column in FEATURES:
        if column in TEXT_FEATURES:
            values = given[column].astype(object)
            out[column] = values.where(values.notna(), None)
        else:
            out[column] = pd.to_numeric(given[column], errors="coerce").astype(np.float64)
    return pd.DataFrame(out, index=listings.index)


def model_signature() -> Any:
    """What the registered model takes and gives: every feature optional, a price in MAD."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    inputs = [
        ColSpec("string" if column in TEXT_FEATURES else "double", column, required=False)
        for column in FEATURES
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("double", "predicted_price_mad")]))
