"""How often drift alarms when nothing changed, and how often when something changed.

    make bench-drift DATA=listings.csv [SEEDS=100]

Draws two disjoint sets of real listings, changes the second one and compares them with
`carprice.monitoring.verdict` and the settings in params.yaml. The first two columns of the table compare
halves of equal size, for information. The others compare new listings with everything else, as
`detect-drift` does, and decide the exit status: 1 if draws alarm too often although nothing changed, or if a
change is missed too often in its column. The model's errors are honest: each price comes from a model that
was fitted without the fifth of the listings that it is in, and of the reference only the test rows count.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.accuracy import distinct_listings
from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.model.features import features_of
from carprice.monitoring.verdict import DRIFTED, Comparison, compare
from carprice.params import Params
from carprice.params_file import load_params

SIZES = (500, 2000)
FOLDS = 5
MOST_FALSE_ALARMS, FEWEST_SEEN = 0.05, 0.95
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class Listings:
    """Real listings and log(asking / predicted price) of each, of shape (n,)."""

    table: pd.DataFrame
    error: Floats

    def take(self, rows: Rows) -> Listings:
        """Some of them, with a new row index."""
        return Listings(self.table.iloc[rows].reset_index(drop=True), self.error[rows])


def main() -> int:
    """Print the tables; returns the exit status."""
    path = os.environ.get("DATA")
    if not path:
        print("bench-drift: expected a CSV file of listings in DATA, found nothing", file=sys.stderr)
        return 2
    params, seeds = load_params(), int(os.environ.get("SEEDS") or 100)
    begun = time.perf_counter()
    listings = distinct_listings(path)
    predict = cross_fitted(listings, params)
    plain = Listings(listings, predict(listings))
    changes = {
        "nothing": lambda half, _: half,
        "prices up 10 %": dearer,
        "mileage one bracket up, half the rows": with_predictions(plain, predict, mileage_up(listings), 0.5),
        "a make from 5 % to 15 %": more_of_a_make(plain),
        "30 % of first_owner empty": emptied(plain, predict, "first_owner"),
        "30 % of fuel empty": emptied(plain, predict, "fuel"),
        "30 % of model_year empty": emptied(plain, predict, "model_year"),
        "make never seen, 3 %": with_predictions(plain, predict, listings.assign(make="Zeekr"), 0.03),
        "fuel never seen, 3 %": with_predictions(plain, predict, listings.assign(fuel="GPL"), 0.03),
    }
    print(f"{len(listings)} distinct listings, {seeds} seeded draws; share of draws that alarm")
    print(f"(in brackets: that alarm in the changed column); models in {time.perf_counter() - begun:.0f} s\n")
    columns = [(n, n) for n in SIZES] + [(len(listings) - n, n) for n in SIZES]
    print(f"{'':<40}" + "".join(f"{f'{n} against {m}':>22}" for m, n in columns))
    problems = []
    for name, change in changes.items():
        cells = []
        for before, now in columns:
            found = [one_draw(plain, change, before, now, seed, params) for seed in range(seeds)]
            alarms = np.mean([comparison.verdict == DRIFTED for comparison in found])
            right = np.mean([bool(EXPECTED.get(name, set()) & set(c.drifted)) for c in found])
            cells.append(f"{alarms:.0%}" + (f" ({right:.0%})" if name in EXPECTED else ""))
            if before == now:
                continue
            if name not in EXPECTED and alarms > MOST_FALSE_ALARMS:
                problems.append(
                    f"{name}, {now} new listings: expected alarms in at most {MOST_FALSE_ALARMS:.0%}, "
                    f"found {alarms:.0%}"
                )
            if name in EXPECTED and right < FEWEST_SEEN:
                problems.append(
                    f"{name}, {now} new listings: expected alarms in at least {FEWEST_SEEN:.0%} in the "
                    f"changed column, found {right:.0%}"
                )
        print(f"{name:<40}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")
    for problem in problems:
        print(f"bench-drift: {problem}", file=sys.stderr)
    return 1 if problems else 0


EXPECTED = {
    "prices up 10 %": {"price_at_equal_car", "price_mad"},
    "mileage one bracket up, half the rows": {"mileage_km"},
    "a make from 5 % to 15 %": {"make"},
    "30 % of first_owner empty": {"first_owner"},
    "30 % of fuel empty": {"fuel"},
    "30 % of model_year empty": {"model_year"},
    "make never seen, 3 %": {"make"},
    "fuel never seen, 3 %": {"fuel"},
}
Change = Callable[[Listings, Random], Listings]


def one_draw(
    listings: Listings, change: Change, before: int, now: int, seed: int, params: Params
) -> Comparison:
    """Compare two disjoint draws, the second one changed; errors before are those of test rows alone."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(listings.error))
    reference = listings.take(order[now : now + before])
    drawn = Listings(listings.table.assign(row=np.arange(len(order))), listings.error).take(order[:now])
    current = change(drawn, random)
    split = params.evaluation
    tested = is_test(reference.table["listing_id"], split.test_share, split.split_seed)
    return compare(reference.table, current.table, params.drift, (reference.error[tested], current.error))


