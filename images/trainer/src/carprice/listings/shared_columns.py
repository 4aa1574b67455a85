"""Columns of a file that hold more than one field: make and model, cards, lists of equipment, places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings import words
from carprice.listings.car_names import CarName, canonical_make_and_model, split_make_and_model
from carprice.listings.cards import card_of
from carprice.listings.cleaning import clean
from carprice.listings.columns import Recognised
from carprice.listings.equipment import equipment_of
from carprice.listings.other_ads import USED_CAR, OtherAd, kind_of_category
from carprice.listings.places import place_in_category, place_of
from carprice.listings.schema import EQUIPMENT, limits_of
from carprice.listings.text import shorten
from carprice.listings.titles import read_title
from carprice.listings.values import reader_of
from carprice.listings.vocabulary import Vocabulary

Mask = npt.NDArray[np.bool_]

_LONGEST_CATEGORY = 40
_NO_CARS = ("motorbike", "truck")
_UNITS: tuple[tuple[str, str, str, Callable[[str], bool], str], ...] = (
    ("distance_unit", "mileage", "mileage_km_min", words.is_kilometres, "other_distance"),
    ("distance_unit", "mileage", "mileage_km_max", words.is_kilometres, "other_distance"),
)


@dataclass
class SharedValues:
    """What these columns say of n rows.

    `untold` says by column, canonical column and code in which rows a column of both names no make or model.
    `values` holds objects of shape (n,) by canonical column, None where nothing is told. `not_cars` says in
    which rows a category names something else: by column, what it names, and its kind. `unreadable` are the
    rows of a column whose value belongs to no field. `other_units` says by raw field, canonical column and
    code in which rows a column names another unit than dirhams or kilometres.
    """

    values: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    not_cars: dict[tuple[str, str, str], Mask] = field(default_factory=dict)
    unreadable: dict[str, Mask] = field(default_factory=dict)
    untold: dict[tuple[str, str, str], Mask] = field(default_factory=dict)
    other_units: dict[tuple[str, str, str], Mask] = field(default_factory=dict)

    def fill(self, name: str, told: npt.NDArray[Any]) -> None:
        """Take over what is told of a column where nothing was told before."""
        before = self.values.get(name)
        self.values[name] = told if before is None else np.where(pd.isna(before), told, before)


def read_shared_columns(
    raw: pd.DataFrame, found: Recognised, vocabulary: Vocabulary, newest_year: int
) -> SharedValues:
    """Read the columns of a raw table (n rows of str) that hold more than one field."""
    shared = SharedValues()
    for column in found.of("make_and_model"):
        names, places = _distinct(raw[column], lambda text: split_make_and_model(text, vocabulary))
        for name in ("make", "model"):
            shared.fill(name, _column(names, places, attrgetter(name)))
            codes = _column(names, places, attrgetter(f"{name}_code"))
            for code in {code for code in codes if code is not None}:
                shared.untold[column, name, code] = codes == code
    for column in found.of("place"):
        located, places = _distinct(raw[column], lambda text: place_in_category(text) or place_of(text))
        for name in ("city", "district"):
            shared.fill(name, _column(located, places, attrgetter(name)))
    for column in found.of("place"):
        _categories(shared, column, raw[column], _category_before_a_place)
    for column in found.of("category"):
        _categories(shared, column, raw[column], _other_category)
    for column in found.of("mixed"):
        _mixed(shared, column, raw[column], newest_year)
    for column in found.of("equipment"):
        _equipment(shared, column, raw[column])
    for role, raw_field, name, is_ours, code in _UNITS:
        for column in found.of(role) if raw_field in found.columns else ():
            ours, places = _distinct(raw[column], is_ours)
            shared.other_units[raw_field, name, code] = np.array([each is False for each in ours])[places]
    return shared


def read_current_prices(column: pd.Series[Any]) -> tuple[npt.NDArray[np.float64], Mask]:
    """The dirhams (shape (n,), NaN where none are named) of a column, and the rows with unreadable ones."""
    amounts, places = _distinct(column, _amount)
    dirhams = np.array([amount or np.nan for amount in amounts], dtype=np.float64)
    unread = np.array([amount is not None and np.isnan(amount) for amount in amounts], dtype=bool)
    return dirhams[places], unread[places]


def _amount(text: str) -> float | None:
    """Dirhams; NaN for an amount that can't be read or is none of a price, None for text without any."""
    if not any(character.isdigit() for character in text):
        return None
    try:
        amount = reader_of("price_mad").read(text)
    except (ValueError, OverflowError):
        return np.nan
    return None if amount is None else float(amount) if amount >= 0 else np.nan


@dataclass(frozen=True)
class Cars:
    """Makes and models (objects, shape (n,)) each in one spelling.

    `unknown` are by field and code the rows whose make or model names nothing: these are unknown. `others`
    are the rows of motorbikes and trucks, by what tells it.
    """

    makes: npt.NDArray[Any]
    models: npt.NDArray[Any]
    unknown: dict[tuple[str, str], Mask]
    others: dict[OtherAd, Mask]


