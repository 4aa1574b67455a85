"""What listings without mileage or fuel do to the prices of complete ones, on the same rows.

    make bench-accuracy DATA=listings.csv PARTIAL=0.3 [SEEDS=5] [WEIGHTS="1 0.7 0.4"]

Hides values of a share of the training rows and compares what a model then says of complete test rows with
what it says if it leaves these rows out, and if nothing is hidden. WEIGHTS are those of a partial row (by
default `training.partial_weight`). Then it hides values of the test rows and measures their interval.
`benchmarks.accuracy` calls it.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.model.features import NO_FUEL, NO_MILEAGE, features_of, partial_of
from carprice.model.price_model import looks_mistyped
from carprice.params import Params

MILEAGE = ["mileage_km_min", "mileage_km_max"]
# What a title does not say: with mileage and fuel, these too.
NOT_IN_TITLES = ["fiscal_power_cv", "gearbox", "first_owner", "condition"]

Floats = npt.NDArray[np.float64]
States = npt.NDArray[np.int64]


def print_comparison(listings: pd.DataFrame, params: Params, seeds: int, share: float) -> None:
    """Print the tables for `share` (0 to 1) of the training rows of each split seed."""
    complete = listings[partial_of(listings) == 0].reset_index(drop=True)
    print(f"interval coverage promised: {params.training.interval_coverage:.0%}")
    print(f"{len(complete)} complete listings; {share:.0%} of the training rows lose values")
    learned, priced = [], []
    for seed in range(seeds):
        begun = time.perf_counter()
        in_test = is_test(complete["listing_id"], params.evaluation.test_share, seed)
        train = complete[~in_test].reset_index(drop=True)
        test = complete[in_test].reset_index(drop=True)
        whole = training.fit(train, params)
        kept = ~looks_mistyped(whole, features_of(test), test["price_mad"].to_numpy(dtype=np.float64))
        test = test[kept].reset_index(drop=True)
        learned.append(errors_of_complete(whole, train, test, params, share, seed))
        priced.append(figures_of_partial(whole, test))
        print(f"seed {seed} done in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    print("\nmean relative error on complete test rows, %, by what the training rows lost:")
    print(_mean_and_spread(learned).to_string(float_format="%.3f"))
    print("\nprices of partial test rows, by a model that learned complete rows only:")
    print(_mean_and_spread(priced).to_string(float_format="%.3f"))


def errors_of_complete(
    whole: Pipeline, train: pd.DataFrame, test: pd.DataFrame, params: Params, share: float, seed: int
) -> pd.DataFrame:
    """The error on complete test rows in percent: a row for each way of training, a column for each loss."""
    random = np.random.default_rng(seed)
    lost = random.random(len(train)) < share
    kinds = {
        "mileage": lost * NO_MILEAGE,
        "fuel": lost * NO_FUEL,
        "either or both": lost * random.integers(1, NO_MILEAGE + NO_FUEL + 1, len(train)),
        "all but the title": lost * (NO_MILEAGE + NO_FUEL),
    }
    without = _error(training.fit(train[~lost].reset_index(drop=True), params), test)
    columns = {}
    for kind, state in kinds.items():
        hidden = _hide(train, state)
        if kind == "all but the title":
            hidden.loc[lost, NOT_IN_TITLES] = np.nan
            hidden = hidden.astype({"gearbox": object, "condition": object})
        figures = {"nothing hidden": _error(whole, test), "partial rows left out": without}
        for weight in _weights(params):
            settings = params.training.model_copy(update={"partial_weight": weight})
            model = training.fit(hidden, params.model_copy(update={"training": settings}))
            figures[f"partial rows learned, weight {weight:g}"] = _error(model, test)
        columns[kind] = figures
    return pd.DataFrame(columns)


def figures_of_partial(pipeline: Pipeline, test: pd.DataFrame) -> pd.DataFrame:
    """Error, interval coverage and mean width (log) of test rows whose mileage or fuel is hidden."""
    price = test["price_mad"].to_numpy(dtype=np.float64)
    rows = {}
    states = {"nothing hidden": 0, "mileage": NO_MILEAGE, "fuel": NO_FUEL, "both": NO_MILEAGE + NO_FUEL}
    for name, state in states.items():
        hidden = _hide(test, np.full(len(test), state))
        said, low, high = pipeline.predict(features_of(hidden), return_interval=True).T
        rows[name] = {
            "mean error, %": 100 * float((np.abs(said - price) / price).mean()),
            "coverage, %": 100 * float(((low <= price) & (price <= high)).mean()),
            "width, log": float(np.log(high / low).mean()),
        }
    return pd.DataFrame(rows).T


def _weights(params: Params) -> list[float]:
    given = os.environ.get("WEIGHTS", "").replace(",", " ").split()
    return [float(weight) for weight in given] or [params.training.partial_weight]


def _hide(listings: pd.DataFrame, state: States) -> pd.DataFrame:
    hidden = listings.copy()
    hidden.loc[state & NO_MILEAGE > 0, MILEAGE] = np.nan
    hidden.loc[state & NO_FUEL > 0, "fuel"] = None
    return hidden


def _error(pipeline: Pipeline, test: pd.DataFrame) -> float:
    price = test["price_mad"].to_numpy(dtype=np.float64)
    said: Floats = pipeline.predict(features_of(test))
    return 100 * float((np.abs(said - price) / price).mean())


def _mean_and_spread(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The mean of each cell over the seeds, and beside it the standard deviation."""
    cells = np.stack([table.to_numpy(dtype=np.float64) for table in tables])
    names = [(str(column), figure) for column in tables[0].columns for figure in ("mean", "sd")]
    both = np.stack([cells.mean(axis=0), cells.std(axis=0)], axis=2).reshape(len(tables[0]), -1)
    return pd.DataFrame(both, index=tables[0].index, columns=pd.MultiIndex.from_tuples(names))
