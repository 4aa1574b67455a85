"""The model: one scikit-learn pipeline from canonical listing columns to a price in MAD with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline

from carprice.model import edges
from carprice.model.features import (
    COLUMNS,
    NO_FUEL,
    NO_MILEAGE,
    NUMERIC,
    UNKNOWN,
    YEARS,
    ListingFeatures,
)
from carprice.model.kernel_regression import Altered, KernelRegressor
from carprice.model.kernels import Floats
from carprice.model.likelihood import Data, Hyperparameters, learned
from carprice.model.plain_values import EXTRA_CATEGORIES
from carprice.params import TrainingParams

# An error smaller than this (log price) says nothing about how large errors are around it.
SMALLEST_ERROR = 0.05

# Of a row that is to have no say.
LEAST_WEIGHT = 1e-6
# The interval of a partial listing is at least this much wider than that of a complete one.
LEAST_FACTOR = 1.05
# With fewer complete listings than this, partial ones calibrate the interval too.
LEAST_COMPLETE = 30
# Complete listings whose mileage and fuel are hidden to see how much less is known of the price.
HIDDEN = 500
# The interval is widened until it covers enough listings that had no say in the factors of makes.
CALIBRATION_FOLDS = 5
# Each model lies inside one family, each family inside one make.
NESTING = ("make", "root", "model")
# Steps of the search for noise and effects. Twice as many changed the error by less than 0.02 points.
LEARNING_STEPS = 200

MAKE, YEAR, RARITY, KM_DOUBT, PARTIAL, MONTH, YEARS_BEYOND = map(
    COLUMNS.index, ("make", "year", "rarity", "km_doubt", "partial", "month", "years_beyond")
)
# Over so many of the newest model years the yearly change of a price is taken that continues beyond them, and
# it is at most this (log price). Newer cars are never cheaper.
CHANGE_YEARS, MOST_YEARLY_CHANGE = 3, 0.15
# For each value of `partial`: the columns that a complete listing would have other values in.
_HIDDEN_KM: dict[str, str | int] = {"km": "usual_km", "km_doubt": UNKNOWN}
_HIDDEN_FUEL: dict[str, str | int] = {"fuel": "usual_fuel", "with_fuel": "rarity"}
_HIDING = {NO_MILEAGE: _HIDDEN_KM, NO_FUEL: _HIDDEN_FUEL, NO_MILEAGE + NO_FUEL: _HIDDEN_KM | _HIDDEN_FUEL}


class PriceModel(RegressorMixin, BaseEstimator):
    """Kernel regression on the log price, with a conformal interval, robust to typing errors.

    Input: the matrix of `ListingFeatures`. A training price that stands further than `reach` allows from
    what all other listings say of it is flagged in `flagged_` and has no say; `expected_mad_` holds what
    they say. The interval covers `coverage` of asking prices: quantiles of the leave-one-out errors, each
    divided by the error size that `spread_terms` predict for its kind of car, and by a factor of its make,
    shrunk towards 1 with the weight of `make_shrinkage` listings. The interval of cars at an edge of what was
    learned is wider by the factor of that edge (see `carprice.model.edges`).

    From `learning_rows` listings on, a search by marginal likelihood starts at `terms` and `noise` and
    changes them (see `carprice.model.likelihood`). With fewer listings, and with None, they hold as given.

    `market_terms` are what prices do over time: effects of the day of asking alone, of all cars and of makes.
    They are learned with the other terms, and left out where all prices are of one day.

    A partial listing (no mileage, no fuel) counts as `partial_weight` of a complete one in the prices, and
    not at all in the interval of complete listings. Its own interval is wider by `partial_factor_`: as wide
    as complete training listings need it whose mileage or fuel is hidden, and as its like need it where
    training has many.

    Source of the interval: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-Free Predictive
    Inference for Regression (2018), section 5.2, with leave-one-out in place of a split.
    """

    # Of a model that an earlier release saved.
    partial_weight: float = 1.0
    learning_rows: int | None = None
    market_terms: Sequence[Mapping[str, Any]] = ()
    partial_factor_: Sequence[float] = (1.0, 1.1, 1.1, 1.1)
    edge_bounds_: Sequence[float] | None = None
    edge_factors_: Sequence[float] = ()

    def __init__(
        self,
        terms: Sequence[Mapping[str, Any]],
        spread_terms: Sequence[Mapping[str, Any]],
        noise: float,
        nu: float,
        rounds: int,
        extra_sd: float,
        extra_weight: float,
        spread_noise: float,
        typing_error_at: float,
        coverage: float,
        make_shrinkage: float,
        partial_weight: float = 1.0,
        learning_rows: int | None = None,
        market_terms: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.terms = terms
        self.spread_terms = spread_terms
        self.noise = noise
        self.nu = nu
        self.rounds = rounds
        self.extra_sd = extra_sd
        self.extra_weight = extra_weight
        self.spread_noise = spread_noise
        self.typing_error_at = typing_error_at
        self.coverage = coverage
        self.make_shrinkage = make_shrinkage
        self.partial_weight = partial_weight
        self.learning_rows = learning_rows
        self.market_terms = market_terms

    def fit(self, rows: Floats, price_mad: Floats) -> Self:
        """Fit to `rows` of shape (n, len(COLUMNS)) and asking prices of shape (n,) in MAD."""
        log_price = np.log(np.asarray(price_mad, dtype=np.float64))
        complete = rows[:, PARTIAL] == 0
        hidden = _hidden(rows, np.flatnonzero(complete))
        reach = self.reach(rows)
        weight = np.where(complete, 1.0, max(self.partial_weight, LEAST_WEIGHT))
        terms, noise = self._hyperparameters(Data(rows, log_price, 1 / weight, reach, COLUMNS, NUMERIC))
        self.level_ = KernelRegressor(
            terms, COLUMNS, NUMERIC, noise, self.nu, self.rounds, nesting=NESTING
        ).fit(
            rows,
            log_price,
            drop_at=reach,
            weight=None if complete.all() else weight,
            altered=hidden,
        )
        expected = self.level_.leave_one_out_
        self.expected_mad_ = np.exp(expected)
        error = log_price - expected
        self.flagged_ = np.abs(error) > reach
        kept = ~self.flagged_
        if (kept & complete).sum() < LEAST_COMPLETE:
            complete = np.ones(len(rows), dtype=bool)
        calibrating = kept & complete
        width = np.full(len(rows), np.inf)
        width[calibrating] = self._calibrate(
            rows[calibrating, MAKE].astype(int), _with_price(rows, expected, calibrating), error[calibrating]
        )
        whole = rows[complete]
        self.edge_bounds_ = edges.bounds_of(whole)
        self.edge_factors_ = edges.factors_of(
            whole, width[complete], self.edge_bounds_, self.coverage, self.make_shrinkage
        )
        self._calibrate_partial(rows, expected, log_price, hidden)
        return self

    def _calibrate(self, make: npt.NDArray[np.int64], rows: Floats, error: Floats) -> Floats:
        """Learn the interval from leave-one-out errors (log price), of shape (n,); `rows` have the price.

        Returns how far each price is from the expected one: 1 on an end of the interval.
        """
        self.spread_ = KernelRegressor(
            list(self.spread_terms),
            (*COLUMNS, "price"),
            (*NUMERIC, "price"),
            noise=self.spread_noise,
            nesting=NESTING,
        ).fit(rows, np.log(np.maximum(np.abs(error), SMALLEST_ERROR)))
        score = error / np.exp(self.spread_.leave_one_out_)
        tail = (1 - self.coverage) / 2
        low, high = np.quantile(score, (tail, 1 - tail))
        width: Floats = np.maximum(score / low, score / high)  # 1: a price on an end of its interval
        self.make_factor_ = self._make_factors(width, make, make.max() + 2)
        # The factors follow these very listings, so that their own coverage would be told too high.
        # A fold has errors of all sizes, whatever the order of the rows.
        fold, honest = np.argsort(np.argsort(error)) % CALIBRATION_FOLDS, width.copy()
        for held in range(CALIBRATION_FOLDS):
            others = self._make_factors(width[fold != held], make[fold != held], make.max() + 2)
            honest[fold == held] /= others[make[fold == held]]
        widened = float(np.quantile(honest, self.coverage))
        self.quantiles_ = [float(low * widened), float(high * widened)]
        honest /= widened
        return honest

    def _make_factors(self, width: Floats, make: npt.NDArray[np.int64], makes: int) -> Floats:
        """By how much the interval of each make is wider, of shape (makes,); the last one was never seen.

        `width` and the code of the `make` of n listings: a width of 1 is a price on an end of its interval.
        """
        factors = np.ones(makes)
        for code in np.unique(make):
            own = width[make == code]
            factors[code] = (len(own) * np.quantile(own, self.coverage) + self.make_shrinkage) / (
                len(own) + self.make_shrinkage
            )
        return factors

    def _calibrate_partial(self, rows: Floats, expected: Floats, log_price: Floats, hidden: Altered) -> None:
        """Learn by how much the interval of partial listings is wider, from leave-one-out errors."""
        self.partial_factor_ = [1.0] + [LEAST_FACTOR] * len(_HIDING)
        seen = ~self.flagged_[hidden.places]
        for version, (state, said) in enumerate(
            zip(_HIDING, self.level_.altered_leave_one_out_.T, strict=True)
        ):
            own = (rows[:, PARTIAL] == state) & ~self.flagged_
            widths = self._widths(rows[own], expected[own], log_price[own])
            hiding = self._widths(hidden.versions[version][seen], said[seen], log_price[hidden.places][seen])
            weight, factor = len(widths), 1.0
            if len(hiding):
                factor = float(np.quantile(hiding, self.coverage))
            if weight:
                like = float(np.quantile(widths, self.coverage))
                factor = (weight * like + self.make_shrinkage * factor) / (weight + self.make_shrinkage)
            self.partial_factor_[state] = max(LEAST_FACTOR, factor)
        self.partial_factor_[NO_MILEAGE + NO_FUEL] = max(self.partial_factor_)

    def _widths(self, rows: Floats, expected: Floats, log_price: Floats) -> Floats:
        """How far each price, of shape (n,), is from the expected one: 1 on an end of the interval."""
        low, high = self.quantiles_
        score = (log_price - expected) / self._spread(rows, expected)
        widths: Floats = np.maximum(score / low, score / high)
        return widths

    def _spread(self, rows: Floats, log_price: Floats) -> Floats:
        """The size of an error (log price) in complete listings of the kind of each row, of shape (n,)."""
        make = np.clip(rows[:, MAKE].astype(int), -1, len(self.make_factor_) - 2)
        spread: Floats = np.exp(self.spread_.predict(_with_price(rows, log_price))) * self.make_factor_[make]
        if self.edge_bounds_ is not None:
            spread = spread * edges.widening(rows, self.edge_bounds_, self.edge_factors_)
        return spread

    def predict(self, rows: Floats, return_interval: bool = False) -> Floats:
        """Prices in MAD, of shape (n,); with `return_interval` price, low and high, of shape (n, 3)."""
        partial = rows[:, PARTIAL].astype(int)
        # A model of an earlier release was fitted on the first of these columns.
        rows = rows[:, : len(self.level_.columns)]
        log_price = self.log_price(rows)
        if not return_interval:
            price: Floats = np.exp(log_price)
            return price
        spread = self._spread(rows, log_price) * np.asarray(self.partial_factor_)[partial]
        low, high = self.quantiles_
        interval: Floats = np.exp(
            np.column_stack([log_price, log_price + low * spread, log_price + high * spread])
        )
        return interval

    def log_price(self, rows: Floats) -> Floats:
        """The log price of each row, of shape (n,)."""
        learned = self.level_.predict(rows)
        return learned + self.beyond(rows, learned)

    def beyond(self, rows: Floats, learned: Floats) -> Floats:
        """What a model year beyond all that were learned adds to the log price `learned`, both of shape (n,).

        For each year as much as the newest learned years differ by, for the same car.
        """
        added = np.zeros(len(rows))
        if len(self.level_.columns) <= YEARS_BEYOND:
            return added
        newer = np.flatnonzero(rows[:, YEARS_BEYOND])
        if len(newer):
            older = rows[newer].copy()
            older[:, YEAR] -= CHANGE_YEARS / YEARS
            change = (learned[newer] - self.level_.predict(older)) / CHANGE_YEARS
            added[newer] = rows[newer, YEARS_BEYOND] * np.clip(change, 0, MOST_YEARLY_CHANGE)
        return added

    def reach(self, rows: Floats) -> Floats:
        """How far (log price) a price may stand from its comparables, of shape (n,).

        Twice as far where there are none of its model: a rare car is not a typing error.
        """
        reach: Floats = self.typing_error_at * (1 + np.exp(-rows[:, RARITY]))
        return reach

    def _hyperparameters(self, data: Data) -> Hyperparameters:
        """The effects and the noise: those given, or what the rows say where they are enough."""
        given = Hyperparameters([dict(term) for term in self._all_terms(data.rows)], self.noise)
        if self.learning_rows is None or len(data.rows) < self.learning_rows:
            return given
        return learned(given, data, NESTING[-1], self.nu, LEARNING_STEPS)

    def _all_terms(self, rows: Floats) -> list[Mapping[str, Any]]:
        """The given terms, one for whatever extra categories the training rows have, those of the market."""
        terms = list(self.terms)
        used = [c for c in EXTRA_CATEGORIES if rows[:, COLUMNS.index(c)].max() > 0]
        if used:
            terms.append({"sd": self.extra_sd, "same": [], "near": dict.fromkeys(used, self.extra_weight)})
        if np.ptp(rows[:, MONTH]) > 0:
            terms += self.market_terms
        return terms


def build_pipeline(params: TrainingParams) -> Pipeline:
    """An unfitted pipeline; `fit(listings, price_mad)`, `predict(listings, return_interval=…)` in MAD."""
    return Pipeline(
        [
            ("features", ListingFeatures()),
            (
                "price",
                PriceModel(
                    terms=[term.model_dump() for term in params.terms],
                    spread_terms=[term.model_dump() for term in params.spread_terms],
                    noise=params.noise,
                    nu=params.nu,
                    rounds=params.rounds,
                    extra_sd=params.extra_sd,
                    extra_weight=params.extra_weight,
                    spread_noise=params.spread_noise,
                    typing_error_at=params.typing_error_log_distance,
                    coverage=params.interval_coverage,
                    make_shrinkage=params.make_shrinkage,
                    partial_weight=params.partial_weight,
                    learning_rows=params.learning_rows,
                    market_terms=[term.model_dump() for term in params.market_terms],
                ),
            ),
        ]
    )


def price_records(pipeline: Pipeline, records: Sequence[Mapping[str, Any]]) -> Floats:
    """Price, low and high in MAD of each listing, of shape (n, 3), without pandas.

    `records` hold values of INPUTS in their canonical types (None or absent: unknown). The prices are
    those of the pipeline for a table of the same listings.
    """
    if not records:
        return np.zeros((0, 3))
    rows = pipeline.named_steps["features"].transform_records(records)
    prices: Floats = pipeline.named_steps["price"].predict(rows, return_interval=True)
    return prices


def looks_mistyped(pipeline: Pipeline, features: pd.DataFrame, price_mad: Floats) -> npt.NDArray[np.bool_]:
    """Whether each price, of shape (n,) in MAD, stands too far from what the model says: shape (n,).

    `features` are rows that were not trained on, as `carprice.model.features.features_of` gives them.
    """
    rows = pipeline.named_steps["features"].transform(features)
    model = pipeline.named_steps["price"]
    far: npt.NDArray[np.bool_] = np.abs(np.log(price_mad) - model.log_price(rows)) > model.reach(rows)
    return far


def flagged_in_training(pipeline: Pipeline) -> npt.NDArray[np.bool_]:
    """Which training rows, in their order, were left out as typing errors: of shape (n,)."""
    flagged: npt.NDArray[np.bool_] = pipeline.named_steps["price"].flagged_
    return flagged


def expected_in_training(pipeline: Pipeline) -> Floats:
    """What all other listings say of each training row: prices in MAD, of shape (n,)."""
    expected: Floats = pipeline.named_steps["price"].expected_mad_
    return expected


def _hidden(rows: Floats, complete: npt.NDArray[np.int64]) -> Altered:
    """At most HIDDEN of the `complete` rows (places, in order), as they would be for each kind of _HIDING."""
    places = complete[np.linspace(0, len(complete) - 1, min(len(complete), HIDDEN)).astype(np.int64)]
    versions = []
    for state, changes in _HIDING.items():
        version = rows[places].copy()
        version[:, PARTIAL] = state
        for column, other in changes.items():
            value = rows[places, COLUMNS.index(other)] if isinstance(other, str) else other
            version[:, COLUMNS.index(column)] = value
        versions.append(version)
    return Altered(places, versions)


def _with_price(rows: Floats, log_price: Floats, chosen: npt.NDArray[np.bool_] | None = None) -> Floats:
    """The rows, or the chosen ones, with the price as a column more.

    It is in units of its logarithm against 100,000 MAD.
    An unknown mileage is one to believe here: `partial_factor_` says what it does to an interval.
    """
    if chosen is None:
        wider = np.empty((len(rows), rows.shape[1] + 1))
        wider[:, :-1] = rows
    else:  # column by column: all of a million rows at once would be there twice
        log_price = log_price[chosen]
        wider = np.empty((len(log_price), rows.shape[1] + 1))
        for place in range(rows.shape[1]):
            wider[:, place] = rows[chosen, place]
    wider[wider[:, KM_DOUBT] == UNKNOWN, KM_DOUBT] = 0
    # Rounded, so that many rows of a batch are equal and computed once.
    wider[:, -1] = np.round(log_price - np.log(1e5), 2)
    return wider