def one_spelling(
    makes: npt.NDArray[Any], models: npt.NDArray[Any], vocabulary: Vocabulary, newest_year: int
) -> Cars:
    """The cars that makes and models (objects, shape (n,)) name."""
    make_codes = pd.factorize(makes)[0]
    model_codes, distinct_models = pd.factorize(models)
    _, first, places = np.unique(
        make_codes.astype(np.int64) * (len(distinct_models) + 1) + model_codes,
        return_index=True,
        return_inverse=True,
    )
    names: list[CarName] = [
        canonical_make_and_model(_known(makes[row]), _known(models[row]), vocabulary) for row in first
    ]
    unknown: dict[tuple[str, str], Mask] = {}
    for name in ("make", "model"):
        codes = np.array([getattr(car, f"{name}_code") for car in names], dtype=object)[places]
        for code in {code for code in codes if code is not None}:
            unknown[name, code] = codes == code
    no_cars = [_no_car(car, vocabulary, newest_year) for car in names]
    others = {
        other: np.array([each == other for each in no_cars], dtype=bool)[places]
        for other in set(no_cars)
        if other is not None
    }
    return Cars(
        _column(names, places, attrgetter("make")),
        _column(names, places, attrgetter("model")),
        unknown,
        others,
    )


def _no_car(car: CarName, vocabulary: Vocabulary, newest_year: int) -> OtherAd | None:
    if car.make is None or car.model is None or vocabulary.model_named(car.make, car.model) is not None:
        return None
    other = read_title(f"{car.make} {car.model}", vocabulary, newest_year).other
    return other if other is not None and other.sure and other.kind in _NO_CARS else None


def _known(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)


def _categories(
    shared: SharedValues,
    column: str,
    values: pd.Series[Any],
    read: Callable[[str], tuple[str, str] | None],
) -> None:
    kinds, places = _distinct(values, read)
    for other in {kind for kind in kinds if kind is not None}:
        mask = np.array([kind == other for kind in kinds], dtype=bool)[places]
        shared.not_cars[(column, *other)] = mask


def _category_before_a_place(text: str) -> tuple[str, str] | None:
    """`Motos dans Rabat, Agdal` is one; the words of `Rabat, Hay Riad` are those of a place alone."""
    return None if place_in_category(text) is None else _other_category(text)


def _other_category(text: str) -> tuple[str, str] | None:
    kind = kind_of_category(text)
    if kind in (None, USED_CAR):
        return None
    place = place_in_category(text)
    named = text[: text.rindex(place.city)].rsplit(maxsplit=1)[0] if place else text
    return shorten(named, _LONGEST_CATEGORY), str(kind)


def _mixed(shared: SharedValues, column: str, values: pd.Series[Any], newest_year: int) -> None:
    """Each value to the field that it belongs to."""
    cards, places = _distinct(values, card_of)
    for name in dict.fromkeys(name for card in cards if card for name in card):
        told = [_read(name, card.get(name) if card else None, newest_year) for card in cards]
        if name == "mileage":
            shared.fill("mileage_km_min", _column(told, places, itemgetter(0)))
            shared.fill("mileage_km_max", _column(told, places, itemgetter(1)))
        else:
            shared.fill(name, _column(told, places))
    texts, _ = _distinct(values, lambda text: text)
    lost = np.array([text is not None and card is None for text, card in zip(texts, cards, strict=True)])
    if lost.any():
        shared.unreadable[column] = lost[places]


def _read(raw_field: str, text: str | None, newest_year: int) -> Any:
    try:
        value = None if text is None else reader_of(raw_field).read(text)
    except (ValueError, OverflowError):
        return None
    limits = limits_of("mileage_km_min" if raw_field == "mileage" else raw_field, newest_year)
    ends = value if isinstance(value, tuple) else (value,)
    if limits is not None and not all(
        end is None or end != end or limits.low <= end <= limits.high for end in ends
    ):
        return None
    return value


def _equipment(shared: SharedValues, column: str, values: pd.Series[Any]) -> None:
    """What a list names is there, what it does not name is not."""
    lists, places = _distinct(values, equipment_of)
    for flag in EQUIPMENT:
        shared.fill(
            flag, _column([None if named is None else float(flag in named) for named in lists], places)
        )
    texts, _ = _distinct(values, lambda text: text)
    lost = np.array([text is not None and named is None for text, named in zip(texts, lists, strict=True)])
    if lost.any():
        shared.unreadable[column] = lost[places]


def _distinct(values: pd.Series[Any], read: Callable[[str], Any]) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """What each distinct value says (None where it is unknown), and each row's place among them."""
    codes, uniques = pd.factorize(values)
    texts = [clean(str(value)) for value in uniques]
    return [None if words.is_unknown(text) else read(text) for text in texts], codes


def _column(
    told: list[Any], places: npt.NDArray[np.int64], of: Callable[[Any], Any] = lambda value: value
) -> npt.NDArray[Any]:
    """Of each row what `of` takes from what is told of it; None where nothing is."""
    distinct = np.empty(len(told), dtype=object)
    distinct[:] = [None if each is None else of(each) for each in told]
    return distinct[places]
