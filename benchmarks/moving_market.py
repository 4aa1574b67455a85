"""Whether the gates let good successors in and keep a bad one out while the market moves.

    make bench-market [MONTHS=12 ROWS=1500 RISE=0.02 FALL=0 WORSE=6]

Each month ROWS synthetic listings land, at prices that rose by RISE since the month before. In month FALL
they fall by 10 % instead. A candidate learns all listings so far and is compared with production as
`promote_to_staging` does. In month WORSE the candidate is spoilt, because it learns a fifth of the listings:
it must be refused, and month WORSE + 1 is compared with older production. The exit status is 1 if a month
has another outcome than it should.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.lifecycle.comparison import Contest, compare
from carprice.lifecycle.evaluation import prices_of
from carprice.lifecycle.gates import Gate
from carprice.listings import reading, sample, tables
from carprice.model.metrics import regression_metrics
from carprice.params import Params
from carprice.params_file import load_params

START, MONTH = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta(days=30)
FALL, SPOILT_SHARE = 0.1, 0.2


@dataclass(frozen=True)
class Month:
    """What came of one month: the gates that compared its candidate, none in the first one.

    `live_error` is the mean relative error of production on what landed, before anything learned it.
    """

    number: int
    spoilt: bool
    gates: list[Gate]
    live_error: float | None

    @property
    def promoted(self) -> bool:
        """Whether all gates said yes."""
        return all(gate.passed for gate in self.gates)

    @property
    def as_it_should(self) -> bool:
        """Whether a good candidate was promoted, and a spoilt one refused."""
        return self.promoted != self.spoilt


def main() -> int:
    """Print a line for each month; returns the exit status."""
    months, rows = int(os.environ.get("MONTHS") or 12), int(os.environ.get("ROWS") or 1500)
    rise, fall = float(os.environ.get("RISE") or 0.02), int(os.environ.get("FALL") or 0)
    levels = np.cumprod([1.0] + [1 - FALL if number == fall else 1 + rise for number in range(2, months + 1)])
    worse = int(os.environ.get("WORSE") or 6)
    print(f"{'month':>5}  {'live error':>10}  {'gate':<26} {'confidence':>10}  {'worst slice':>11}  outcome")
    found, begun = [], time.perf_counter()
    for month in history(load_params(), rows, list(levels), worse):
        found.append(month)
        live = "" if month.live_error is None else f"{100 * month.live_error:.1f} %"
        rule, value, loss = "no production", "", ""
        if month.gates:
            rule, value = month.gates[0].name, f"{month.gates[0].value:.2f}"
            loss = f"{100 * month.gates[1].value:+.1f} %"
        outcome = ("promoted" if month.promoted else "refused") + (", spoilt" if month.spoilt else "")
        print(f"{month.number:>5}  {live:>10}  {rule:<26} {value:>10}  {loss:>11}  {outcome}", flush=True)
    wrong = [month.number for month in found if not month.as_it_should]
    print(f"{time.perf_counter() - begun:.0f} s; months with another outcome than they should have: {wrong}")
    return 1 if wrong else 0


def history(params: Params, rows: int, levels: Sequence[float], worse: int) -> Iterator[Month]:
    """Month after month of a market with these levels of prices; the candidate of month `worse` is spoilt."""
    landed: list[pd.DataFrame] = []
    production: tuple[Pipeline, set[str]] | None = None
    for number, level in enumerate(levels, start=1):
        landed.append(landing(number, rows, level))
        live = None if production is None else _error(production[0], landed[-1])
        listings = pd.concat(landed, ignore_index=True)
        in_test = is_test(listings["listing_id"], params.evaluation.test_share, params.evaluation.split_seed)
        learned = listings[~in_test].reset_index(drop=True)
        taken = learned.sample(frac=SPOILT_SHARE, random_state=0) if number == worse else learned
        candidate = training.fit(taken, params)
        gates: list[Gate] = []
        if production is not None:
            contest = Contest(
                version=str(number - 1),
                candidate=candidate,
                production=production[0],
                rows=listings[in_test].reset_index(drop=True),
                learned=learned,
                known_files=production[1],
            )
            gates, _ = compare(contest, params)
        month = Month(number, number == worse, gates, live)
        if month.promoted:
            production = candidate, set(listings["source_sha256"].str[:12])
        yield month


def landing(number: int, rows: int, level: float) -> pd.DataFrame:
    """The listings of a month at a level of prices: canonical columns and `seen_at`."""
    raw = reading.read_raw(sample.to_csv(sample.generate(rows, seed=number)).encode(), "synthetic.csv")
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()].drop_duplicates("listing_id").reset_index(drop=True)
    seen = START + number * MONTH
    return good.assign(
        price_mad=(good["price_mad"] * level / 100).round() * 100,
        scraped_at=pd.Series(seen, index=good.index).astype("datetime64[us, UTC]"),
        source_sha256=f"{number:064d}"[::-1],
        seen_at=seen,
    )


def _error(pipeline: Pipeline, listings: pd.DataFrame) -> float:
    """The mean relative error, without the prices that are off by more than a factor of two."""
    actual = listings["price_mad"].to_numpy(dtype=np.float64)
    predicted = prices_of(pipeline, listings)
    usual = np.abs(np.log(actual / predicted)) < np.log(2)
    return regression_metrics(actual[usual], predicted[usual])["mape"]


if __name__ == "__main__":
    sys.exit(main())
