"""Which column of a file is which: decided once for a file, by the names of its columns and their values."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from carprice.errors import DataRefused
from carprice.listings.headers import HEADERS, HeaderName, is_index_header, name_of
from carprice.listings.schema import COLUMNS
from carprice.listings.text import ascii_words, shorten

REQUIRED: tuple[str, ...] = tuple(
    dict.fromkeys(
        column.field for column in COLUMNS.values() if column.required and column.name != "listing_id"
    )
)
"""Raw fields without which no row can be used; a prediction does without the price."""

_MOST_COLUMNS_SHOWN = 40


@dataclass(frozen=True)
class ColumnProfile:
    """A column of a file: its name, and how often each of its values stands in a sample of the rows."""

    name: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Recognised:
    """How the columns of a raw table map to raw fields.

    `columns` holds the column of each raw field that has one. Columns that are `unknown` or come `second`,
    because another one holds the same field, are reported and not used. `missing` are the required fields
    without a column. `foreign` holds the columns that measure in something else than dirhams and kilometres.
    """

    columns: Mapping[str, str]
    unknown: tuple[str, ...]
    second: tuple[str, ...]
    missing: tuple[str, ...]
    foreign: Mapping[str, HeaderName]

    def name(self, raw_field: str) -> str:
        """The file's own header of a raw field, or the usual one where the file has none."""
        return self.columns.get(raw_field) or HEADERS[raw_field][0]


def profiles_of(table: pd.DataFrame) -> list[ColumnProfile]:
    """The profiles of the columns of a raw table."""
    return [ColumnProfile(str(name), {}) for name in table.columns]


def recognise(profiles: Sequence[ColumnProfile], require_price: bool = True) -> Recognised:
    """Map the columns of a file to raw fields."""
    found: dict[str, str] = {}
    foreign: dict[str, HeaderName] = {}
    unknown, second = [], []
    names = {profile.name: name_of(profile.name) for profile in profiles}
    for column, named in sorted(names.items(), key=lambda item: item[1].rank):
        if named.field is None:
            if not is_index_header(column):
                unknown.append(column)
        elif named.foreign:
            foreign[column] = named
        elif named.field in found:
            second.append(column)
        else:
            found[named.field] = column
    held = set(found)
    if "mileage_km_min" in found:
        held.add("mileage")
    required = REQUIRED if require_price else tuple(n for n in REQUIRED if n != "price_mad")
    missing = tuple(name for name in required if name not in held)
    return Recognised(found, tuple(unknown), tuple(second), missing, foreign)


def refusal_of(found: Recognised, columns: Sequence[str], file: str = "") -> DataRefused | None:
    """Why a table with these columns can't be read at all, or None.

    `file` is the name of the file where the sentence has to say it.
    """
    for column, named in found.foreign.items():
        if named.field not in found.columns:
            return _other_unit(column, named, file)
    return _missing_columns(found, columns, file) if found.missing else None


_UNITS = {
    "currency": "amounts in dirhams",
    "period": "the price of the car",
    "thousands": "amounts in dirhams",
    "distance": "a distance in kilometres",
}


def _other_unit(column: str, named: HeaderName, file: str) -> DataRefused:
    expected, shown = _UNITS[named.foreign or ""], shorten(column, 60)
    sentence = (
        f"the column {shown!r} was expected to hold {expected}, but its header says {named.unit!r}; "
        "convert its values, rename it and land the file again"
    )
    params = {"column": shown, "expected": named.foreign, "found": named.unit}
    return DataRefused(f"In {file} {sentence}." if file else sentence, code="other_unit", params=params)


def _missing_columns(found: Recognised, columns: Sequence[str], file: str) -> DataRefused:
    names = [HEADERS[name][0] for name in found.missing]
    known = [column for column in columns if not is_index_header(column)]
    keys = {ascii_words(column): column for column in (*found.unknown, *found.second)}
    guesses = []
    for name in found.missing:
        for alias in HEADERS[name]:
            close = difflib.get_close_matches(ascii_words(alias), keys, n=1, cutoff=0.7)
            if close:
                guesses.append(f"{keys[close[0]]!r} looks like {HEADERS[name][0]!r}")
                break
    shown = [shorten(column, 60) for column in known[:_MOST_COLUMNS_SHOWN]]
    listed = ", ".join(map(repr, shown)) or "none"
    left = len(known) - len(shown)
    more = f" and {left} more" if left else ""
    sentence = (
        f"the required column{'s' if len(names) > 1 else ''} {', '.join(repr(n) for n in names)} "
        f"{'are' if len(names) > 1 else 'is'} missing; the columns found are {listed}{more}"
        + (f" ({'; '.join(guesses)})" if guesses else "")
        + "; add or rename the column and land the file again"
    )
    params = {"missing": names, "found": shown, "found_more": left}
    return DataRefused(f"In {file} {sentence}." if file else sentence, code="missing_columns", params=params)
