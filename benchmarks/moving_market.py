"""Whether models follow a market that moves, and the gates let good successors in and keep a bad one out.

    make bench-market [MONTHS=12 ROWS=1500 RISE=0.02 FALL=0 WORSE=6]

Each month ROWS synthetic listings land, at prices that rose by RISE since the month before. In month FALL
they fall by 10 % instead. A candidate learns all listings so far and is compared with production as
`promote_to_staging` does. In month WORSE the candidate is spoilt, because it learns a fifth of the listings:
it must be refused, and month WORSE + 1 is compared with older production.

What a month should show: the outcome of its gates; a live error of production, on what landed before anything
learned it, at most 1 point above its error at promotion; 88 to 92 % of the newest test prices inside the
interval; a market level within 1 point of the true one on each day that was learned. Of all months together,
the true level is inside the band of the learned one in at least 90 %. In month FALL the live
error is that of a model that could not know of the fall: the month after shows whether the model followed.
The exit status is 1 if a month shows something else.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.lifecycle.comparison import Contest, compare
from carprice.lifecycle.gates import Gate
from carprice.lifecycle.recent import newest
from carprice.listings import reading, sample, tables
from carprice.market.level import BAND_REACH
from carprice.model.features import features_of
from carprice.model.market import level_deviation, market_level
from carprice.model.metrics import regression_metrics
from carprice.params import Params
from carprice.params_file import load_params

START, MONTH = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta(days=30)
FALL, SPOILT_SHARE = 0.1, 0.2
MOST_GROWTH, COVERED, MOST_LEVEL_ERROR = 0.01, (0.88, 0.92), 0.01
LEAST_INSIDE = 0.9


class Figures(NamedTuple):
    """Mean relative error and share inside the interval, of prices off by less than a factor of two."""

    error: float
    covered: float


@dataclass(frozen=True)
class Month:
    """What came of one month: the gates that compared its candidate, none in the first one.

    `recent` are the candidate's figures on the newest test listings, `level_error` is the largest distance of
    its market level from the true one, as a share, on the days of landings, and `level_inside` the share of
    these days, but the newest, on which the true level is inside the band. `live` are the figures of
    production on what landed, before anything learned it, and `promised` those that it was promoted with.
    """

    number: int
    spoilt: bool
    gates: list[Gate]
    recent: Figures
    level_error: float
    level_inside: float
    live: Figures | None
    promised: Figures | None

    @property
    def promoted(self) -> bool:
        """Whether all gates said yes."""
        return all(gate.passed for gate in self.gates)

    @property
    def growth(self) -> float:
        """How far the live error is above the one at promotion."""
        return self.live.error - self.promised.error if self.live and self.promised else 0.0

    def faults(self, is_fall: bool) -> list[str]:
        """What this month shows that it should not; in the month of a fall no live error is too large."""
        found = []
        if self.promoted == self.spoilt:
            found.append("outcome")
        if self.growth > MOST_GROWTH and not is_fall:
            found.append("live error")
        if not self.spoilt and not COVERED[0] <= self.recent.covered <= COVERED[1]:
            found.append("coverage")
        if not self.spoilt and self.level_error > MOST_LEVEL_ERROR:
            found.append("level")
        return found


def main() -> int:
    """Print a line for each month; returns the exit status."""
    months, rows = int(os.environ.get("MONTHS") or 12), int(os.environ.get("ROWS") or 1500)
    rise, fall = float(os.environ.get("RISE") or 0.02), int(os.environ.get("FALL") or 0)
    levels = np.cumprod([1.0] + [1 - FALL if number == fall else 1 + rise for number in range(2, months + 1)])
    worse = int(os.environ.get("WORSE") or 6)
    print(
        f"{'month':>5}  {'error':>6} {'inside':>7}  {'live error':>10} {'inside':>7}  {'level off':>9}  "
        f"{'gate':<26} {'confidence':>10}  {'worst slice':>11}  outcome"
    )
    faults, begun = 0, time.perf_counter()
    inside_bands: list[float] = []
    for month in history(load_params(), rows, list(levels), worse):
        live = inside = rule = value = loss = ""
        inside_bands.append(float("nan") if month.spoilt else month.level_inside)
        if month.live is not None:
            live, inside = f"{100 * month.live.error:.1f} %", f"{100 * month.live.covered:.1f} %"
        rule = "no production"
        if month.gates:
            rule, value = month.gates[0].name, f"{month.gates[0].value:.2f}"
            loss = f"{100 * month.gates[1].value:+.1f} %"
        outcome = ("promoted" if month.promoted else "refused") + (", spoilt" if month.spoilt else "")
        wrong = month.faults(month.number == fall)
        faults += len(wrong)
        outcome += f"; not as it should be: {', '.join(wrong)}" if wrong else ""
        print(
            f"{month.number:>5}  {100 * month.recent.error:>4.1f} % {100 * month.recent.covered:>5.1f} %  "
            f"{live:>10} {inside:>7}  {100 * month.level_error:>7.2f} %  "
            f"{rule:<26} {value:>10}  {loss:>11}  {outcome}",
            flush=True,
        )
    inside_band = np.mean([share for share in inside_bands if share == share])
    print(f"the true level is inside the band in {100 * inside_band:.0f} % of the months of all candidates")
    faults += int(inside_band < LEAST_INSIDE)
    print(f"{time.perf_counter() - begun:.0f} s; {faults} things are not as they should be")
    return 1 if faults else 0


def history(params: Params, rows: int, levels: Sequence[float], worse: int) -> Iterator[Month]:
    """Month after month of a market with these levels of prices; the candidate of month `worse` is spoilt."""
    landed: list[pd.DataFrame] = []
    production: tuple[Pipeline, set[str], Figures] | None = None
    for number, level in enumerate(levels, start=1):
        landed.append(landing(number, rows, level))
        live = promised = None
        if production is not None:
            live, promised = _figures(production[0], landed[-1]), production[2]
        listings = pd.concat(landed, ignore_index=True)
        in_test = is_test(listings["listing_id"], params.evaluation.test_share, params.evaluation.split_seed)
        learned = listings[~in_test].reset_index(drop=True)
        test = listings[in_test].reset_index(drop=True)
        taken = learned.sample(frac=SPOILT_SHARE, random_state=0) if number == worse else learned
        candidate = training.fit(taken, params)
        gates: list[Gate] = []
        if production is not None:
            contest = Contest(
                version=str(number - 1),
                candidate=candidate,
                production=production[0],
                rows=test,
                learned=learned,
                known_files=production[1],
            )
            gates, _ = compare(contest, params)
        recent = _figures(candidate, test[newest(test["seen_at"], params.evaluation.recent_rows)])
        month = Month(
            number, number == worse, gates, recent, *_level_errors(candidate, levels[:number]), live, promised
        )
        if month.promoted:
            production = candidate, set(listings["source_sha256"].str[:12]), recent
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
        asked_on=f"{seen:%Y-%m-%d}",
    )


def _figures(pipeline: Pipeline, listings: pd.DataFrame) -> Figures:
    """The figures of listings, each priced for the day that it was asked on."""
    actual = listings["price_mad"].to_numpy(dtype=np.float64)
    predicted, low, high = pipeline.predict(features_of(listings), return_interval=True).T
    usual = np.abs(np.log(actual / predicted)) < np.log(2)
    covered = (low <= actual) & (actual <= high)
    return Figures(regression_metrics(actual[usual], predicted[usual])["mape"], float(covered[usual].mean()))


def _level_errors(pipeline: Pipeline, levels: Sequence[float]) -> tuple[float, float]:
    """How far the learned market level is from the true one, both against the newest day.

    The largest distance, and the share of days but the newest on which the true level is inside the band.
    """
    days = [f"{START + number * MONTH:%Y-%m-%d}" for number in range(1, len(levels) + 1)]
    true = np.array(levels) / levels[-1]
    table = market_level(pipeline, days)
    if not len(table):
        return float(np.abs(1 - true).max()), float("nan")
    known = table["make"] == ""
    learned = table.loc[known, "level"].to_numpy()
    reach = BAND_REACH * level_deviation(pipeline, table)[known]
    inside = np.abs(np.log(true / learned)) <= reach
    return float(np.abs(learned - true).max()), float(inside[:-1].mean())


if __name__ == "__main__":
    sys.exit(main())
