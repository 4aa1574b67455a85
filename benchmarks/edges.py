"""Whether the interval holds at the edges of what the model has learned, for several split seeds.

    make bench-edges DATA=listings.csv [SEEDS=5]

Learns one part of a file, and prices the other with the code of the pipeline and the settings in params.yaml.
A row counts where its interval is shown: where the evidence for such cars is not none.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.accuracy import distinct_listings
from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.listings.market_prices import at_market_prices
from carprice.model.edges import LEAST_LISTINGS, SHARE
from carprice.model.features import features_of
from carprice.model.plain_values import plain
from carprice.model.price_evidence import evidence_of
from carprice.model.price_model import looks_mistyped
from carprice.model.price_warnings import warnings_of_table
from carprice.params import Params
from carprice.params_file import load_params

LEAST_COVERAGE = 0.85
ALL = "all test rows"

Flags = npt.NDArray[np.bool_]


def main() -> int:
    """Print the table; returns the exit status: 1 where a shown interval holds too few prices."""
    path = os.environ.get("DATA")
    if not path:
        print("bench-edges: DATA must name a CSV file of listings, found nothing", file=sys.stderr)
        return 2
    params = load_params()
    listings = distinct_listings(path)
    listings = listings[at_market_prices(listings)].reset_index(drop=True)
    seeds = int(os.environ.get("SEEDS") or 5)
    print(f"{len(listings)} distinct listings, {seeds} split seeds, rows of all seeds together")
    table = coverage(pd.concat([one_split(listings, params, seed) for seed in range(seeds)]))
    print(table.to_string())
    return int((table["coverage, %"] < 100 * LEAST_COVERAGE).any())


def coverage(rows: pd.DataFrame) -> pd.DataFrame:
    """For each slice of `rows` (see `one_split`): rows, rows with an interval, and how many prices it holds.

    `of unflagged rows` leaves out those whose price looks mistyped.
    """
    found = {}
    for name in rows.columns.drop(["evidence", "covered", "flagged", "width"]):
        slice_ = rows[rows[name]]
        shown = slice_[slice_["evidence"] != "none"]
        found[name] = {
            "rows": len(slice_),
            "with interval": len(shown),
            "rough": int((shown["evidence"] == "little").sum()),
            "coverage, %": round(100 * shown["covered"].mean(), 1),
            "of unflagged rows, %": round(100 * shown.loc[~shown["flagged"], "covered"].mean(), 1),
            "median width, % of price": round(100 * shown["width"].median(), 0),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def one_split(listings: pd.DataFrame, params: Params, seed: int) -> pd.DataFrame:
    """The test rows of one split: `evidence`, `covered`, `flagged`, `width`, and a flag for each slice."""
    in_test = is_test(listings["listing_id"], params.evaluation.test_share, seed)
    train, test = listings[~in_test].reset_index(drop=True), listings[in_test].reset_index(drop=True)
    pipeline = training.fit(train, params)
    table = features_of(test)
    price, low, high = pipeline.predict(table, return_interval=True).T
    asked = test["price_mad"].to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "evidence": [evidence_of(warnings) for warnings in warnings_of_table(pipeline, table)],
            "covered": (low <= asked) & (asked <= high),
            "flagged": looks_mistyped(pipeline, table, asked),
            "width": (high - low) / price,
            **slices(train, test),
        }
    )


def slices(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Flags]:
    """Name of a slice -> the test rows that are in it; the bounds of 5 % are those of all rows."""
    both = pd.concat([train, test])
    year, km = (test[name].to_numpy(dtype=np.float64) for name in ("model_year", "mileage_km_max"))
    oldest, newest = both["model_year"].quantile([SHARE, 1 - SHARE])
    learned = _models(train).value_counts()
    count = _models(test).map(learned).fillna(0).to_numpy()
    known = count >= LEAST_LISTINGS
    with_fuel, with_gearbox = (_learned_with(name, train, test) for name in ("fuel", "gearbox"))
    return {
        ALL: np.ones(len(test), dtype=bool),
        f"models with fewer than {LEAST_LISTINGS} listings": count < LEAST_LISTINGS,
        "  of these with none": count == 0,
        f"other models, fewer than {LEAST_LISTINGS} with the fuel": known & (with_fuel < LEAST_LISTINGS),
        "  of these none with the fuel": known & (with_fuel == 0),
        f"other models, fewer than {LEAST_LISTINGS} with the gearbox": known
        & (with_gearbox < LEAST_LISTINGS),
        "oldest 5 % of model years": year <= oldest,
        "newest 5 % of model years": year >= newest,
        "highest 5 % of mileages": km >= both["mileage_km_max"].quantile(1 - SHARE),
    }


def _models(listings: pd.DataFrame) -> pd.Series:
    return listings["make"].map(plain) + "/" + listings["model"].map(plain)


def _learned_with(column: str, train: pd.DataFrame, test: pd.DataFrame) -> npt.NDArray[np.float64]:
    """How many listings of its model and with its value of `column` were learned, for each test row.

    Infinite where the row has no value.
    """
    pairs = [_models(rows) + "|" + rows[column].map(plain, na_action="ignore") for rows in (train, test)]
    learned = pairs[1].map(pairs[0].value_counts()).fillna(0).to_numpy(dtype=np.float64)
    return np.where(test[column].isna(), np.inf, learned)


if __name__ == "__main__":
    sys.exit(main())
