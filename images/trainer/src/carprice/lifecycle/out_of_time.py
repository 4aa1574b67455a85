"""How accurate a model is on what comes after: learned until a day, judged on what was seen later.

The history is cut at a few days of its later half. For each cut a model with the effects of the candidate
learns training listings that were seen until then, and prices the test listings between this cut and the
next one for their own days, as production prices what lands. No car is on both sides.

Source: Tashman, Out-of-sample Tests of Forecasting Accuracy (2000), a rolling origin with a growing window.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from carprice.lifecycle.drawing import drawn
from carprice.listings.asked_days import ASKED_ON
from carprice.model.features import features_of
from carprice.model.metrics import Floats, regression_metrics
from carprice.model.plain_values import EXTRA_CATEGORIES
from carprice.model.price_model import looks_mistyped
from carprice.params import Params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fold:
    """Test listings that were seen after the day `until`, at the latest on the day `last`, and their prices.

    `learned` listings were seen until then. The arrays are of shape (n,), in MAD.
    """

    until: str
    last: str
    learned: int
    asked_mad: Floats
    predicted_mad: Floats
    low_mad: Floats
    high_mad: Floats

    def figures(self) -> dict[str, float]:
        """The metrics of `regression_metrics`, coverage and width of the interval."""
        covered = (self.low_mad <= self.asked_mad) & (self.asked_mad <= self.high_mad)
        return regression_metrics(self.asked_mad, self.predicted_mad) | {
            "interval_coverage": float(covered.mean()),
            "interval_width": float(((self.high_mad - self.low_mad) / self.predicted_mad).mean()),
        }

    def record(self) -> dict[str, Any]:
        """The fold as JSON."""
        return {"until": self.until, "last": self.last, "learned": self.learned, **self.figures()}


def out_of_time(
    candidate: Pipeline, training: pd.DataFrame, tested: pd.DataFrame, params: Params
) -> list[Fold]:
    """The folds of a history; none where its listings are of one day, or too few.

    `training` and `tested` (canonical columns and `asked_on`) are the two sides of the split by car. Prices
    that look like typing errors to the candidate, which knows all listings, are not judged.
    """
    chosen = params.evaluation
    mistyped = looks_mistyped(candidate, features_of(tested), tested["price_mad"].to_numpy(dtype=np.float64))
    tested = tested[~mistyped & tested[ASKED_ON].notna().to_numpy()].sort_values(ASKED_ON, kind="stable")
    cuts = _cuts(tested[ASKED_ON].to_numpy(dtype=object), chosen.time_folds)
    folds = []
    for until, last in pairwise(cuts):
        before = training[(training[ASKED_ON] <= until).to_numpy()]
        after = tested[((tested[ASKED_ON] > until) & (tested[ASKED_ON] <= last)).to_numpy()]
        if len(before) < params.training.min_rows or len(after) < chosen.slice_min_rows:
            continue
        learned = drawn(before, chosen.time_fold_rows, params.training.drawing_seed)
        pipeline = _unfitted(candidate).fit(
            features_of(learned), learned["price_mad"].to_numpy(dtype=np.float64)
        )
        predicted, low, high = pipeline.predict(features_of(after), return_interval=True).T
        asked = after["price_mad"].to_numpy(dtype=np.float64)
        folds.append(Fold(until, last, len(learned), asked, predicted, low, high))
        log.info(
            "learned %d listings until %s: mean error of the %d seen after that, until %s: %.1f %%",
            len(learned), until, len(after), last, 100 * folds[-1].figures()["mape"],
        )  # fmt: skip
    return folds


def together(folds: list[Fold]) -> dict[str, float]:
    """The figures of the listings of all folds; empty where there are none."""
    if not folds:
        return {}
    arrays = (
        np.concatenate([getattr(fold, name) for fold in folds])
        for name in ("asked_mad", "predicted_mad", "low_mad", "high_mad")
    )
    whole = Fold(folds[0].until, folds[-1].last, sum(fold.learned for fold in folds), *arrays)
    return whole.figures() | {"folds": float(len(folds))}


def _cuts(days: Any, folds: int) -> list[str]:
    """The days between folds of about as many listings, in the later half of sorted days, and the last."""
    if folds < 1 or len(days) < 2:
        return []
    places = np.linspace(0.5, 1, folds + 1) * (len(days) - 1)
    return sorted({str(days[int(place)]) for place in places})


def _unfitted(candidate: Pipeline) -> Pipeline:
    """A pipeline like the candidate, with the noise and the effects that it has learned."""
    level = candidate.named_steps["price"].level_
    market = [term for term in level.terms if "month" in term["near"]]
    extra = [term for term in level.terms if set(term["near"]) & set(EXTRA_CATEGORIES)]
    pipeline: Pipeline = clone(candidate)
    return pipeline.set_params(
        # one more effect is added for the extra categories of the rows
        price__terms=[term for term in level.terms if term not in market and term not in extra],
        price__market_terms=market or candidate.named_steps["price"].market_terms,
        price__noise=level.noise,
        price__learning_rows=None,
    )
