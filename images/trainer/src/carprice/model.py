"""The model: one scikit-learn pipeline from canonical listing columns to a price in MAD with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline

from carprice.features import COLUMNS, EXTRA_CATEGORIES, NUMBERS, Floats, ListingFeatures
from carprice.kernel_regression import KernelRegressor
from carprice.listing import FEATURES, TEXT_FEATURES
from carprice.params import TrainingParams

# An error smaller than this (log price) says nothing about how large errors are around it.
SMALLEST_ERROR = 0.05


class PriceModel(RegressorMixin, BaseEstimator):
    """Kernel regression on the log price, with a conformal interval, robust to typing errors.

    Input: the matrix of `ListingFeatures`. A training price further than `typing_error_at` (log price)
    from what all other listings say of it is flagged in `flagged_` and has no say; `expected_mad_` holds
    what they say. The interval covers `coverage` of asking prices: quantiles of the leave-one-out errors,
    each divided by the error size that `spread_terms` predict for its kind of car.

    Source of the interval: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-Free Predictive
    Inference for Regression (2018), section 5.2, with leave-one-out in place of a split.
    """

    def __init__(
        self,
        terms: Sequence[Mapping[str, Any]],
        spread_terms: Sequence[Mapping[str, Any]],
        noise: float,
        nu: float,
        rounds: int,
        extra_sd: float,
        extra_weight: float,
        spread_noise: float,
        typing_error_at: float,
        coverage: float,
    ) -> None:
        self.terms = terms
        self.spread_terms = spread_terms
        self.noise = noise
        self.nu = nu
        self.rounds = rounds
        self.extra_sd = extra_sd
        self.extra_weight = extra_weight
        self.spread_noise = spread_noise
        self.typing_error_at = typing_error_at
        self.coverage = coverage

    def fit(self, rows: Floats, price_mad: Floats) -> Self:
        """Fit to `rows` of shape (n, len(COLUMNS)) and asking prices of shape (n,) in MAD."""
        log_price = np.log(np.asarray(price_mad, dtype=np.float64))
        self.level_ = KernelRegressor(
            self._all_terms(rows), COLUMNS, NUMBERS, self.noise, self.nu, self.rounds, self.typing_error_at
        ).fit(rows, log_price)
        expected = self.level_.leave_one_out_
        self.expected_mad_ = np.exp(expected)
        self.flagged_ = np.abs(log_price - expected) > self.typing_error_at
        kept = ~self.flagged_
        error = (log_price - expected)[kept]
        self.spread_ = KernelRegressor(
            list(self.spread_terms), (*COLUMNS, "price"), (*NUMBERS, "price"), noise=self.spread_noise
        ).fit(_with_price(rows[kept], expected[kept]), np.log(np.maximum(np.abs(error), SMALLEST_ERROR)))
        score = error / np.exp(self.spread_.leave_one_out_)
        tail = (1 - self.coverage) / 2
        self.quantiles_ = [float(q) for q in np.quantile(score, (tail, 1 - tail))]
        return self

    def predict(self, rows: Floats, return_interval: bool = False) -> Floats:
        """Prices in MAD, of shape (n,); with `return_interval` price, low and high, of shape (n, 3)."""
        log_price = self.level_.predict(rows)
        if not return_interval:
            price: Floats = np.exp(log_price)
            return price
        spread = np.exp(self.spread_.predict(_with_price(rows, log_price)))
        low, high = self.quantiles_
        interval: Floats = np.exp(
            np.column_stack([log_price, log_price + low * spread, log_price + high * spread])
        )
        return interval

    def _all_terms(self, rows: Floats) -> list[Mapping[str, Any]]:
        """The given terms, and one for whatever extra categories the training rows have."""
        used = [c for c in EXTRA_CATEGORIES if rows[:, COLUMNS.index(c)].max() > 0]
        if not used:
            return list(self.terms)
        extra = {"sd": self.extra_sd, "same": [], "near": dict.fromkeys(used, self.extra_weight)}
        return [*self.terms, extra]


def build_pipeline(params: TrainingParams) -> Pipeline:
    """An unfitted pipeline; `fit(listings, price_mad)`, `predict(listings, return_interval=…)` in MAD."""
    return Pipeline(
        [
            ("features", ListingFeatures()),
            (
                "price",
                PriceModel(
                    terms=[term.model_dump() for term in params.terms],
                    spread_terms=[term.model_dump() for term in params.spread_terms],
                    noise=params.noise,
                    nu=params.nu,
                    rounds=params.rounds,
                    extra_sd=params.extra_sd,
                    extra_weight=params.extra_weight,
                    spread_noise=params.spread_noise,
                    typing_error_at=params.typing_error_log_distance,
                    coverage=params.interval_coverage,
                ),
            ),
        ]
    )


def flagged_in_training(pipeline: Pipeline) -> npt.NDArray[np.bool_]:
    """Which training rows, in their order, were left out as typing errors: of shape (n,)."""
    flagged: npt.NDArray[np.bool_] = pipeline.named_steps["price"].flagged_
    return flagged


def expected_in_training(pipeline: Pipeline) -> Floats:
    """What all other listings say of each training row: prices in MAD, of shape (n,)."""
    expected: Floats = pipeline.named_steps["price"].expected_mad_
    return expected


def _with_price(rows: Floats, log_price: Floats) -> Floats:
    """The rows with the price as a column more, in units of its logarithm against 100,000 MAD."""
    return np.column_stack([rows, log_price - np.log(1e5)])


def model_signature() -> Any:
    """What the registered model takes and gives: every feature optional, a price in MAD."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    inputs = [
        ColSpec("string" if column in TEXT_FEATURES else "double", column, required=False)
        for column in FEATURES
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema([ColSpec("double", "predicted_price_mad")]),
        params=ParamSchema([ParamSpec("return_interval", "boolean", False)]),
    )