def cross_fitted(listings: pd.DataFrame, params: Params) -> Callable[[pd.DataFrame], Floats]:
    """log(asking / predicted price) of each listing, from a model that was fitted without it.

    The returned function takes the same listings, in the same order, changed or not.
    """
    fold = np.random.default_rng(0).permutation(len(listings)) % FOLDS
    pipelines = [training.fit(listings[fold != k].reset_index(drop=True), params) for k in range(FOLDS)]

    def errors(changed: pd.DataFrame) -> Floats:
        found = np.zeros(len(changed))
        for k, pipeline in enumerate(pipelines):
            rows = changed[fold == k]
            price = rows["price_mad"].to_numpy(dtype=np.float64)
            found[fold == k] = np.log(price / pipeline.predict(features_of(rows)))
        return found

    return errors


def dearer(half: Listings, random: Random) -> Listings:
    """Every price up by 10 %."""
    return Listings(half.table.assign(price_mad=half.table["price_mad"] * 1.1), half.error + np.log(1.1))


def with_predictions(
    plain: Listings, predict: Callable[[pd.DataFrame], Floats], changed: pd.DataFrame, share: float
) -> Change:
    """Replace a share of the rows by the same listings in `changed`."""
    error = predict(changed)
    columns = [c for c in changed.columns if not changed[c].equals(plain.table[c])]

    def change(half: Listings, random: Random) -> Listings:
        chosen = random.permutation(len(half.error))[: round(share * len(half.error))]
        rows = half.table["row"].to_numpy()[chosen]
        table, errors = half.table.copy(), half.error.copy()
        for column in columns:
            values = table[column].to_numpy(copy=True)
            values[chosen] = changed[column].to_numpy()[rows]
            table[column] = values
        errors[chosen] = error[rows]
        return Listings(table, errors)

    return change


def mileage_up(listings: pd.DataFrame) -> pd.DataFrame:
    """Every mileage in the next bracket (the last one stays)."""
    brackets = listings[["mileage_km_min", "mileage_km_max"]].drop_duplicates().sort_values("mileage_km_min")
    low, high = brackets["mileage_km_min"].to_numpy(), brackets["mileage_km_max"].to_numpy()
    place = np.minimum(np.searchsorted(low, listings["mileage_km_min"]) + 1, len(low) - 1)
    return listings.assign(mileage_km_min=low[place], mileage_km_max=high[place])


def emptied(plain: Listings, predict: Callable[[pd.DataFrame], Floats], column: str) -> Change:
    """Empty 30 % of the rows of a column."""
    nothing = None if plain.table[column].dtype == object else np.nan
    return with_predictions(plain, predict, plain.table.assign(**{column: nothing}), 0.3)


def more_of_a_make(plain: Listings) -> Change:
    """Raise the make whose share is closest to 5 % to 15 % of the half.

    Its rows are drawn from the whole half, more than once if there are too few.
    """
    shares = plain.table["make"].value_counts(normalize=True)
    make = str((shares - 0.05).abs().idxmin())

    def change(half: Listings, random: Random) -> Listings:
        n = len(half.error)
        ours = (half.table["make"] == make).to_numpy()
        wanted = round(0.15 * n)
        extra = random.choice(np.flatnonzero(ours), max(wanted - ours.sum(), 0))
        others = random.permutation(np.flatnonzero(~ours))[: n - wanted]
        return half.take(np.concatenate([np.flatnonzero(ours)[:wanted], extra, others]))

    return change


if __name__ == "__main__":
    sys.exit(main())
