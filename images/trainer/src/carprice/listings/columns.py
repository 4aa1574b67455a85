"""Which column of a file is which: decided once for a file, by the names of its columns and their values."""

from __future__ import annotations

import datetime
import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused
from carprice.listings.car_names import model_of
from carprice.listings.cleaning import clean
from carprice.listings.column_uses import ColumnUse, use_of
from carprice.listings.dates import DateReading, order_of, year_of_two_digits
from carprice.listings.folding import words_of
from carprice.listings.header_names import REPEATED, HeaderName, is_index_header, name_of
from carprice.listings.headers import HEADERS
from carprice.listings.schema import COLUMNS, newest_year
from carprice.listings.text import ascii_words, shorten
from carprice.listings.titles import read_title
from carprice.listings.value_kinds import ColumnValues
from carprice.listings.values import FileReading, is_unknown, reader_of
from carprice.listings.vocabulary import shipped_vocabulary

REQUIRED: tuple[str, ...] = tuple(
    dict.fromkeys(
        column.field for column in COLUMNS.values() if column.required and column.name != "listing_id"
    )
)
"""Raw fields without which no row can be used; a prediction does without the price."""

_TOLD_BY: dict[str, tuple[str, ...]] = {
    "title": ("make", "model", "model_year"),
    "make_and_model": ("make", "model"),
}
"""The required fields that columns of a role can tell."""

Floats = npt.NDArray[np.float64]

_ONE_OF_EACH = ("title", "make_and_model")
_MOST_COLUMNS_SHOWN = 40
# Words of headers whose years are those of ads, where another column has those of the cars
_OF_ADS = frozenset(("annonce", "listing", "ad", "publication", "publie", "publiee", "parution", "posted"))
# A car as old as this, counted from the newest model year, has driven some thousand kilometres.
_USED_YEARS = 3
# Of an earlier and a current price of all cars the current one is not filled in so much less.
_FILLED = 0.8
_FITS = 0.5
_MODELS = 0.7
_FEW_ROWS = 10
_FEWEST_SHORT_YEARS, _NEARLY_ALL = 4, 0.95
_MOST_COMPARED = 2000
_MOST_ROWS = 10_000
_IN_ORDER = 0.95
_LARGEST_ROW_NUMBER = 100_000
# Mileages of used cars that are mostly below this count thousands.
_LARGEST_IN_THOUSANDS, _LEAST_IN_THOUSANDS, _FEWEST_IN_THOUSANDS = 999.0, 20.0, 20


@dataclass(frozen=True)
class Recognised:
    """How the columns of a raw table are used.

    `uses` says it of each column, in order. `columns` holds the column of each raw field that has one.
    `missing` are the required fields that no column tells. `reading` is how the values are read, by what the
    file as a whole tells.
    """

    uses: tuple[ColumnUse, ...]
    columns: Mapping[str, str]
    missing: tuple[str, ...]
    reading: FileReading = field(default_factory=FileReading)

    def name(self, raw_field: str) -> str:
        """The file's own header of a raw field, or the usual one where the file has none."""
        return self.columns.get(raw_field) or HEADERS[raw_field][0]

    def of(self, role: str) -> list[str]:
        """The columns of a role."""
        return [use.column for use in self.uses if use.role == role]

    def written(self, at: datetime.datetime | None) -> Recognised:
        """The same columns in a file that was written then, from which "3 hours ago" counts."""
        dates = replace(self.reading.dates, written_at=at)
        return replace(self, reading=replace(self.reading, dates=dates))

    @property
    def unused(self) -> list[str]:
        """The columns of which nothing is used, without the one that numbers the rows."""
        return [use.column for use in self.uses if use.role in ("second", "unknown")]


