"""The values of listings as plain words and numbers, which `carprice.model.features` makes a matrix of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.asked_days import ASKED_ON, day_numbers
from carprice.listings.schema import EQUIPMENT, LONGEST_TEXT, TEXT_FEATURES
from carprice.listings.text import ascii_words

Floats = npt.NDArray[np.float64]

CORE_CATEGORIES = ("fuel", "gearbox", "first_owner", "condition")
EXTRA_CATEGORIES = ("city", "origin", "doors", *EQUIPMENT)


def read_table(listings: pd.DataFrame) -> tuple[dict[str, list[str]], dict[str, Floats]]:
    """What `_read` gives, of a table with any of the columns of FEATURES."""

    def words_of(column: str) -> list[str]:
        if column not in listings.columns:
            return [""] * len(listings)
        codes, values = pd.factorize(listings[column].to_numpy(dtype=object))
        words = np.array([*(plain(value) for value in values), ""], dtype=object)
        found: list[str] = words[codes].tolist()  # a code of -1, the last, is an unknown value
        return found

    def numbers_of(column: str) -> Floats:
        if column not in listings.columns:
            return np.full(len(listings), np.nan)
        return numbers_of_column(listings[column])

    if ASKED_ON not in listings.columns:
        return _read(words_of, numbers_of, np.full(len(listings), np.nan))
    codes, days = pd.factorize(listings[ASKED_ON].to_numpy(dtype=object))
    return _read(words_of, numbers_of, np.append(day_numbers(days), np.nan)[codes])


def read_records(
    records: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[str]], dict[str, Floats]]:
    """What `_read` gives, of mappings of FEATURES; much faster than a table for a few listings."""

    def words_of(column: str) -> list[str]:
        values = [record.get(column) for record in records]
        if column in TEXT_FEATURES:
            return [_word(value) for value in values]
        return [_word(_number(value)) for value in values]

    def numbers_of(column: str) -> Floats:
        return np.array([_number(record.get(column)) for record in records], dtype=np.float64)

    return _read(words_of, numbers_of, day_numbers(record.get(ASKED_ON) for record in records))


def _read(
    words_of: Callable[[str], list[str]], numbers_of: Callable[[str], Floats], day: Floats
) -> tuple[dict[str, list[str]], dict[str, Floats]]:
    """Plain words of each category ("" unknown) and numbers (NaN unknown) of each listing."""
    make, model = words_of("make"), words_of("model")
    names: dict[tuple[str, str], tuple[str, str]] = {}  # each text once, however many listings have it
    for a, b in zip(make, model, strict=True):
        if (a, b) not in names:
            names[a, b] = f"{a}/{b.split(' ')[0]}", f"{a}/{b}"
    words = {
        "make": make,
        "root": [names[pair][0] for pair in zip(make, model, strict=True)],
        "model": [names[pair][1] for pair in zip(make, model, strict=True)],
    } | {column: words_of(column) for column in (*CORE_CATEGORIES, *EXTRA_CATEGORIES)}
    low, high = numbers_of("mileage_km_min"), numbers_of("mileage_km_max")
    low, high = np.where(np.isnan(low), high, low), np.where(np.isnan(high), low, high)
    return words, {
        "year": numbers_of("model_year"),
        "km": (low + high) / 2,
        "km_high": high,
        "power": numbers_of("fiscal_power_cv"),
        "day": day,
    }


def _number(value: Any) -> float:
    """A number as `numbers_of_column` reads it."""
    try:
        return np.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _word(value: Any) -> str:
    """`plain` of a value, "" where it is unknown."""
    if value is None or value != value:
        return ""
    if isinstance(value, str | float) and len(str(value)) <= LONGEST_TEXT:
        return _plain_of_short(value)
    return plain(value)


def plain(value: object) -> str:
    """Case, accents, punctuation and doubled spaces do not make another car."""
    return ascii_words(str(value), keep="+")


# Few words come again and again; what strangers send must not fill the memory.
_plain_of_short = lru_cache(maxsize=4096)(plain)


def numbers_of_column(column: pd.Series) -> Floats:
    """The column as float64, NaN where it holds no number."""
    if column.dtype == np.float64:
        return column.to_numpy(copy=True)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
