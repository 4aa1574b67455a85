"""What each part of a listing adds to its price: exact Shapley values.

The values are those of the game in which the players are groups of columns and a coalition is worth the
mean log price of the car whose other columns are taken from each listing of a background (the
interventional expectation). Nothing is sampled: the log price is a sum of effects, so its Shapley values
are the sums of those of the effects; an effect looks at a few players only, and its kernel is a product
over them, so that the mean over the background is taken once for every car.

Sources: Shapley, A Value for n-Person Games (1953); Lundberg and Lee, A Unified Approach to Interpreting
Model Predictions (2017); Aumann and Shapley, Values of Non-Atomic Games (1974), for the way from log
prices to MAD: along the straight path of the log price from the base to the car, each player adds MAD in
proportion to its log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from carprice.listings.asked_days import ASKED_ON
from carprice.listings.schema import EQUIPMENT
from carprice.model.features import COLUMNS
from carprice.model.kernel_regression import Effect
from carprice.model.kernels import Floats

# Player -> the listing's columns it stands for, and those of the matrix of `ListingFeatures`.
PLAYERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "make_model": (("make", "model"), ("make", "root", "model", "rarity")),
    "model_year": (("model_year",), ("year", "years_beyond")),
    "mileage": (("mileage_km_min", "mileage_km_max"), ("km", "km_doubt")),
    "fuel": (("fuel",), ("fuel",)),
    "fiscal_power": (("fiscal_power_cv",), ("power",)),
    "gearbox": (("gearbox",), ("gearbox",)),
    "first_owner": (("first_owner",), ("first_owner",)),
    "condition": (("condition",), ("condition",)),
    "city": (("city",), ("city",)),
    "origin": (("origin",), ("origin",)),
    "doors": (("doors",), ("doors",)),
    "equipment": (EQUIPMENT, EQUIPMENT),
    # how prices of such cars moved between the days of the background and the day asked for
    "market": ((ASKED_ON,), ("month",)),
}


@dataclass(frozen=True)
class Contribution:
    """What a group of a listing's columns adds to its price, in MAD and in log price."""

    group: str
    columns: tuple[str, ...]
    mad: float
    log: float


@dataclass(frozen=True)
class Explanation:
    """A price as the price of the typical car of the background and what each group adds to it.

    `base_mad` and the MAD of all contributions, in the order of PLAYERS, add up to `price_mad`.
    """

    base_mad: float
    price_mad: float
    contributions: list[Contribution]


class Explainer:
    """Explains the prices of one model against one background.

    `background` has the columns of `features_of` and at least one row; 100 are plenty.
    """

    def __init__(self, pipeline: Pipeline, background: pd.DataFrame) -> None:
        self._features = pipeline.named_steps["features"]
        rows = self._features.transform(background)
        self._model = pipeline.named_steps["price"]
        level = self._model.level_
        self._center: float = level.center_
        self._games = [_Game(effect, rows) for effect in level.effects()]

    def explain(self, record: Mapping[str, Any]) -> Explanation:
        """What each group of `record`, values of INPUTS (None or absent: unknown), adds to its price."""
        row = self._features.transform_records([record])
        log = dict.fromkeys(PLAYERS, 0.0)
        base_log = price_log = self._center
        for game in self._games:
            worth = game.worth(row)
            base_log += worth[0]
            price_log += worth[-1]
            for player, value in zip(game.players, shapley_values(worth), strict=True):
                log[player] += value
        beyond = float(self._model.beyond(row, np.array([price_log]))[0])
        log["model_year"] += beyond
        price_log += beyond
        base, difference = math.exp(base_log), price_log - base_log
        # MAD per log price; where base and price are equal, its limit
        slope = base * (math.expm1(difference) / difference if difference else 1.0)
        contributions = [
            Contribution(player, columns, log[player] * slope, log[player])
            for player, (columns, _) in PLAYERS.items()
        ]
        return Explanation(base, math.exp(price_log), contributions)


class _Game:
    """What coalitions of players are worth in one effect. A coalition is a number, player i its bit i."""

    def __init__(self, effect: Effect, background: Floats) -> None:
        self._effect = effect
        indices = {
            player: {COLUMNS.index(column) for column in columns} & set(effect.columns)
            for player, (_, columns) in PLAYERS.items()
        }
        self.players = [player for player, its in indices.items() if its]
        self._columns = [indices[player] for player in self.players]
        kernels = [effect.kernel(background, its) for its in self._columns]
        # weight of each point times the mean kernel of the players who are not in the coalition
        self._outside = np.empty((1 << len(kernels), len(effect.weights)))
        self._fill(kernels, 0, 0, np.ones((len(background), 1)))

    def _fill(self, kernels: Sequence[Floats], player: int, coalition: int, product: Floats) -> None:
        if player == len(kernels):
            self._outside[coalition] = self._effect.weights * product.mean(axis=0)
            return
        self._fill(kernels, player + 1, coalition, product * kernels[player])
        self._fill(kernels, player + 1, coalition | 1 << player, product)

    def worth(self, row: Floats) -> Floats:
        """The mean of the effect for each coalition of the columns of `row`, of shape (2 ** players,)."""
        inside = np.ones_like(self._outside)
        for player, columns in enumerate(self._columns):
            bit = 1 << player
            inside[bit : 2 * bit] = inside[:bit] * self._effect.kernel(row, columns)
        worth: Floats = np.einsum("cp,cp->c", inside, self._outside)
        return worth


def shapley_values(worth: Floats) -> Floats:
    """Each player's Shapley value, of shape (n,), where coalitions are worth `worth`, of shape (2 ** n,)."""
    players = (len(worth) - 1).bit_length()
    coalitions = np.arange(len(worth))
    size = np.array([coalition.bit_count() for coalition in range(len(worth))])
    weight = np.array(
        [
            math.factorial(s) * math.factorial(players - s - 1) / math.factorial(players)
            for s in range(players)
        ]
    )
    values = np.zeros(players)
    for player in range(players):
        without = coalitions[coalitions & 1 << player == 0]
        values[player] = weight[size[without]] @ (worth[without | 1 << player] - worth[without])
    return values
