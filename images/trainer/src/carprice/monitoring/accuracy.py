"""How well a model prices listings, compared with what its figures at promotion promised."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from carprice.model.features import features_of, partial_of
from carprice.model.metrics import Floats, regression_metrics
from carprice.model.price_model import looks_mistyped
from carprice.params import LiveParams

AS_PROMISED: Final = "as promised"
WORSE: Final = "worse"
TOO_LITTLE: Final = "too little data"
Verdict = Literal["as promised", "worse", "too little data"]


@dataclass(frozen=True)
class Scored:
    """Listings with the prices that a model gives them; all arrays of shape (n,), in MAD.

    `flagged` are asking prices that look like typing errors.
    """

    listings: pd.DataFrame
    asking_mad: Floats
    predicted_mad: Floats
    low_mad: Floats
    high_mad: Floats
    flagged: npt.NDArray[np.bool_]

    @property
    def error(self) -> Floats:
        """log(asking price / predicted price)."""
        found: Floats = np.log(self.asking_mad / self.predicted_mad)
        return found

    @property
    def relative_error(self) -> Floats:
        """The distance of predicted from asking prices, as a share of the asking price."""
        found: Floats = np.abs(self.predicted_mad - self.asking_mad) / self.asking_mad
        return found

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """Which asking prices lie inside their interval."""
        return (self.low_mad <= self.asking_mad) & (self.asking_mad <= self.high_mad)

    def take(self, rows: npt.NDArray[Any]) -> Scored:
        """Some of the listings, by position or by a mask of shape (n,); their index counts from 0."""
        return Scored(
            self.listings.iloc[rows].reset_index(drop=True),
            self.asking_mad[rows],
            self.predicted_mad[rows],
            self.low_mad[rows],
            self.high_mad[rows],
            self.flagged[rows],
        )

    def complete(self) -> Scored:
        """The listings that have both mileage and fuel.

        A model's figures are compared on these, because a file of partial listings makes no model worse.
        """
        return self.take(partial_of(self.listings) == 0)

    def figures(self, with_flagged: bool = False) -> dict[str, float]:
        """The metrics of `regression_metrics`, `interval_coverage` and `bias_log` (median log error).

        Of the listings whose price does not look mistyped, or of all. Empty for fewer than two.
        """
        rows = np.ones(len(self.asking_mad), dtype=bool) if with_flagged else ~self.flagged
        if rows.sum() < 2:
            return {}
        return regression_metrics(self.asking_mad[rows], self.predicted_mad[rows]) | {
            "interval_coverage": float(self.covered[rows].mean()),
            "bias_log": float(np.median(self.error[rows])),
        }


@dataclass(frozen=True)
class Check:
    """A figure, its limit, and the bounds between which it lies with the confidence of the settings."""

    name: str
    value: float
    low: float
    high: float
    limit: float
    promised: float | None

    @property
    def verdict(self) -> Verdict:
        """Worse if surely above the limit, as promised if surely not above it."""
        if self.low > self.limit:
            return WORSE
        return AS_PROMISED if self.high <= self.limit else TOO_LITTLE


@dataclass(frozen=True)
class Accuracy:
    """The verdict on live accuracy, its checks, and the figures now and at promotion."""

    verdict: Verdict
    live: dict[str, float]
    live_all: dict[str, float]
    promised: dict[str, float]
    rows_flagged: int
    checks: list[Check]

    def record(self) -> dict[str, Any]:
        """The accuracy as JSON."""
        return {
            "verdict": self.verdict,
            "metrics": self.live,
            "metrics_all": self.live_all,
            "promised": self.promised,
            "rows_flagged": self.rows_flagged,
            "checks": [asdict(check) | {"verdict": check.verdict} for check in self.checks],
        }


def score(pipeline: Any, listings: pd.DataFrame) -> Scored:
    """Price listings (canonical columns with price, n rows) that the pipeline was not trained on."""
    features = features_of(listings)
    asking = listings["price_mad"].to_numpy(dtype=np.float64)
    predicted, low, high = pipeline.predict(features, return_interval=True).T
    return Scored(listings, asking, predicted, low, high, looks_mistyped(pipeline, features, asking))


def assess(live: Scored, promised: Scored, params: LiveParams) -> Accuracy:
    """Compare live figures with those of the test rows at promotion, by bootstrap.

    Worse if any figure is above its limit with `confidence`; as promised if every figure is below its limit
    with it; otherwise there is too little data. Source of the percentile intervals: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 13.
    """
    usual, usual_before = live.take(~live.flagged), promised.take(~promised.flagged)
    enough = len(live.asking_mad) >= params.min_rows
    checks: list[Check] = []
    if enough and min(len(usual.asking_mad), len(usual_before.asking_mad)) >= 2:
        checks = [*_bootstrapped(usual, usual_before, params), _mistyped_prices(live, promised, params)]
    verdicts = {check.verdict for check in checks}
    verdict: Verdict = AS_PROMISED
    if WORSE in verdicts:
        verdict = WORSE
    elif TOO_LITTLE in verdicts or not checks:
        verdict = TOO_LITTLE
    return Accuracy(
        verdict,
        live.figures(),
        live.figures(with_flagged=True),
        promised.figures(),
        int(live.flagged.sum()),
        checks,
    )


def _bootstrapped(live: Scored, promised: Scored, params: LiveParams) -> list[Check]:
    """The checks of listings whose price does not look mistyped."""
    ape, ape_before = live.relative_error, promised.relative_error
    covered, covered_before = live.covered, promised.covered
    error = live.error
    random = np.random.default_rng(params.bootstrap_seed)
    draws = np.empty((params.bootstrap_resamples, 4))
    n, m = len(ape), len(ape_before)
    for i in range(params.bootstrap_resamples):
        now, then = random.integers(0, n, n), random.integers(0, m, m)
        draws[i] = (
            ape[now].mean(),
            ape[now].mean() / ape_before[then].mean() - 1,
            np.median(error[now]),
            covered_before[then].mean() - covered[now].mean(),
        )
    low, high = np.quantile(draws, (1 - params.confidence, params.confidence), axis=0)
    # A bias is bad in either direction, so its distance from zero is compared with the limit.
    bias_low = 0.0 if low[2] <= 0 <= high[2] else float(min(abs(low[2]), abs(high[2])))
    bias_high = float(max(abs(low[2]), abs(high[2])))

    def check(name: str, value: float, column: int, limit: float, promise: float | None) -> Check:
        return Check(name, float(value), float(low[column]), float(high[column]), limit, promise)

    return [
        check("mean error", ape.mean(), 0, params.max_mape, float(ape_before.mean())),
        check("growth of the mean error", ape.mean() / ape_before.mean() - 1, 1, params.max_loss, None),
        Check(
            "distance of asking from predicted prices",
            float(np.expm1(abs(np.median(error)))),
            float(np.expm1(bias_low)),
            float(np.expm1(bias_high)),
            params.max_bias,
            float(np.expm1(abs(np.median(promised.error)))),
        ),
        check(
            "loss of prices inside their interval",
            covered_before.mean() - covered.mean(),
            3,
            params.max_coverage_loss,
            None,
        ),
    ]


def _mistyped_prices(live: Scored, promised: Scored, params: LiveParams) -> Check:
    """The share of prices that look mistyped, of all listings, with exact bounds.

    Without this check a model that is always wrong would hide behind prices that look mistyped to it. Source
    of the bounds: Clopper and Pearson, Biometrika 26 (1934).
    """
    found = stats.binomtest(int(live.flagged.sum()), len(live.flagged))
    # Each bound holds with the confidence, both together with less.
    bounds = found.proportion_ci(2 * params.confidence - 1, method="exact")
    return Check(
        "prices that look mistyped",
        float(found.statistic),
        float(bounds.low),
        float(bounds.high),
        params.max_flagged_share,
        float(promised.flagged.mean()),
    )
