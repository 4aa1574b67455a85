"""Rows whose cells stand under the columns beside their own, which only the values tell.

A scraper that leaves out a value, or writes one too many, moves all that follow in the row: the mileage
stands under the price and reads like one. Words give it away, because then the fuel stands under the mileage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings import words
from carprice.listings.cleaning import clean
from carprice.listings.columns import Recognised
from carprice.listings.schema import EQUIPMENT
from carprice.listings.value_kinds import FIELD_OF, ValueKind, is_of_kind, reads

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.int8]

# Whether a cell belongs to a column: it can't be read as its values, it can, it is nothing else; or it is
# empty.
_NO, _MAYBE, _SURE, _EMPTY = 0, 1, 2, 3

_DISTANCES = (1, -1, 2, -2)
_MILEAGES = ("mileage", "mileage_km_min", "mileage_km_max")
_NUMBERS = (*_MILEAGES, "price_mad", "model_year", "fiscal_power_cv", "doors")
_FLAGS = (*EQUIPMENT, "first_owner")
_LONG_NUMBERS = (*_MILEAGES, "price_mad")
_WORDS = ("fuel", "gearbox", "condition", "origin")
_NAMED = (*_WORDS, "city", "district")
_SUSPECT = (*_NUMBERS, *_NAMED, "first_owner", "scraped_at", "url")
_DECISIVE = (*_MILEAGES, "make", "model", "model_year", "price_mad")
_TELLING: tuple[ValueKind, ...] = (
    "fuel", "gearbox", "condition", "origin", "power", "mileage", "price", "doors", "link", "day", "year",
    "city",
)  # fmt: skip
_FEWEST_ROWS, _FEWEST_TIMES, _USUAL, _MOST = 20, 2, 0.01, 0.5
# Only prices and mileages are as long, and years.
_LONG_NUMBER = re.compile(r"[\d .,]*\d[\d .,]*")
_LONG = 4


@dataclass(frozen=True)
class Moved:
    """Rows whose cells have moved: `column` holds what looks like a value of `belongs`.

    `doubtful` (shape (n,)) are the rows in which a needed value or the mileage may be that of another column.
    `others` are, by column, the rows in which only its value may be.
    """

    column: str
    belongs: str
    doubtful: Mask
    others: dict[str, Mask] = field(default_factory=dict)


def may_be_suspect(raw_field: str) -> bool:
    """Whether a field has words or names, which can be values of another one though they are read."""
    return raw_field in _NAMED


def is_suspect(raw_field: str, text: str) -> bool:
    """Whether a clean value under a column of words or names is surely one of another field."""
    if words.is_unknown(text):
        return False
    return bool(_sure_fields(text)) and _level(raw_field, text) != _SURE


def moved_cells(raw: pd.DataFrame, found: Recognised, suspects: Mask, few_kilometres: Mask) -> list[Moved]:
    """The rows of a raw table (n rows of str) whose cells stand under other columns than their own.

    `suspects` (shape (n,)) are the rows with a value that its column can't hold or that is surely one of
    another field, `few_kilometres` those with a mileage so small that it may be another number.
    """
    table = _Table(raw, found)
    short = few_kilometres & table.ends_early() if few_kilometres.any() else few_kilometres
    rows = np.flatnonzero(suspects | short)
    if not len(rows):
        return []
    patterns, places, times = np.unique(
        table.levels(rows, short[rows]), axis=0, return_inverse=True, return_counts=True
    )
    rows_of = np.split(rows[np.argsort(places.ravel(), kind="stable")], np.cumsum(times)[:-1])
    moved: dict[tuple[int, int], Moved] = {}
    for pattern, here in zip(patterns, rows_of, strict=True):
        shift = _shift(pattern.reshape(-1, 1 + len(_DISTANCES)), table.fields)
        if shift is None:
            continue
        names = table.names[shift.cell], table.names[shift.belongs]
        found_here = moved.setdefault(
            (shift.cell, shift.belongs), Moved(*names, np.zeros(len(raw), dtype=bool))
        )
        if shift.doubtful:
            found_here.doubtful[here] = True
            continue
        for cell in shift.region:
            mask = found_here.others.setdefault(table.names[cell], np.zeros(len(raw), dtype=bool))
            mask[here] = True
    return list(moved.values())


class _Table:
    """The columns of a raw table, and how its cells fit them."""

    def __init__(self, raw: pd.DataFrame, found: Recognised) -> None:
        self.raw = raw
        self.names = [str(column) for column in raw.columns]
        field_of = {use.column: use.field for use in found.uses if use.role in ("field", "second")}
        self.fields: list[str | None] = [field_of.get(name) for name in self.names]
        # a column of cards or equipment tells its fields itself
        self.plain = {use.column for use in found.uses if use.role in ("field", "second", "unknown")}
        self._usual_values: dict[str, frozenset[str]] = {}

    def ends_early(self) -> Mask:
        """The rows without a value in the last column, where most have one."""
        last = self.raw.iloc[:, -1]
        codes, uniques = pd.factorize(last)
        empty = np.array([words.is_unknown(clean(str(value))) for value in uniques], dtype=bool)[codes]
        usual = len(last) >= _FEWEST_ROWS and float(empty.mean()) < _MOST
        return empty if usual else np.zeros(len(last), dtype=bool)

    def levels(self, rows: npt.NDArray[np.int64], short: Mask) -> Levels:
        """How each cell of some rows fits its own column and those at `_DISTANCES`, one after the other.

        Shape (rows, columns * (1 + distances)). `short` are the rows that end early, in which a small mileage
        counts as a number of the column beside it.
        """
        cells = [self.raw[name].iloc[rows].to_numpy() for name in self.names]
        out = np.empty((len(rows), len(self.names), 1 + len(_DISTANCES)), dtype=np.int8)
        for place in range(len(self.names)):
            codes, uniques = pd.factorize(cells[place])
            texts = [clean(str(value)) for value in uniques]
            out[:, place, 0] = np.array([_own_level(self.fields[place], text) for text in texts])[codes]
            for slot, distance in enumerate(_DISTANCES, 1):
                there = place + distance
                if not 0 <= there < len(self.names):
                    out[:, place, slot] = _NO
                    continue
                fits = np.array([self._level_at(there, text) for text in texts], dtype=np.int8)[codes]
                if self.fields[there] not in _FLAGS:
                    # said twice, and not moved
                    fits[(cells[place] == cells[there]) & (fits == _SURE)] = _MAYBE
                if distance == 1 and self.fields[place] in _MILEAGES:
                    small = short & (fits == _MAYBE)
                    fits[small] = _SURE
                    out[small, place, 0] = _NO
                out[:, place, slot] = fits
        return out.reshape(len(rows), -1)

    def _level_at(self, place: int, text: str) -> int:
        raw_field, name = self.fields[place], self.names[place]
        if raw_field in _LONG_NUMBERS and _is_long_number(text):
            return _SURE if _level(raw_field, text) else _NO
        if raw_field is not None or name not in self.plain:
            return _level(raw_field, text)
        worded = not any(character.isdigit() for character in text) and not words.is_unknown(text)
        return _SURE if worded and text in self._usual(name) else _MAYBE

    def _usual(self, name: str) -> frozenset[str]:
        """The values that a column of no known field often has."""
        if name not in self._usual_values:
            times = self.raw[name].value_counts()
            least = max(_FEWEST_TIMES, _USUAL * len(self.raw))
            self._usual_values[name] = frozenset(clean(str(value)) for value in times.index[times >= least])
        return self._usual_values[name]


@dataclass(frozen=True)
class _Shift:
    cell: int
    belongs: int
    region: tuple[int, ...]
    doubtful: bool


def _shift(pattern: Levels, fields: Sequence[str | None]) -> _Shift | None:
    """What has moved in rows of a pattern (shape (columns, 1 + distances)), None where nothing has.

    A cell that surely belongs to a column near by has moved, unless that column has a sure value itself. The
    cells beside it have moved as far, up to the first that surely belongs where it stands or that can't
    belong so far away.
    """
    best: _Shift | None = None
    own = pattern[:, 0]
    for slot, distance in enumerate(_DISTANCES, 1):
        for cell in np.flatnonzero((pattern[:, slot] == _SURE) & (own != _SURE) & (own != _EMPTY)).tolist():
            belongs = cell + distance
            if fields[cell] not in _SUSPECT or (fields[cell] in _NUMBERS and own[cell] != _NO):
                continue
            if own[belongs] == _SURE and fields[belongs] not in _FLAGS:
                continue
            region = _region(pattern, fields, cell, slot, distance)
            doubtful = any(
                fields[place] in _DECISIVE
                and (own[place] == _MAYBE or (own[place] == _EMPTY and fields[place] == "price_mad"))
                for place in region
            )
            if best is None or (doubtful and not best.doubtful):
                best = _Shift(cell, belongs, region, doubtful)
    return best


def _region(
    pattern: Levels, fields: Sequence[str | None], cell: int, slot: int, distance: int
) -> tuple[int, ...]:
    own = pattern[:, 0]
    region = [cell]
    for step in (-1, 1):
        place = cell + step
        while 0 <= place < len(pattern):
            stays = own[place] == _SURE and fields[place] not in _FLAGS
            if own[place] != _EMPTY and (stays or pattern[place, slot] == _NO):
                break
            region.append(place)
            place += step
    return tuple(sorted(region))


def _is_long_number(text: str) -> bool:
    return bool(_LONG_NUMBER.fullmatch(text)) and sum(map(str.isdigit, text)) >= _LONG


def _own_level(raw_field: str | None, text: str) -> int:
    return _EMPTY if words.is_unknown(text) else _level(raw_field, text)


@lru_cache(maxsize=50_000)
def _level(raw_field: str | None, text: str) -> int:
    """How a clean text fits the values of a raw field."""
    if raw_field is None:
        return _MAYBE
    sure = _sure_fields(text)
    if raw_field in sure or (raw_field in _FLAGS and "yes_or_no" in sure):
        return _SURE
    if raw_field.startswith("mileage"):
        return _SURE if "mileage" in sure else _MAYBE if reads("mileage", text) else _NO
    if raw_field in _WORDS:
        return _NO if any(character.isdigit() for character in text) else _MAYBE
    return _MAYBE if reads(raw_field, text) else _NO


@lru_cache(maxsize=50_000)
def _sure_fields(text: str) -> frozenset[str]:
    """The raw fields of which a clean text surely is a value, `yes_or_no` for those that say no more."""
    sure = {FIELD_OF.get(kind, "scraped_at") for kind in _TELLING if is_of_kind(text, kind)}
    said = words.yes_or_no(text)
    if said is not None and not any(character.isdigit() for character in text):
        sure.add("yes_or_no")
    elif said is None and words.first_owner(text) is not None and len(text) > 1:
        sure.add("first_owner")
    return frozenset(sure)
