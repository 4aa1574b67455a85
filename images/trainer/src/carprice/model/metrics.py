"""How good a set of prices is, in the figures the gates and the model card use."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.model.features import partial_of

Floats = npt.NDArray[np.float64]


_OF_PRICES = (
    "mae_mad", "rmse_mad", "mae_share", "mape", "median_ape", "r2", "r2_log", "within_10", "within_20"
)  # fmt: skip
_OF_RATIOS = ("cod", "prd", "prb")
# What the values of `partial_of` say.
_WITHOUT = ("neither missing", "mileage", "fuel", "mileage and fuel")


def regression_metrics(actual_mad: Floats, predicted_mad: Floats) -> dict[str, float]:
    """Metrics of predicted against actual prices, both of shape (n,) in MAD; NaN where there are none.

    `mae_mad`, `rmse_mad` are in MAD; `mape` and `median_ape` are shares of the actual price;
    `mae_share` is the mean absolute error over the mean price; `r2` is on the price and
    `r2_log` on its logarithm; `rows` is n. `within_10` and `within_20` are the shares of rows whose
    error is at most 10 % and 20 %. The others are those of `ratio_statistics`.
    """
    if not len(actual_mad):
        return {"rows": 0.0} | dict.fromkeys((*_OF_PRICES, *_OF_RATIOS), np.nan)
    error = predicted_mad - actual_mad
    relative = np.abs(error) / actual_mad
    return {
        "rows": float(len(actual_mad)),
        "mae_mad": float(np.abs(error).mean()),
        "rmse_mad": float(np.sqrt((error**2).mean())),
        "mae_share": float(np.abs(error).mean() / actual_mad.mean()),
        "mape": float(relative.mean()),
        "median_ape": float(np.median(relative)),
        "r2": r_squared(actual_mad, predicted_mad),
        "r2_log": r_squared(np.log(actual_mad), np.log(predicted_mad)),
        "within_10": float((relative <= 0.1).mean()),
        "within_20": float((relative <= 0.2).mean()),
        **ratio_statistics(actual_mad, predicted_mad),
    }


def ratio_statistics(actual_mad: Floats, predicted_mad: Floats) -> dict[str, float]:
    """What valuers say of the ratios predicted / actual of prices, both of shape (n,) in MAD, n >= 2.

    `cod` (coefficient of dispersion) is the mean distance of a ratio from the median ratio, in percent of
    the median. `prd` (price-related differential) is the mean ratio over the ratio of the sums; above 1,
    expensive cars are priced lower than cheap ones. `prb` (price-related bias) is how much the ratio changes,
    as a share of the median, where the price doubles; below 0, expensive cars are priced lower.
    All are NaN where the median ratio is no positive number.
    Source: IAAO, Standard on Ratio Studies (2013), sections 5.4 and 5.6.
    """
    ratio = predicted_mad / actual_mad
    median = float(np.median(ratio))
    if not 0 < median < np.inf:
        return dict.fromkeys(_OF_RATIOS, np.nan)
    # half of each price, so that an error of one does not look like a bias
    value = 0.5 * (actual_mad + predicted_mad / median)
    doublings = np.log2(value) - np.log2(value).mean()
    spread = float((doublings**2).sum())
    return {
        "cod": 100 * float(np.abs(ratio - median).mean()) / median,
        "prd": float(ratio.mean()) * float(actual_mad.sum()) / float(predicted_mad.sum()),
        "prb": float((doublings * (ratio - median)).sum()) / median / spread if spread > 0 else 0.0,
    }


def mean(values: npt.NDArray[Any]) -> float:
    """The mean of n values; NaN where there are none."""
    return float(values.mean()) if len(values) else np.nan


def r_squared(actual: Floats, predicted: Floats) -> float:
    """The coefficient of determination; 0 where the actual values don't vary."""
    total = float(((actual - actual.mean()) ** 2).sum())
    return 1 - float(((actual - predicted) ** 2).sum()) / total if total > 0 else 0.0


def slice_metrics(
    listings: pd.DataFrame,
    predicted_mad: Floats,
    min_rows: int,
    current_year: int,
    covered: npt.NDArray[np.bool_] | None = None,
) -> dict[str, dict[str, float]]:
    """Metrics per make, price band, age band and missing values, for every slice of at least `min_rows` rows.

    `listings` holds the canonical columns and as many rows as `predicted_mad`. Keys read
    `make=Dacia`, `price=100k-200k`, `age=6-10 years`, `without=mileage`. `covered` tells which prices lie
    inside their interval; with it each slice has its `interval_coverage` too.
    """
    price = listings["price_mad"].to_numpy(dtype=np.float64)
    age = current_year - listings["model_year"].to_numpy(dtype=np.float64)
    labels: dict[str, Any] = {
        "make": listings["make"].astype(str),
        "price": pd.cut(
            price,
            [0, 100e3, 200e3, 400e3, np.inf],
            labels=["below 100k", "100k-200k", "200k-400k", "above 400k"],
        ),
        "age": pd.cut(
            age,
            [-np.inf, 5, 10, 15, np.inf],
            labels=["up to 5 years", "6-10 years", "11-15 years", "over 15 years"],
        ),
    }
    partial = partial_of(listings)
    if partial.any():
        labels["without"] = np.array(_WITHOUT)[partial]
    found: dict[str, dict[str, float]] = {}
    for dimension, values in labels.items():
        for value, rows in pd.Series(np.arange(len(listings))).groupby(np.asarray(values), observed=True):
            chosen = rows.to_numpy()
            if len(chosen) >= min_rows:
                figures = regression_metrics(price[chosen], predicted_mad[chosen])
                if covered is not None:
                    figures["interval_coverage"] = float(covered[chosen].mean())
                found[f"{dimension}={value}"] = figures
    return found


def share_of_resamples_better(
    candidate_error: Floats, production_error: Floats, margin: float, resamples: int, seed: int
) -> float:
    """How sure it is that the candidate's mean error is below production's, by paired bootstrap.

    Both arrays, of shape (n,), hold the error of the same n rows. Returns the share of
    `resamples` in which mean(candidate) < (1 + margin) * mean(production).
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 16.
    """
    difference = candidate_error - (1 + margin) * production_error
    random = np.random.default_rng(seed)
    below: int = sum(
        difference[random.integers(0, len(difference), len(difference))].mean() < 0 for _ in range(resamples)
    )
    return float(below / resamples)
