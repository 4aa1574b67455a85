"""The market level that a model learned: how prices of equal cars moved from day to day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from carprice.listings.asked_days import day_numbers, day_of_number
from carprice.model.features import COLUMNS, DAYS_OF_A_MONTH
from carprice.model.kernels import Floats

MOST_DAYS = 120
_MAKE, _MONTH = COLUMNS.index("make"), COLUMNS.index("month")


class LearnedDays(NamedTuple):
    """The first and the newest day whose prices a model learned, and whether prices moved between them."""

    first: str
    newest: str
    has_level: bool


def learned_days(pipeline: Any) -> LearnedDays | None:
    """The days that a model knows; None where it was trained without days, or by an earlier release."""
    features = pipeline.named_steps["features"]
    if features.first_day_ is None or features.newest_day_ is None:
        return None
    terms = pipeline.named_steps["price"].level_.terms
    return LearnedDays(
        day_of_number(features.first_day_),
        day_of_number(features.newest_day_),
        any("month" in term["near"] for term in terms),
    )


def level_deviation(pipeline: Any, table: pd.DataFrame) -> Floats:
    """The standard deviation of the log of each level in a table of `market_level`, of shape (n,).

    It is that of the model's own knowledge of the level against that of the newest day, so it is 0 there. NaN
    where the model does not tell: an earlier release trained it.
    """
    price = pipeline.named_steps["price"]
    known = getattr(price.level_, "deviations_", None)
    found = np.full(len(table), np.nan)
    if known is None or not len(table):
        return found
    values, everywhere, groups, of_groups = known
    codes = {code: place for place, code in enumerate(np.asarray(groups).astype(int).tolist())}
    makes = pipeline.named_steps["features"].codes_["make"]
    newest = pipeline.named_steps["features"].newest_day_
    months = (day_numbers(table["day"]) - newest) / DAYS_OF_A_MONTH
    for make, rows in table.groupby("make", sort=False).indices.items():
        place = codes.get(makes.get(make, -1))
        if make and place is None:
            continue
        course = of_groups[place] if make else everywhere
        found[rows] = np.interp(months[rows], values, course)
    return found


def market_level(pipeline: Any, days: Sequence[str] | None = None) -> pd.DataFrame:
    """The learned level by `day`, `make` ("" all cars) and `level`: 1 on the newest day, 0.9 is 10 % cheaper.

    The days are those given, or at most MOST_DAYS, evenly between the first and the newest. The level of all
    cars is the mean of makes, each counted as often as it was learned. Without rows where the model knows no
    level.
    """
    known = learned_days(pipeline)
    table = pd.DataFrame({"day": [], "make": [], "level": []}).astype(
        {"day": object, "make": object, "level": float}
    )
    if known is None or not known.has_level:
        return table
    features = pipeline.named_steps["features"]
    first, newest = features.first_day_, features.newest_day_
    if days is None:
        numbers: Floats = np.unique(np.round(np.linspace(first, newest, MOST_DAYS)))
    else:
        numbers = day_numbers(days)
    months = (np.clip(numbers, first, newest) - newest) / DAYS_OF_A_MONTH
    makes = {make: code for make, code in features.codes_["make"].items() if make}
    moved = {make: _moved(pipeline, months, code) for make, code in makes.items()}
    weights = dict.fromkeys(makes, 0)
    for model, count in features.count_.items():
        make = model.partition("/")[0]
        if make in weights:
            weights[make] += count
    everywhere = np.average(list(moved.values()), axis=0, weights=list(weights.values()))
    texts = [day_of_number(number) for number in numbers]
    parts = [
        pd.DataFrame({"day": texts, "make": make, "level": np.exp(log)})
        for make, log in [("", everywhere), *moved.items()]
    ]
    return pd.concat(parts, ignore_index=True)


def _moved(pipeline: Any, months: Floats, make: int) -> Floats:
    """The log level of a make in each of the months, of shape (n,), against that of the newest day."""
    level = pipeline.named_steps["price"].level_
    rows = np.zeros((len(months) + 1, len(COLUMNS)))
    rows[:-1, _MONTH] = months
    rows[:, _MAKE] = make
    total = np.zeros(len(rows))
    for spec, effect in zip(level.terms, level.effects(), strict=True):
        if set(spec["near"]) == {"month"}:
            total += effect.predict(rows)
    moved: Floats = total[:-1] - total[-1]
    return moved
