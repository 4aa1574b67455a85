"""The model, the reference recipe and boosting on the same rows, for several split seeds, with the spread.

    make bench-accuracy DATA=listings.csv [SEEDS=5] [SIZES="500 4000"] [PARTIAL=0.3]

Measures accuracy, intervals and typing errors with the code of the pipeline and the settings in params.yaml.
With SIZES it measures the learning curve (see `benchmarks.learning_curve`).
With PARTIAL, a share of the training rows, it measures what listings without mileage or fuel do instead.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.boosting import BOOSTING
from benchmarks.learning_curve import draw_curve, learning_curve, pricings, print_curve
from benchmarks.partial_listings import print_comparison
from benchmarks.reference import reference
from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.listings import reading, tables
from carprice.model.features import features_of
from carprice.model.metrics import r_squared
from carprice.model.price_model import expected_in_training, flagged_in_training, looks_mistyped
from carprice.params import Params
from carprice.params_file import load_params

CORRUPTED = 0.02
Floats = npt.NDArray[np.float64]


def main() -> int:
    """Print the tables; returns the exit status."""
    path = os.environ.get("DATA")
    if not path:
        print("bench-accuracy: DATA must name a CSV file of listings, found nothing", file=sys.stderr)
        return 2
    params = load_params()
    listings = distinct_listings(path)
    seeds = int(os.environ.get("SEEDS") or 5)
    if share := float(os.environ.get("PARTIAL") or 0):
        print_comparison(listings, params, seeds, share)
        return 0
    if sizes := [int(size) for size in os.environ.get("SIZES", "").split()]:
        names = list(filter(None, os.environ.get("MODELS", "").split(","))) or list(pricings(params))
        curve = learning_curve(listings, params, seeds, sizes, names)
        print_curve(curve)
        if picture := os.environ.get("PICTURE"):
            draw_curve(curve, picture)
        return 0
    print(
        f"{len(listings)} distinct listings, {seeds} split seeds, test share {params.evaluation.test_share}"
    )
    found, makes = [], []
    for seed in range(seeds):
        begun = time.perf_counter()
        figures, per_make = one_split(listings, params, seed)
        found.append(figures | typing_error_figures(listings, params, seed))
        makes.append(per_make)
        print(f"seed {seed} done in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    table = pd.DataFrame(found)
    width = max(map(len, table.columns))
    print(f"\n{'':<{width}} {'mean':>9} {'spread':>8} {'lowest':>8} {'highest':>8}")
    for name in table:
        column = table[name]
        values = " ".join(f"{v:8.3f}" for v in (column.std(ddof=0), column.min(), column.max()))
        print(f"{name:<{width}} {column.mean():9.3f} {values}")
    coverage = pd.concat(makes).groupby(level=0).mean().sort_values()
    print("\ninterval coverage per make with 50 or more test rows, mean over the seeds:")
    print("  " + ", ".join(f"{make} {share:.1%}" for make, share in coverage.items()))
    return 0


def distinct_listings(path: str) -> pd.DataFrame:
    """The accepted listings of a raw file, each with its newest price."""
    with open(path, "rb") as file:
        raw = reading.read_raw(file.read(), path)
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()]
    return good.drop_duplicates("listing_id", keep="last").reset_index(drop=True)


def one_split(listings: pd.DataFrame, params: Params, seed: int) -> tuple[dict[str, float], pd.Series]:
    """The figures of one split seed, and the coverage of the interval per make."""
    in_test = is_test(listings["listing_id"], params.evaluation.test_share, seed)
    train, test = listings[~in_test].reset_index(drop=True), listings[in_test].reset_index(drop=True)
    theirs, bounded = reference(train, test)
    pipeline = training.fit(train, params)
    ours, low, high = pipeline.predict(features_of(test), return_interval=True).T
    price = test["price_mad"].to_numpy(dtype=np.float64)
    kept = ~looks_mistyped(pipeline, features_of(test), price)
    covered = (low <= price) & (price <= high)
    # For comparison: the constant width, as a share of the price, that covers as many of these rows.
    constant = np.quantile(np.abs(np.log(price / ours))[kept], covered[kept].mean())
    figures = {
        "inside the reference's bounds: rows": float(bounded.sum()),
        "  reference: mean error, % of mean price": _mae_share(price, theirs, bounded),
        "  reference: R²": r_squared(price[bounded], theirs[bounded]),
        "  reference: median error, %": _median_ape(price, theirs, bounded),
        "  ours: mean error, % of mean price": _mae_share(price, ours, bounded),
        "  ours: R²": r_squared(price[bounded], ours[bounded]),
        "  ours: median error, %": _median_ape(price, ours, bounded),
        "  mean error, ours over the reference": _mae_share(price, ours, bounded)
        / _mae_share(price, theirs, bounded),
        "all unflagged test rows: rows": float(kept.sum()),
        "  ours: mean relative error, %": 100 * float((np.abs(ours - price) / price)[kept].mean()),
        **{
            f"  {name}: mean relative error, %": 100
            * float((np.abs(boosted(train, test) - price) / price)[kept].mean())
            for name, boosted in BOOSTING.items()
        },
        "  ours: R² of the log price": r_squared(np.log(price[kept]), np.log(ours[kept])),
        "flagged as typing errors: test rows, %": 100 * float(1 - kept.mean()),
        "flagged as typing errors: training rows, %": 100 * float(flagged_in_training(pipeline).mean()),
        "interval: coverage, %": 100 * float(covered[kept].mean()),
        "interval: mean width, log": float(np.log(high / low)[kept].mean()),
        "interval: constant width of that coverage, log": float(2 * constant),
        "interval: mean width, % of the price": 100 * float(((high - low) / ours)[kept].mean()),
    }
    per_make = pd.Series(covered[kept]).groupby(test.loc[kept, "make"].to_numpy()).agg(["mean", "size"])
    return figures, per_make.loc[per_make["size"] >= 50, "mean"]


def typing_error_figures(listings: pd.DataFrame, params: Params, seed: int) -> dict[str, float]:
    """The share of seeded errors (a zero too many or too few) that is found, and of clean rows newly flagged.

    An error is outside the plausible range if it is further than the limit from the price that all other
    listings imply.
    """
    random = np.random.default_rng(seed)
    limit = params.training.typing_error_log_distance
    before = training.fit(listings, params)
    flagged, expected = flagged_in_training(before), expected_in_training(before)
    clean = np.flatnonzero(~flagged)
    chosen = random.choice(clean, round(CORRUPTED * len(clean)), replace=False)
    corrupted = listings.copy()
    price = corrupted["price_mad"].to_numpy(dtype=np.float64, copy=True)
    price[chosen] *= np.where(random.random(len(chosen)) < 0.5, 10, 0.1)
    corrupted["price_mad"] = price
    after = flagged_in_training(training.fit(corrupted, params))
    implausible = chosen[np.abs(np.log(price[chosen] / expected[chosen])) > limit]
    untouched = np.setdiff1d(clean, chosen)
    return {
        "seeded errors: that leave the plausible range": float(len(implausible)),
        "seeded errors: of these found, %": 100 * float(after[implausible].mean()),
        "seeded errors: untouched rows newly flagged, %": 100 * float(after[untouched].mean()),
    }


def _mae_share(price: Floats, predicted: Floats, rows: npt.NDArray[np.bool_]) -> float:
    return 100 * float(np.abs(predicted - price)[rows].mean() / price[rows].mean())


def _median_ape(price: Floats, predicted: Floats, rows: npt.NDArray[np.bool_]) -> float:
    return 100 * float(np.median((np.abs(predicted - price) / price)[rows]))


if __name__ == "__main__":
    sys.exit(main())
