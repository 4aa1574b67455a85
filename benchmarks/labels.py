"""Whether labels are shared out as they should be, and those of learned listings are honest.

    make bench-labels DATA=listings.csv [FOLDS=8 FOLD=60]

Learns the listings of a file but the test rows, and rates all of them with the code of the pipeline and the
settings in params.yaml. Then FOLDS times a model learns the listings without FOLD of them and without the
other ads of their cars, and rates these as cars that it never saw. The exit status is 1 where the share of a
label among these listings differs by more than 2 % of the listings, or where more than 2 % of them have
another label and are beyond the margin of labels (market.hysteresis).
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from benchmarks.accuracy import distinct_listings
from carprice.history.car_groups import TEST
from carprice.history.state import Terms, empty_state, with_file
from carprice.lifecycle import training
from carprice.listings.market_prices import at_market_prices
from carprice.market import labels
from carprice.model import predictive
from carprice.model.features import features_of
from carprice.params import KernelTerm, Params
from carprice.params_file import load_params

MOST_DIFFERENCE = 0.02

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def main() -> int:
    """Print the tables; returns the exit status."""
    path = os.environ.get("DATA")
    if not path:
        print("bench-labels: DATA must name a CSV file of listings, found nothing", file=sys.stderr)
        return 2
    params = load_params()
    listings, car, in_test = _listings(path, params)
    learned, tested = listings[~in_test].reset_index(drop=True), listings[in_test].reset_index(drop=True)
    car = car[~in_test]
    begun = time.perf_counter()
    pipeline = training.fit(learned, params, car)
    print(f"{len(learned)} listings learned in {time.perf_counter() - begun:.0f} s, {len(tested)} left out")
    own = left_out_positions(pipeline, learned)
    theirs = positions(pipeline, tested)
    shares = {"learned": _shares(own, params), "test": _shares(theirs, params)}
    print(_table(shares))
    folds, fold = int(os.environ.get("FOLDS") or 8), int(os.environ.get("FOLD") or 60)
    rows = np.random.default_rng(0).permutation(len(learned))[: folds * fold].reshape(folds, fold)
    found = np.concatenate([_without(chosen, learned, car, pipeline, params) for chosen in rows])
    said = own[rows.ravel()]
    labels_said, labels_found = (labels.classes(each, params.market) for each in (said, found))
    print(f"\n{folds} times {fold} of them, rated by a model that did not learn their cars:")
    shares = {"said without it": _shares(said, params), "not learned": _shares(found, params)}
    print(_table(shares))
    same = labels_said == labels_found
    kept = labels.classes(found, params.market, labels_said) == labels_said
    print(
        f"the same label: {100 * same.mean():.1f} %; within the margin of market.hysteresis: "
        f"{100 * kept.mean():.1f} %; position differs by {np.abs(said - found).mean():.4f} in the mean"
    )
    differences = [
        abs(shares["said without it"][name] - shares["not learned"][name]) for name in labels.LABELS
    ]
    return int(max(differences) > MOST_DIFFERENCE or kept.mean() < 1 - MOST_DIFFERENCE)


def left_out_positions(pipeline: Pipeline, learned: pd.DataFrame) -> Floats:
    """The position of each learned listing, said without it and the other ads of its car: of shape (n,)."""
    model = pipeline.named_steps["price"]
    error = np.log(learned["price_mad"].to_numpy(dtype=np.float64) / model.left_out_mad_)
    return predictive.positions(model, error / model.left_out_scale_)


def positions(pipeline: Pipeline, listings: pd.DataFrame) -> Floats:
    """The position of each listing that was not learned: of shape (n,)."""
    model = pipeline.named_steps["price"]
    rows = pipeline.named_steps["features"].transform(features_of(listings))
    log_price, scale = model.distribution(rows)
    error = np.log(listings["price_mad"].to_numpy(dtype=np.float64)) - log_price
    return predictive.positions(model, error / scale)


def _listings(path: str, params: Params) -> tuple[pd.DataFrame, Integers, npt.NDArray[np.bool_]]:
    """The listings of a file, the number of each one's car group, and which are test rows."""
    terms = Terms(params.evaluation.test_share, params.evaluation.split_seed)
    state = with_file(empty_state(), distinct_listings(path), datetime(2024, 1, 1, tzinfo=UTC), terms)
    listings, cars = state.listings, state.cars
    whole = at_market_prices(listings)
    return (
        listings[whole].reset_index(drop=True),
        pd.factorize(cars.loc[whole, "group"])[0],
        (cars.loc[whole, "side"] == TEST).to_numpy(),
    )


def _without(
    rows: Integers, learned: pd.DataFrame, car: Integers, pipeline: Pipeline, params: Params
) -> Floats:
    """The positions of some learned listings by a model that learned none of their cars.

    Noise and effects are those that were learned once: a few listings do not move them.
    """
    rest = ~np.isin(car, car[rows])
    level = pipeline.named_steps["price"].level_
    own = {
        "terms": [KernelTerm(**term) for term in level.terms],
        "noise": level.noise,
        "learning_rows": 10**9,
        "market_terms": [],
    }
    given = params.model_copy(update={"training": params.training.model_copy(update=own)})
    return positions(training.fit(learned[rest].reset_index(drop=True), given), learned.iloc[rows])


def _shares(position: Floats, params: Params) -> dict[str, float]:
    counts = np.bincount(labels.classes(position, params.market), minlength=len(labels.LABELS))
    return dict(zip(labels.LABELS, (counts / len(position)).tolist(), strict=True))


def _table(shares: dict[str, dict[str, float]]) -> str:
    return str((100 * pd.DataFrame(shares).T).round(1).rename_axis("share of listings, %").to_string())


if __name__ == "__main__":
    sys.exit(main())
