"""From canonical listing columns to the numbers and codes that the model compares cars by."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from carprice.listings.asked_days import ASKED_ON
from carprice.listings.schema import FEATURES, TEXT_FEATURES
from carprice.model.plain_values import (
    CORE_CATEGORIES,
    EXTRA_CATEGORIES,
    Floats,
    numbers_of_column,
    read_records,
    read_table,
)
from carprice.model.usual_values import (
    likely_fuel,
    likely_fuel_without_own,
    likely_fuels,
    mileage_of_year,
    mileages_by_year,
    usual,
    usual_numbers,
    usual_words,
)

NUMBERS = ("year", "km", "power", "rarity")
# Saved models know the columns by their places: a new one comes after all others.
COLUMNS = (
    *("make", "root", "model", *NUMBERS, "km_doubt", *CORE_CATEGORIES, *EXTRA_CATEGORIES),
    *("partial", "usual_km", "usual_fuel", "month", "years_beyond", "with_fuel"),
)
# The columns that a distance is measured in.
NUMERIC = (*NUMBERS, "month")

_NUMERIC_FEATURES = tuple(column for column in FEATURES if column not in TEXT_FEATURES)
_GROUPS = ("make", "root", "model")
# What a model is given of a listing, and the day that its price is asked for.
INPUTS = (*FEATURES, ASKED_ON)
TEXT_INPUTS = (*TEXT_FEATURES, ASKED_ON)
DAYS_OF_A_MONTH = 365.25 / 12
_ROWS_AT_ONCE = 50_000
YEARS = 5  # of one unit of the column `year`
# A change from year to year says nothing about a decade.
MOST_YEARS_BEYOND = 5

# Codes of the column `km_doubt` where nobody filled the mileage in, and where a listing has none;
# 0 is a mileage to believe, 1 one that is too small for the age.
UNSAID, UNKNOWN = 2, 3
DOUBTED_KM_A_YEAR = 3000
# Values of the column `partial`, which add up: the listing has no mileage, it has no fuel.
NO_MILEAGE, NO_FUEL = 1, 2


def features_of(listings: pd.DataFrame) -> pd.DataFrame:
    """The columns a model is given, in the types of its signature: text (None unknown) and float64 (NaN).

    The last one, `asked_on`, is the day that the price was asked on or is asked for, such as `2026-05-04`.
    Where it is unknown, the price is that of the newest day that the model learned.
    """
    # Two arrays instead of a column at a time: this is most of what a single prediction costs.
    rows = len(listings)
    text = np.full((rows, len(TEXT_INPUTS)), None, dtype=object)
    for i, column in enumerate(TEXT_INPUTS):
        if column in listings.columns:
            values = listings[column].to_numpy(dtype=object, copy=True)
            values[pd.isna(values)] = None
            text[:, i] = values
    numbers = np.full((rows, len(_NUMERIC_FEATURES)), np.nan)
    for i, column in enumerate(_NUMERIC_FEATURES):
        if column in listings.columns:
            numbers[:, i] = numbers_of_column(listings[column])
    return pd.concat(
        [
            pd.DataFrame(text, index=listings.index, columns=list(TEXT_INPUTS), dtype=object),
            pd.DataFrame(numbers, index=listings.index, columns=list(_NUMERIC_FEATURES)),
        ],
        axis=1,
    )[list(INPUTS)]


def partial_of(listings: pd.DataFrame) -> npt.NDArray[np.int64]:
    """What each listing (canonical columns, n rows) does not say, as the column `partial`: of shape (n,)."""
    no_mileage = listings[["mileage_km_min", "mileage_km_max"]].isna().all(axis=1).to_numpy()
    partial: npt.NDArray[np.int64] = NO_MILEAGE * no_mileage + NO_FUEL * listings["fuel"].isna().to_numpy()
    return partial


def with_price(rows: Floats, log_price: Floats, chosen: npt.NDArray[np.bool_] | None = None) -> Floats:
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
    doubt = COLUMNS.index("km_doubt")
    wider[wider[:, doubt] == UNKNOWN, doubt] = 0
    # Rounded, so that many rows of a batch are equal and computed once.
    wider[:, -1] = np.round(log_price - np.log(1e5), 2)
    return wider


class ListingFeatures(TransformerMixin, BaseEstimator):
    """Listings in, one float matrix of shape (n, len(COLUMNS)) out.

    Numbers are scaled so that one is a large step; categories are integer codes, -1 for a value
    never seen in training. `root` is the first word of the model (a family such as "Classe"),
    `rarity` the log of how many training listings share the model, `km_doubt` whether the mileage
    is too small to be believed, or is unknown.

    `partial` says whether mileage or fuel is unknown. An unknown mileage is that of the model year, with a
    `km_doubt` of its own; an unknown fuel is the most common one of such cars (same model, fiscal power and
    years). A fuel that was never seen is as unknown as one that is not said, and so is a value of another
    core category. Of every listing `usual_km` and `usual_fuel` say what it would have if it said nothing.

    Another core category that is missing in at least `own_missing` of the training rows makes "missing" a
    value of its own; a rarer gap is filled with what is usual for the model, else the make, else
    all. An extra category is used only when at least `min_filled` of the training rows have it.

    `month` is the day of the price in months, 0 on the newest day that was learned and negative before. An
    unknown day and every later one count as the newest day, an earlier one than the first as the first.
    `years_beyond` is by how many years a car is newer than all that were learned, at most MOST_YEARS_BEYOND.

    `with_fuel` is the log of how many training listings share model and fuel; `rarity` where the fuel is
    unknown.
    """

    # A model that an earlier release saved has learned neither.
    usual_km_: dict[str, list[float]] | None = None
    likely_fuel_: dict[str, str] | None = None
    # Days since 1970 of the first and the newest price; None where no day was known, or an earlier release
    # saved the model.
    first_day_: float | None = None
    # An earlier release gave a model year beyond those learned the price of the newest one.
    continues_years_: bool = False
    newest_day_: float | None = None
    # Model -> fuel -> how many listings have both, so at most one number for each listing. None where an
    # earlier release saved the model: it has not counted them.
    fuel_count_: dict[str, dict[str, int]] | None = None

    def __init__(self, min_filled: float = 0.05, own_missing: float = 0.01) -> None:
        self.min_filled = min_filled
        self.own_missing = own_missing

    def fit(self, listings: pd.DataFrame, y: Any = None) -> Self:
        """Learn codes, usual values and ranges from training listings (n rows)."""
        self._learn(*read_table(listings))
        return self

    def _learn(self, words: dict[str, list[str]], numbers: dict[str, Floats]) -> None:
        rows = len(words["make"])
        self.newest_year_ = float(np.nanmax(numbers["year"]))
        self.continues_years_ = True
        known = numbers["day"][np.isfinite(numbers["day"])]
        self.first_day_, self.newest_day_ = (
            (float(known.min()), float(known.max())) if len(known) else (None, None)
        )
        self.range_ = {
            column: [float(v) for v in np.nanpercentile(numbers[column], (0.1, 99.9))]
            if np.isfinite(numbers[column]).any()
            else [0.0, 0.0]
            for column in ("year", "km", "power")
        }
        used = [
            column
            for column in EXTRA_CATEGORIES
            if sum(word != "" for word in words[column]) >= self.min_filled * rows
            and len(set(words[column])) > 1
        ]
        self.codes_ = {
            column: {word: code for code, word in enumerate(sorted(set(words[column])))}
            for column in (*_GROUPS, *CORE_CATEGORIES, *used)
        }
        fuels = sorted(set(words["fuel"]) - {""})
        self.codes_["fuel"] = {word: code for code, word in enumerate(fuels)}
        self.likely_fuel_ = likely_fuels(words, numbers)
        unsaid = _unsaid(numbers["km_high"], self.newest_year_ + 1 - numbers["year"])
        self.usual_km_ = mileages_by_year(numbers["year"], np.where(unsaid, np.nan, numbers["km"]))
        self.usual_word_ = {}
        for column in CORE_CATEGORIES:
            if column == "fuel":
                continue
            missing = sum(word == "" for word in words[column])
            if not missing or missing < self.own_missing * rows:
                self.usual_word_[column] = usual_words(words[column], words)
        self.usual_number_ = {column: usual_numbers(numbers[column], words) for column in ("year", "power")}
        self.count_ = {
            str(model): int(count) for model, count in pd.Series(words["model"]).value_counts().items()
        }
        self.fuel_count_ = {}
        for (model, fuel), count in Counter(zip(words["model"], words["fuel"], strict=True)).items():
            if fuel:
                self.fuel_count_.setdefault(model, {})[fuel] = count

    def fit_transform(self, listings: pd.DataFrame, y: Any = None) -> Floats:
        """The matrix of the training rows; unlike `transform`, no row counts itself as one of its kind."""
        words, numbers = read_table(listings)
        self._learn(words, numbers)
        return self._in_parts(words, numbers, likely_fuel_without_own(words, numbers), own=1)

    def transform(self, listings: pd.DataFrame) -> Floats:
        """The matrix of rows that were not trained on."""
        words, numbers = read_table(listings)
        self._forget_unseen(words)
        return self._in_parts(words, numbers, self._likely_fuel(words, numbers))

    def transform_records(self, records: Sequence[Mapping[str, Any]]) -> Floats:
        """The same as `transform` for listings as mappings of FEATURES (None or absent: unknown)."""
        words, numbers = read_records(records)
        self._forget_unseen(words)
        return self._matrix(words, numbers, self._likely_fuel(words, numbers))

    def assumed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """What a listing (values of FEATURES) is taken to have where it does not say it.

        `mileage` in km and `fuel` as a plain word ("" where an old model assumes none); a key is absent where
        the listing says the value. A fuel that was never trained on says nothing.
        """
        words, numbers = read_records([record])
        self._forget_unseen(words)
        found: dict[str, Any] = {}
        if np.isnan(numbers["km"][0]):
            year = numbers["year"].copy()
            if np.isnan(year[0]):
                year[0] = usual(self.usual_number_["year"], words, 0)
            found["mileage"] = float(self._within("km", self._usual_km(words, year))[0])
        if not words["fuel"][0]:
            found["fuel"] = self._likely_fuel(words, numbers)[0]
        return found

    def is_unsaid(self, km_high: float, year: float) -> bool:
        """Whether a mileage of at most `km_high` is taken as not filled in: almost none on an old car."""
        age = self.newest_year_ + 1 - self._within("year", np.array([year]))
        return bool(_unsaid(np.array([km_high]), age)[0])

    def is_doubted(self, km: float, year: float) -> bool:
        """Whether a mileage of `km` is small for the model year: `km_doubt` tells such cars apart."""
        age = self.newest_year_ + 1 - float(self._within("year", np.array([year]))[0])
        return age > 3 and float(self._within("km", np.array([km]))[0]) < DOUBTED_KM_A_YEAR * age

    def count_with_fuel(self, model: str, fuel: str) -> int:
        """How many training listings are of `model` ("make/model") and have `fuel`, both plain words.

        A model of an earlier release has not counted them: all of the model count.
        """
        if self.fuel_count_ is None:
            return self.count_.get(model, 0)
        return self.fuel_count_.get(model, {}).get(fuel, 0)

    def _forget_unseen(self, words: dict[str, list[str]]) -> None:
        """Leave out values of the core categories that were never trained on: they tell nothing."""
        for column in CORE_CATEGORIES:
            codes = self.codes_[column]
            words[column] = [word if word in codes else "" for word in words[column]]

    def telling_apart(self, listings: pd.DataFrame) -> Self:
        """A copy that gives makes and models of `listings` that were not trained on codes of their own."""
        words, _ = read_table(listings)
        other = copy.copy(self)
        other.codes_ = dict(self.codes_)
        for column in _GROUPS:
            new = sorted(set(words[column]) - set(self.codes_[column]))
            first = len(self.codes_[column])
            other.codes_[column] = self.codes_[column] | {word: first + i for i, word in enumerate(new)}
        return other

    def _likely_fuel(self, words: dict[str, list[str]], numbers: dict[str, Floats]) -> list[str]:
        if self.likely_fuel_ is None:
            usual_fuel = self.usual_word_.get("fuel", {"": ""})
            return [usual(usual_fuel, words, i) for i in range(len(words["make"]))]
        return likely_fuel(self.likely_fuel_, words, numbers)

    def _usual_km(self, words: dict[str, list[str]], year: Floats) -> Floats:
        if self.usual_km_ is None:
            return np.array([usual(self.usual_number_["km"], words, i) for i in range(len(year))])
        return mileage_of_year(self.usual_km_, year)

    def _within(self, column: str, values: Floats) -> Floats:
        clipped: Floats = np.clip(values, self.range_[column][0], self.range_[column][1])
        return clipped

    def _months(self, day: Floats) -> Floats:
        if self.first_day_ is None or self.newest_day_ is None:
            return np.zeros(len(day))
        day = np.where(np.isnan(day), self.newest_day_, day)
        months: Floats = np.clip(day, self.first_day_, self.newest_day_) - self.newest_day_
        return months / DAYS_OF_A_MONTH

    def _in_parts(
        self, words: dict[str, list[str]], numbers: dict[str, Floats], usual_fuel: list[str], own: int = 0
    ) -> Floats:
        """What `_matrix` gives; what it makes in between takes no memory for all rows at once."""
        rows = len(words["make"])
        matrix = np.zeros((rows, len(COLUMNS)))
        for start in range(0, rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            matrix[part] = self._matrix(
                {column: found[part] for column, found in words.items()},
                {column: found[part] for column, found in numbers.items()},
                usual_fuel[part],
                own,
            )
        return matrix

    def _matrix(
        self, words: dict[str, list[str]], numbers: dict[str, Floats], usual_fuel: list[str], own: int = 0
    ) -> Floats:
        no_mileage = np.isnan(numbers["km"])
        no_fuel = np.array([word == "" for word in words["fuel"]])
        count = [self.count_.get(model, 0) for model in words["model"]]
        with_fuel = [
            self.count_with_fuel(model, fuel) if fuel else of_model
            for model, fuel, of_model in zip(words["model"], words["fuel"], count, strict=True)
        ]
        if no_fuel.any():
            words["fuel"] = [word or other for word, other in zip(words["fuel"], usual_fuel, strict=True)]
        for column, usual_word in self.usual_word_.items():
            if "" in words[column]:
                words[column] = [word or usual(usual_word, words, i) for i, word in enumerate(words[column])]
        for column in ("year", "power"):
            for i in np.flatnonzero(np.isnan(numbers[column])):
                numbers[column][i] = usual(self.usual_number_[column], words, int(i))
        usual_km = self._within("km", self._usual_km(words, numbers["year"]))
        year, km, power = (self._within(column, numbers[column]) for column in ("year", "km", "power"))
        km = np.where(no_mileage, usual_km, km)
        age = np.maximum(self.newest_year_ + 1 - year, 0)
        unsaid = _unsaid(numbers["km_high"], age)
        doubt = np.where(unsaid, UNSAID, (km < DOUBTED_KM_A_YEAR * age) & (age > 3))
        columns: dict[str, Any] = {
            "year": (year - 2012) / YEARS,
            "km": _scaled_km(np.where(unsaid, 150e3, km)),
            "power": 4 * np.log(np.maximum(power, 1) / 7),
            "rarity": np.log([max(n - own, 0) + 1 for n in count]),
            "with_fuel": np.log([max(n - own, 0) + 1 for n in with_fuel]),
            "km_doubt": np.where(no_mileage, UNKNOWN, doubt),
            "partial": NO_MILEAGE * no_mileage + NO_FUEL * no_fuel,
            "usual_km": _scaled_km(usual_km),
            "usual_fuel": [self.codes_["fuel"].get(word, -1) for word in usual_fuel],
            "month": self._months(numbers["day"]),
            "years_beyond": np.clip(numbers["year"] - self.newest_year_, 0, MOST_YEARS_BEYOND),
        }
        for column, codes in self.codes_.items():
            columns[column] = [codes.get(word, -1) for word in words[column]]
        matrix = np.zeros((len(words["make"]), len(COLUMNS)))
        for place, column in enumerate(COLUMNS):
            if column in columns:
                matrix[:, place] = columns[column]
        return matrix


def _unsaid(km_high: Floats, age: Floats) -> npt.NDArray[np.bool_]:
    """Which cars have the lowest bracket though they are old: nobody filled it in."""
    unsaid: npt.NDArray[np.bool_] = (km_high < 5000) & (age > 3)
    return unsaid


def _scaled_km(km: Floats) -> Floats:
    scaled: Floats = 2 * np.log((km + 30e3) / 150e3)
    return scaled
