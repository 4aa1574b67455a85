"""Cars at the edges of what was learned: their prices may lie further apart than those of others.

The interval of all cars together says little about the few at an edge. So each edge has a factor of its own.
Source: Vovk, Conditional Validity of Inductive Conformal Predictors (2012), Mondrian predictors: the
quantile of an error is taken in each group of rows by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carprice.model.features import COLUMNS
from carprice.model.kernels import Floats

# A model with fewer listings is priced by those of other models. Of a model with more, a fuel that fewer of
# them have is priced by what this fuel does to the price of other models.
LEAST_LISTINGS = 5
# The share of the listings that is at an edge: the oldest, the newest, those with the most kilometres.
SHARE = 0.05
# An edge holds the largest errors of few rows; beyond this quantile they say nothing.
HIGHEST_QUANTILE = 0.98

_YEAR, _KM, _RARITY, _WITH_FUEL = map(COLUMNS.index, ("year", "km", "rarity", "with_fuel"))


def bounds_of(rows: Floats) -> list[float]:
    """Where the edges begin, as `ListingFeatures` has these columns: rarity, oldest, newest, mileage.

    The first one is that of `with_fuel`, too.
    """
    oldest, newest = np.quantile(rows[:, _YEAR], (SHARE, 1 - SHARE))
    # `rarity` is the log of one more than the listings of the model.
    rare = np.log(LEAST_LISTINGS + 0.5)
    return [float(rare), float(oldest), float(newest), float(np.quantile(rows[:, _KM], 1 - SHARE))]


def factors_of(
    rows: Floats, width: Floats, bounds: Sequence[float], coverage: float, shrinkage: float
) -> list[float]:
    """By how much the interval of each edge is wider: at least 1, so that no edge is surer than the middle.

    `width`, of shape (n,), says how far each price is from the expected one: 1 on an end of its interval,
    and infinite where it counts as a typing error. The factor makes the interval hold `coverage` of all of
    them; it is shrunk towards 1 with the weight of `shrinkage` listings.
    """
    factors = []
    for at_edge in _edges(rows, bounds).T:
        own = np.sort(width[at_edge])
        usable = own[np.isfinite(own)]
        factor = 1.0
        if len(usable):
            level = min(coverage * len(own) / len(usable), HIGHEST_QUANTILE)
            factor = (len(own) * float(np.quantile(usable, level)) + shrinkage) / (len(own) + shrinkage)
        factors.append(max(1.0, factor))
    return factors


def widening(rows: Floats, bounds: Sequence[float], factors: Sequence[float]) -> Floats:
    """The factor of each row's interval, of shape (n,): the largest of the edges that it is at, else 1.

    A model of an earlier release has no factor for the last edge.
    """
    edges = _edges(rows, bounds)
    known = min(edges.shape[1], len(factors))
    wider: Floats = np.where(edges[:, :known], factors[:known], 1.0).max(axis=1, initial=1.0)
    return wider


def _edges(rows: Floats, bounds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Which rows are at which edge, of shape (n, 5)."""
    rare, oldest, newest, most_km = bounds
    year, km, rare_model = rows[:, _YEAR], rows[:, _KM], rows[:, _RARITY] < rare
    edges = [rare_model, year <= oldest, year >= newest, km >= most_km]
    if rows.shape[1] > _WITH_FUEL:  # a model of an earlier release knows nothing of this edge
        edges.append(~rare_model & (rows[:, _WITH_FUEL] < rare))
    return np.column_stack(edges)
