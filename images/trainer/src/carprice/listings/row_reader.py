"""Reading the rows of a raw table column by column, with the reasons why values and rows are not used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray

from carprice.listings.amounts import UnusableValue
from carprice.listings.availability import on_sale, reader_of_availability
from carprice.listings.cleaning import clean
from carprice.listings.columns import Recognised
from carprice.listings.moved_cells import is_suspect, may_be_suspect, moved_cells
from carprice.listings.parsed import Fate, Parsed, Unreadable
from carprice.listings.problems import UNREADABLE, RowProblem
from carprice.listings.schema import COLUMNS, FEATURES, LEAST_PRICE, Kind, limits_of, newest_year
from carprice.listings.shared_columns import one_spelling, read_current_prices, read_shared_columns
from carprice.listings.text import shorten
from carprice.listings.title_facts import TOLD, Contradiction, merge_titles
from carprice.listings.values import expectation, reader_of
from carprice.listings.vocabulary import Vocabulary
from carprice.listings.words import is_unknown, price_unit

Values = npt.NDArray[Any] | ExtensionArray
Mask = npt.NDArray[np.bool_]

_ASIDE: dict[str, Fate] = {
    "no_asking_price": "unpriced",
    "sold": "unpriced",
    "no_price_of_a_car": "unpriced",
    "not_a_used_car": "not_used_car",
}
_MOST_EXAMPLES = 3
# What programs write where an ad has no price
_NO_PRICES = (0.0, -1.0)
_FEW_KILOMETRES = 1000
# An old and a new price of the same car are not farther apart.
_LEAST_OF_OTHER_PRICE = 0.5


class RowReader:
    """Collects the values and the reasons while a raw table is read, one unique value at a time."""

    def __init__(
        self,
        raw: pd.DataFrame,
        found: Recognised,
        faults: Mapping[int, RowProblem],
        require_price: bool,
        vocabulary: Vocabulary,
    ) -> None:
        self.raw = raw
        self.found = found
        self.newest = newest_year()
        self.vocabulary = vocabulary
        self.contradictions: list[Contradiction] = []
        self.required = [
            name
            for name, column in COLUMNS.items()
            if column.required and (name in FEATURES or (name == "price_mad" and require_price))
        ]
        self.usable = np.ones(len(raw), dtype=bool)
        self.usable[list(faults)] = False
        # which rows each reason has: of a fault, of another fate without one, of a value that is not used
        self.faults: dict[RowProblem, Mask] = {}
        self.aside: dict[RowProblem, Mask] = {}
        self.unread: dict[RowProblem, Mask] = {}
        # rows with a value that seems to be one of another column
        self.suspects: Mask = np.zeros(len(raw), dtype=bool)
        # required fields -> the rows whose value is given and can't be used
        self.refused: dict[str, Mask] = {}
        for row, fault in faults.items():
            self._add(self.faults, fault, self._only(row))

    def _only(self, row: int) -> Mask:
        mask = np.zeros(len(self.raw), dtype=bool)
        mask[row] = True
        return mask

    def _add(self, reasons: dict[RowProblem, Mask], problem: RowProblem, mask: Mask) -> None:
        if mask.any():
            reasons[problem] = reasons[problem] | mask if problem in reasons else mask

    def problem(self, raw_field: str, code: str) -> RowProblem:
        """What is wrong with the values of a raw field, in the words of the file."""
        return RowProblem(code, expectation(raw_field, self.newest), self.found.name(raw_field))

    def reject(self, raw_field: str, code: str, mask: Mask) -> None:
        """The value of these rows can't be used."""
        mask = mask & self.usable
        if code in _ASIDE:
            self._add(self.aside, RowProblem(code, {}, self.found.name(raw_field)), mask)
            return
        needed = raw_field in self.required
        self._add(self.faults if needed else self.unread, self.problem(raw_field, code), mask)
        if needed:
            self.refused[raw_field] = self.refused.get(raw_field, np.zeros(len(mask), dtype=bool)) | mask

    def values(self, raw_field: str, name: str = "") -> tuple[list[Any], npt.NDArray[np.int64]]:
        """The distinct read values (None where unknown or not usable) and each row's place among them.

        The limits are those of the canonical column `name`.
        """
        reader = reader_of(raw_field, self.found.reading)
        limits = limits_of(name or raw_field, self.newest) if reader.expected != "yes_or_no" else None
        codes, uniques = pd.factorize(self.raw[self.found.columns[raw_field]])
        read: list[Any] = []
        bad: dict[str, list[int]] = {}
        for place, value in enumerate(uniques):
            found = None
            try:
                found = reader.read(value)
            except UnusableValue as error:
                bad.setdefault(error.code, []).append(place)
            except (ValueError, OverflowError):
                bad.setdefault(UNREADABLE[reader.expected], []).append(place)
            else:
                ends = found if isinstance(found, tuple) else (found,)
                no_price = raw_field == "price_mad" and raw_field in self.required and found in _NO_PRICES
                if limits and not no_price and not all(_within(limits.low, end, limits.high) for end in ends):
                    bad.setdefault(limits.code, []).append(place)
                    found = None
            read.append(found)
        self._suspect(raw_field, uniques, codes, bad)
        for code, places in bad.items():
            chosen = np.zeros(len(uniques), dtype=bool)
            chosen[places] = True
            self.reject(raw_field, code, chosen[codes])
        return read, codes

    def _suspect(
        self,
        raw_field: str,
        uniques: pd.Index[Any],
        codes: npt.NDArray[np.int64],
        bad: Mapping[str, list[int]],
    ) -> None:
        strange = [place for code, places in bad.items() if code not in _ASIDE for place in places]
        if may_be_suspect(raw_field):
            strange += [
                place for place, value in enumerate(uniques) if is_suspect(raw_field, clean(str(value)))
            ]
        if strange:
            chosen = np.zeros(len(uniques), dtype=bool)
            chosen[strange] = True
            self.suspects |= chosen[codes]

    def read(self, raw_field: str, kind: Kind) -> Values:
        """The canonical column of a raw field, shape (rows,)."""
        read, codes = self.values(raw_field)
        if not read:
            return empty_column(kind, len(self.raw))
        if kind == "text":
            distinct = np.empty(len(read), dtype=object)
            distinct[:] = read
            return distinct[codes]
        if kind == "time":
            return pd.array(read, dtype=pd.DatetimeTZDtype("us", "UTC"))[codes]
        return np.array([np.nan if v is None else v for v in read], dtype=np.float64)[codes]

    def mileage(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Least and largest kilometres: from a bracket column, or from a column for each."""

        def bounds(raw_field: str) -> npt.NDArray[np.float64]:
            read, codes = self.values(raw_field, "mileage_km_min")
            pairs = np.array([(np.nan, np.nan) if v is None else v for v in read], dtype=np.float64)
            return pairs.reshape(-1, 2)[codes]

        if "mileage" in self.found.columns:
            pair = bounds("mileage")
            return pair[:, 0], pair[:, 1]
        if "mileage_km_min" not in self.found.columns:
            unknown = np.full(len(self.raw), np.nan)
            return unknown, unknown.copy()
        low = bounds("mileage_km_min")[:, 0]
        high = bounds("mileage_km_max")[:, 1] if "mileage_km_max" in self.found.columns else low.copy()
        reversed_ = low > high
        self.reject("mileage_km_min", "mileage_bounds_reversed", reversed_)
        low[reversed_] = high[reversed_] = np.nan
        return low, high

    def set_aside_moved_cells(self, canonical: dict[str, Any]) -> None:
        """Rows whose cells stand under other columns are faults where a needed value may be another's."""
        few = np.nan_to_num(canonical["mileage_km_max"], nan=np.inf) < _FEW_KILOMETRES
        fields = {column: name for name, column in self.found.columns.items()}
        for moved in moved_cells(self.raw, self.found, self.suspects & self.usable, few & self.usable):
            problem = RowProblem("moved_cells", {"belongs": moved.belongs}, moved.column)
            self._add(self.faults, problem, moved.doubtful & self.usable)
            self.usable &= ~moved.doubtful
            for column, mask in moved.others.items():
                self._forget(canonical, fields.get(column, ""), mask & self.usable)
        for problem in list(self.aside):
            self.aside[problem] &= self.usable

    def _forget(self, canonical: dict[str, Any], raw_field: str, mask: Mask) -> None:
        """The values of an optional field in these rows may be those of another one."""
        for name, column in COLUMNS.items():
            if raw_field not in (column.field, name) or name not in canonical or raw_field in self.required:
                continue
            known = mask & ~np.asarray(pd.isna(canonical[name]))
            self._add(self.unread, RowProblem("moved_value", {}, self.found.name(raw_field)), known)
            if column.kind != "time":
                canonical[name][known] = None if column.kind == "text" else np.nan

    def fill_from_shared_columns(self, canonical: dict[str, Any]) -> None:
        """What columns with more than one field say, where no column of its own says it."""
        shared = read_shared_columns(self.raw, self.found, self.vocabulary, self.newest)
        for (raw_field, name, code), mask in shared.other_units.items():
            self.reject(raw_field, code, mask & ~np.isnan(canonical[name]))
            canonical[name][mask] = np.nan
        for name, told in shared.values.items():
            own = canonical[name]
            filled = np.where(pd.isna(own), told, np.asarray(own, dtype=object))
            canonical[name] = filled if COLUMNS[name].kind == "text" else _as_numbers(filled)
        for (column, named, kind), mask in shared.not_cars.items():
            self._put_aside(column, named, kind, mask)
        for (column, name, code), mask in shared.untold.items():
            self._lack(
                name,
                RowProblem(code, expectation(name, self.newest), column),
                mask & pd.isna(canonical[name]),
            )
        for column, mask in shared.unreadable.items():
            self._add(self.unread, RowProblem("other_meaning", {}, column), mask & self.usable)

    def take_current_prices(self, canonical: dict[str, Any]) -> None:
        """Prices of a column that says to be the current one count before those of the usual column.

        Where the two are too far apart for the same car, or the current one can't be read, neither counts.
        """
        for column in self.found.of("current_price"):
            if "price_mad" not in self.required:
                return
            current, unread = read_current_prices(self.raw[column])
            price = canonical["price_mad"]
            apart = (current < _LEAST_OF_OTHER_PRICE * price) | (price < _LEAST_OF_OTHER_PRICE * current)
            for code, mask in (("not_an_amount", unread), ("two_amounts", apart)):
                self._lack("price_mad", RowProblem(code, expectation("price_mad", self.newest), column), mask)
            canonical["price_mad"] = np.where(np.isnan(current), price, current)
            canonical["price_mad"][apart | unread] = np.nan

    def refuse_other_currencies(self, canonical: dict[str, Any]) -> None:
        """Prices beside which a column names something else than dirhams can't be used."""
        for column in self.found.of("currency"):
            codes, uniques = pd.factorize(self.raw[column])
            texts = [clean(str(value)) for value in uniques]
            units = [
                "dirhams" if is_unknown(text) else price_unit(text) or "other_currency" for text in texts
            ]
            for unit in set(units) - {"dirhams"}:
                foreign = np.array([each == unit for each in units])[codes]
                foreign &= ~np.isnan(canonical["price_mad"])
                self.reject("price_mad", unit, foreign)
                canonical["price_mad"][foreign] = np.nan

    def put_aside_sold_cars(self, canonical: dict[str, Any]) -> None:
        """Nobody asks the price of a car any more whose row says that it is sold or reserved."""
        if "price_mad" not in self.required:
            return
        for use in self.found.uses:
            read = reader_of_availability(use.column)
            if read is None or (use.role not in ("availability", "unknown") and use.field != "condition"):
                continue
            if use.role != "availability":
                read = on_sale  # among conditions or labels such as `Urgent` the word `Vendu` says it, too
            codes, uniques = pd.factorize(self.raw[use.column])
            gone = np.array([read(clean(str(value))) is False for value in uniques], dtype=bool)[codes]
            self._add(self.aside, RowProblem("sold", {}, use.column), gone & self.usable)

    def put_aside_prices_of_no_car(self, canonical: dict[str, Any]) -> None:
        """Sellers who tell no price write 1 or 37 dirhams, because the site wants a number."""
        if "price_mad" in self.required:
            low = canonical["price_mad"] < LEAST_PRICE
            params = {"least": LEAST_PRICE}
            problem = RowProblem("no_price_of_a_car", params, self.found.name("price_mad"))
            self._add(self.aside, problem, low & self.usable & ~self.is_aside())
            canonical["price_mad"] = np.where(low, np.nan, canonical["price_mad"])

    def give_names_one_spelling(self, canonical: dict[str, Any]) -> dict[tuple[str, str], Mask]:
        """Makes and models in the spelling of the vocabulary; by field and code those that name none."""
        cars = one_spelling(canonical["make"], canonical["model"], self.vocabulary, self.newest)
        canonical["make"], canonical["model"] = cars.makes, cars.models
        for other, mask in cars.others.items():
            self._put_aside(self.found.name("model"), other.words, other.kind, mask)
        return cars.unknown

    def refuse_nameless(self, canonical: dict[str, Any], nameless: Mapping[tuple[str, str], Mask]) -> None:
        """Makes and models that name nothing are faults where the title does not say them either."""
        for (name, code), mask in nameless.items():
            self.reject(name, code, mask & pd.isna(canonical[name]))
        if nameless:
            # a model beside a make that only the title says
            self.give_names_one_spelling(canonical)

    def fill_from_titles(self, canonical: dict[str, Any]) -> None:
        """What the titles of ads say, where no column says it."""
        for column in self.found.of("title"):
            cleaned = self.raw[column].map(clean)
            given = {name: canonical[name] for name in TOLD}
            read = merge_titles(cleaned, given, self.vocabulary, self.newest)
            canonical.update(read.values)
            for (name, code), mask in read.untold.items():
                self._lack(name, RowProblem(code, {}, column), mask)
            for other in set(read.others[pd.notna(read.others)]):
                mask = np.array([found == other for found in read.others], dtype=bool)
                self._put_aside(column, other.words, other.kind, mask)
            self.contradictions += read.contradictions

    def _lack(self, name: str, problem: RowProblem, mask: Mask) -> None:
        """These rows lack a needed value, for this reason."""
        refused = self.refused.get(name, np.zeros(len(mask), dtype=bool))
        self._add(self.faults, problem, mask & self.usable & ~refused)
        self.refused[name] = refused | mask

    def _put_aside(self, column: str, named: str, kind: str, mask: Mask) -> None:
        problem = RowProblem("not_a_used_car", {"found": named, "kind": kind}, column)
        self._add(self.aside, problem, mask & self.usable)

    def require(self, canonical: Mapping[str, Any]) -> None:
        """A row without a needed value is a fault; a row that asks no price is none."""
        for name in self.required:
            unknown = pd.isna(canonical[name]) & self.usable
            if name in self.refused:
                unknown &= ~self.refused[name]
            if name == "price_mad":
                unknown &= ~self.is_aside()
                problem = RowProblem("no_asking_price", {}, self.found.name(name))
                self._add(self.aside, problem, unknown)
            else:
                self._add(self.faults, self.problem(name, "unknown_or_empty"), unknown)

    def is_aside(self) -> Mask:
        """Which rows have another fate without a fault."""
        aside = np.zeros(len(self.raw), dtype=bool)
        for mask in self.aside.values():
            aside |= mask
        return aside

    def parsed(self, table: pd.DataFrame) -> Parsed:
        """The rows with their fates, when all columns are read; `table` holds the canonical columns."""
        fates = np.full(len(table), "accepted", dtype=object)
        aside = self.is_aside()
        for problem, mask in self.aside.items():
            fates[mask] = _ASIDE[problem.code]
        faults = {problem: mask & ~aside for problem, mask in self.faults.items()}
        for mask in faults.values():
            fates[mask] = "quarantined"
        counted, counted_aside = _counted(faults), _counted(self.aside)
        row_problems: dict[int, list[RowProblem]] = {}
        sentences: dict[int, str] = {}
        for sentence, problem, mask in (*counted, *counted_aside):
            for row in np.flatnonzero(mask).tolist():
                row_problems.setdefault(row, []).append(problem)
                sentences[row] = f"{sentences[row]}; {sentence}" if row in sentences else sentence
        problems = np.full(len(table), None, dtype=object)
        problems[list(sentences)] = list(sentences.values())
        return Parsed(
            table,
            pd.Series(problems, index=table.index, dtype=object),
            fates,
            {problem: int(mask.sum()) for _, problem, mask in counted},
            {problem: int(mask.sum()) for _, problem, mask in counted_aside},
            row_problems,
            [self._unreadable(problem, mask) for problem, mask in self.unread.items()],
            self.contradictions,
        )

    def _unreadable(self, problem: RowProblem, mask: Mask) -> Unreadable:
        found = self.raw[problem.column].array[mask].unique()[:_MOST_EXAMPLES]
        return Unreadable(problem, int(mask.sum()), tuple(shorten(str(value), 40) for value in found))


def empty_column(kind: Kind, rows: int) -> Values:
    """A canonical column of this kind without any value."""
    if kind == "text":
        return np.full(rows, None, dtype=object)
    if kind == "time":
        return pd.array([pd.NaT] * rows, dtype=pd.DatetimeTZDtype("us", "UTC"))
    return np.full(rows, np.nan)


def _as_numbers(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _counted(reasons: Mapping[RowProblem, Mask]) -> list[tuple[str, RowProblem, Mask]]:
    """The reasons that any row has with their sentences, the most frequent first."""
    counted = [(problem.sentence(), problem, mask) for problem, mask in reasons.items() if mask.any()]
    return sorted(counted, key=lambda reason: (-int(reason[2].sum()), reason[0]))


def _within(low: float, value: float | None, high: float) -> bool:
    # an unknown value and the open end of a bracket are within any limits
    return value is None or math.isnan(value) or low <= value <= high