def recognise(sample: pd.DataFrame, require_price: bool = True) -> Recognised:
    """What each column of a file is, by its header and by the values of a sample of its rows (text).

    A column is what its values are where they say something else than its header. Of several columns for one
    field the one is used that fits best: by its values, then by its header, then by the rows that it fills.
    """
    sample = sample.iloc[:: max(len(sample) // _MOST_ROWS, 1)]
    named = [name_of(str(column)) for column in sample.columns]
    values = [
        ColumnValues({str(value): int(rows) for value, rows in sample[column].value_counts().items()})
        for column in sample.columns
    ]
    uses = [
        use_of(str(column), name, held, _numbers_rows(sample[column], name), len(sample) < _FEW_ROWS)
        for column, name, held in zip(sample.columns, named, values, strict=True)
    ]
    _find_model(uses, named, sample)
    _leave_out_years_of_something_else(uses, sample)
    _find_current_price(uses, named, values)
    _leave_out_unnamed_prices(uses, named, values, sample)
    chosen = _chosen(uses, named, values)
    for place, use in enumerate(uses):
        if use.code == "values_are" and use.field != "scraped_at" and chosen.get(use.key, place) != place:
            # another column says this better: the header is right (Peugeot makes a 2008, which is no year)
            uses[place] = ColumnUse(use.column, "field", named[place].field)
    chosen = _chosen(uses, named, values)
    final = tuple(
        use if chosen.get(use.key, place) == place else _second(use, uses[chosen[use.key]], sample)
        for place, use in enumerate(uses)
    )
    columns = {use.field: use.column for use in final if use.role == "field" and use.field is not None}
    held = set(columns) | {name for use in final for name in _TOLD_BY.get(use.role, ())}
    held |= {name for use in final if use.role == "mixed" for name in use.params["fields"]}
    if "mileage_km_min" in columns:
        held.add("mileage")
    required = REQUIRED if require_price else tuple(n for n in REQUIRED if n != "price_mad")
    missing = tuple(name for name in required if name not in held)
    reading = _reading(columns, sample)
    if reading.mileage_in_thousands:
        final = tuple(
            replace(use, code="in_thousands", params={}) if use.column == columns["mileage"] else use
            for use in final
        )
    if reading.years_of_two_digits:
        final = tuple(
            replace(use, code="years_of_two_digits", params={})
            if use.column == columns["model_year"]
            else use
            for use in final
        )
    return Recognised(final, columns, missing, reading)


def refusal_of(found: Recognised, columns: Sequence[str], file: str = "") -> DataRefused | None:
    """Why a table with these columns can't be read at all, or None.

    `file` is the name of the file where the sentence has to say it.
    """
    for use in found.uses:
        if use.role == "other_unit" and use.field not in found.columns:
            return _other_unit(use, file)
    return _missing_columns(found, columns, file) if found.missing else None


def _chosen(
    uses: Sequence[ColumnUse], named: Sequence[HeaderName], values: Sequence[ColumnValues]
) -> dict[str, int]:
    """The place of the best column for each key that columns compete for."""
    best: dict[str, tuple[tuple[float, ...], int]] = {}
    for place, use in enumerate(uses):
        if not use.key:
            continue
        held = values[place]
        fits = held.fit(use.field) >= _FITS if use.role == "field" and use.field else True
        by_name = named[place].rank if named[place].field == use.field else 2
        if use.role in _ONE_OF_EACH:
            by_name = 0 if named[place].hint == "title" else 1
        # Years of ads stand beside those of the cars, not in their place.
        if use.field == "model_year" and (held.are_years_of_ads() or _OF_ADS & set(words_of(use.column))):
            fits = False
        # Under a header that is there twice may stand another car: what this one lacks stays unknown.
        again = float(use.column.endswith(REPEATED))
        rank = (
            again, 0.0 if fits and held.filled else 1.0, float(by_name), -round(held.filled, 1), float(place)
        )  # fmt: skip
        if use.key not in best or rank < best[use.key][0]:
            best[use.key] = rank, place
    return {key: place for key, (_, place) in best.items()}


def _find_model(uses: list[ColumnUse], named: Sequence[HeaderName], sample: pd.DataFrame) -> None:
    """Take the column of unknown header whose values are models of the makes beside them for the model."""
    makes = [use.column for use in uses if use.role == "field" and use.field == "make"]
    told = any(use.field == "model" or use.role in _ONE_OF_EACH for use in uses if use.role != "unknown")
    if not makes or told:
        return
    vocabulary = shipped_vocabulary()
    rows = sample.head(_MOST_COMPARED)
    for place, use in enumerate(uses):
        if use.role != "unknown" or named[place].field is not None:
            continue
        pairs = Counter(zip(rows[makes[0]].map(str), rows[use.column].map(str), strict=True))
        known = sum(
            times
            for (its_make, text), times in pairs.items()
            if model_of(vocabulary.make_named(clean(its_make)) or "", clean(text), vocabulary)
        )
        if known >= _MODELS * max(len(rows), 1):
            params = {"share": known / len(rows)}
            uses[place] = ColumnUse(use.column, "field", "model", "values", params)
            return


def _leave_out_years_of_something_else(uses: list[ColumnUse], sample: pd.DataFrame) -> None:
    """Leave out years of unknown headers (of tyres, of an inspection) or of ads where titles say others."""
    titles = [use.column for use in uses if use.role in _ONE_OF_EACH]
    for place, use in enumerate(uses):
        if (use.role, use.field) != ("field", "model_year") or not titles:
            continue
        if use.code not in ("values", "values_are") and not _OF_ADS & set(words_of(use.column)):
            continue
        rows = sample.head(_MOST_COMPARED)
        said = [
            read_title(clean(str(text)), shipped_vocabulary(), newest_year()).model_year
            for text in rows[titles[0]]
        ]
        years = pd.to_numeric(rows[use.column].map(lambda text: clean(str(text))), errors="coerce")
        both = [(year, told) for year, told in zip(years, said, strict=True) if told and year == year]
        if len(both) >= _FEW_ROWS and sum(year == told for year, told in both) < _FITS * len(both):
            params = {"share": 1 - sum(year == told for year, told in both) / len(both)}
            uses[place] = ColumnUse(use.column, "unknown", "model_year", "titles_say_others", params)


def _find_current_price(
    uses: list[ColumnUse], named: Sequence[HeaderName], values: Sequence[ColumnValues]
) -> None:
    """Of columns of prices at several times take the current one, for all rows or where it names a price."""
    times = [name.time for name in named]
    if "earlier" in times and "newer" in times and "current" not in times:
        place = times.index("newer")
        if values[place].fit("price_mad") >= _FITS:
            uses[place] = ColumnUse(uses[place].column, "field", "price_mad")
    for place, use in enumerate(uses):
        if times[place] is not None and use.key == "price_mad" and not values[place].are_prices():
            # a discount, in dirhams or as a yes
            params = {"share": values[place].fit("price_mad"), "header": "price_mad"}
            uses[place] = ColumnUse(use.column, "unknown", "price_mad", "values_do_not_fit", params)
    timed = [place for place, use in enumerate(uses) if use.key == "price_mad"]
    before = [place for place, time in enumerate(times) if time == "earlier" and values[place].are_prices()]
    if (
        len(timed) == 1 == len(before)
        and times[timed[0]]
        and values[timed[0]].filled < _FILLED * values[before[0]].filled
    ):
        # the regular price of each car, and another one of those that are reduced
        uses[before[0]] = ColumnUse(uses[before[0]].column, "field", "price_mad")
        uses[timed[0]] = ColumnUse(uses[timed[0]].column, "current_price", None, "current_price")
        return
    prices = [place for place, use in enumerate(uses) if use.key == "price_mad"]
    timeless = [place for place in prices if times[place] is None]
    timed = [place for place in prices if times[place] is not None]
    if timeless and timed:
        uses[timed[0]] = ColumnUse(uses[timed[0]].column, "current_price", None, "current_price")


def _leave_out_unnamed_prices(
    uses: list[ColumnUse],
    named: Sequence[HeaderName],
    values: Sequence[ColumnValues],
    sample: pd.DataFrame,
) -> None:
    """Leave out the amounts under headers that say nothing, where two columns of them differ.

    A column that fills less than half of the rows asks no question: an old price is often so.
    """
    prices = [place for place, use in enumerate(uses) if use.key == "price_mad"]
    filled = [place for place in prices if values[place].filled >= _FITS]
    if any(named[place].field == "price_mad" for place in prices) or len(filled) < 2:
        return
    first = uses[filled[0]]
    if any(_difference(uses[place], first, sample) for place in filled[1:]):
        for place in prices:
            uses[place] = ColumnUse(uses[place].column, "unknown", code="not_known")


def _second(use: ColumnUse, used: ColumnUse, sample: pd.DataFrame) -> ColumnUse:
    """A column that another one for the same field is used instead of."""
    params: dict[str, Any] = {"used": used.column, "field": use.field or use.role}
    compared = None if use.role != "field" else _difference(use, used, sample)
    if compared is None:
        return ColumnUse(use.column, "second", use.field, "second", params)
    differing, factor = compared
    params |= {"differing": round(differing, 3), "factor": round(factor, 3)}
    return ColumnUse(use.column, "second", use.field, "second_differs", params)


def _difference(use: ColumnUse, used: ColumnUse, sample: pd.DataFrame) -> tuple[float, float] | None:
    """The share of rows in which two columns of a number differ and their usual ratio; None if they agree."""
    if use.field not in ("price_mad", "mileage", "model_year", "fiscal_power_cv"):
        return None
    rows = sample.head(_MOST_COMPARED)
    one, other = (_numbers(rows[column], use.field) for column in (use.column, used.column))
    both = np.isfinite(one) & np.isfinite(other) & (one > 0) & (other > 0)
    if not both.any():
        return None
    differ = both & (one != other)
    share = float(differ.sum() / both.sum())
    return (share, float(np.median(one[differ] / other[differ]))) if share else None


def _numbers(column: pd.Series[Any], raw_field: str) -> Floats:
    read = reader_of(raw_field).read
    numbers: dict[str, float] = {}
    for value in column.unique():
        try:
            found = read(str(value))
        except (ValueError, OverflowError):
            found = None
        found = found[0] if isinstance(found, tuple) else found
        numbers[value] = np.nan if found is None else float(found)
    return np.array([numbers[value] for value in column], dtype=np.float64)


def _numbers_rows(column: pd.Series[Any], named: HeaderName) -> bool:
    """Whether a column counts its rows: 0, 1, 2, ...; that of an id may leave numbers out."""
    numbers = pd.to_numeric(column.head(_MOST_COMPARED), errors="coerce").to_numpy(dtype=np.float64)
    steps = np.diff(numbers)
    if len(numbers) > 1 and bool(np.all(steps == steps[0])) and steps[0] > 0 and numbers[0] in (0.0, 1.0):
        return True
    if named.field != "listing_id" or len(numbers) < _FEW_ROWS:
        return False
    # ads have ids of seven digits and more, and no scraper meets them in this order
    whole, rising = numbers == np.floor(numbers), steps > 0
    small = np.nanmax(numbers, initial=0) <= _LARGEST_ROW_NUMBER
    return bool(whole.mean() >= _IN_ORDER and rising.mean() >= _IN_ORDER and small)


def _reading(columns: Mapping[str, str], sample: pd.DataFrame) -> FileReading:
    """How dates and mileages are read, by the file as a whole."""
    order = None
    if "scraped_at" in columns:
        order = order_of(clean(str(value)) for value in sample[columns["scraped_at"]].unique())
    in_thousands = "mileage" in columns and _counts_thousands(sample[columns["mileage"]])
    if in_thousands and "model_year" in columns:
        # nearly new cars have driven so few kilometres
        years = pd.to_numeric(sample[columns["model_year"]], errors="coerce").dropna()
        in_thousands = len(years) == 0 or bool(years.median() <= newest_year() - _USED_YEARS)
    short_years = "model_year" in columns and _writes_two_digits(sample[columns["model_year"]])
    return FileReading(DateReading(order), in_thousands, short_years)


def _writes_two_digits(years: pd.Series[Any]) -> bool:
    """Whether the values of a column of years are years of two digits, and nothing else that is a number.

    The fiscal power of a car and its age are written with one digit, too.
    """
    texts = years.map(clean)
    texts = texts[~texts.map(is_unknown)]
    if len(texts) < _FEW_ROWS or texts.nunique() < _FEWEST_SHORT_YEARS:
        return False
    newest = newest_year()
    return bool(texts.map(lambda text: year_of_two_digits(text, newest) is not None).mean() >= _NEARLY_ALL)


def _counts_thousands(mileages: pd.Series[Any]) -> bool:
    """Whether mileages count thousands of kilometres: no used car but these has driven some hundred."""
    numbers = pd.to_numeric(mileages, errors="coerce").dropna()
    # "120.500" is how many write 120,500 kilometres
    grouped = mileages[numbers.index].str.fullmatch(r"\s*\d{1,3}\.\d{3}\s*")
    if len(numbers) < _FEWEST_IN_THOUSANDS or grouped.any():
        return False
    below = numbers <= _LARGEST_IN_THOUSANDS
    return bool(below.mean() >= 0.95 and numbers[below].median() >= _LEAST_IN_THOUSANDS)


_UNITS = {
    "currency": "amounts in dirhams",
    "period": "the price of the car",
    "tax": "prices with tax",
    "thousands": "amounts in dirhams",
    "distance": "a distance in kilometres",
}


def _other_unit(use: ColumnUse, file: str) -> DataRefused:
    kind, unit = str(use.params["kind"]), use.params["unit"]
    expected, shown = _UNITS[kind], shorten(use.column, 60)
    sentence = (
        f"the column {shown!r} was expected to hold {expected}, but its header says {unit!r}; "
        "convert its values, rename it and land the file again"
    )
    params = {"column": shown, "expected": kind, "found": unit}
    return DataRefused(f"In {file} {sentence}." if file else sentence, code="other_unit", params=params)


def _missing_columns(found: Recognised, columns: Sequence[str], file: str) -> DataRefused:
    names = [HEADERS[name][0] for name in found.missing]
    known = [column for column in columns if not is_index_header(column)]
    keys = {ascii_words(column): column for column in found.unused}
    guesses = []
    for name in found.missing:
        for use in found.uses:
            if use.params.get("header") == name:
                guesses.append(f"{use.column!r} is read as {use.taken_for}: {use.reason()}")
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
