"""Reading a raw table into the canonical columns, and what is wrong with each of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray

from carprice.listings.headers import Recognised, missing_columns, recognise
from carprice.listings.identity import listing_ids
from carprice.listings.problems import UNREADABLE, RowProblem
from carprice.listings.schema import COLUMNS, FEATURES, Kind, listing_schema, newest_year
from carprice.listings.values import expectation, reader_of

Values = npt.NDArray[Any] | ExtensionArray


@dataclass(frozen=True)
class Parsed:
    """A raw table read into canonical columns.

    `listings` has one row per raw row, in its order and with its index; `problems` (object, same
    index) holds None for a good row, otherwise its reasons joined by "; ". `row_problems` holds the same
    reasons with their codes, by row position, for the rows that have any. `reasons` counts the rows of each
    reason, most frequent first; a row with two reasons counts under both.
    """

    listings: pd.DataFrame
    problems: pd.Series[Any]
    reasons: dict[str, int] = field(default_factory=dict)
    row_problems: dict[int, list[RowProblem]] = field(default_factory=dict)

    @property
    def good(self) -> pd.Series[bool]:
        """Which rows can be used."""
        return self.problems.isna()


def as_canonical(table: pd.DataFrame) -> pd.DataFrame:
    """The canonical columns of a table that holds any of them, in order and typed as `Column` says.

    Parquet and the readers of other tools change `None` and strings; this restores them.
    """
    out: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if name not in table:
            values: Values = _empty(column.kind, len(table))
        elif column.kind == "text":
            series = table[name].astype(object)
            values = series.where(series.notna(), None).to_numpy(dtype=object)
        elif column.kind == "time":
            values = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]").array
        else:
            values = pd.to_numeric(table[name]).to_numpy(dtype=np.float64)
        out[name] = values
    return _frame(out, table.index)


def parse(raw: pd.DataFrame, require_price: bool, faults: Mapping[int, RowProblem] | None = None) -> Parsed:
    """Read a raw table (n rows of str under any known headers) into canonical columns.

    Without `require_price` the price is optional and only the columns a model uses are checked, as
    batch prediction needs. `faults` are problems that are already known, by row position (as
    `RawFile.faults`); such a row gets no other. Raises `DataRefused` when a required column is missing.
    """
    found = recognise(list(raw.columns), require_price)
    if found.missing:
        raise missing_columns(found, list(raw.columns))
    rows = _Rows(raw, found, faults or {})
    canonical: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        checked = require_price or name in FEATURES
        if column.raw == "mileage":
            continue
        if name in {"source_sha256"} or name not in found.columns:
            canonical[name] = _empty(column.kind, len(raw))
        else:
            canonical[name] = rows.read(name, column.kind, checked)
    canonical["mileage_km_min"], canonical["mileage_km_max"] = rows.mileage()
    canonical["listing_id"] = listing_ids(canonical)
    table = _frame(canonical, raw.index)
    rows.check(table, require_price)
    return rows.parsed(table)


def _frame(values: Mapping[str, Values], index: pd.Index[Any]) -> pd.DataFrame:
    # pandas would turn an object array of strings into its own string type
    columns = {
        name: pd.Series(values[name], index=index, dtype=object if column.kind == "text" else None)
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index)


def _empty(kind: Kind, rows: int) -> Values:
    if kind == "text":
        return np.full(rows, None, dtype=object)
    if kind == "time":
        return pd.array([pd.NaT] * rows, dtype=pd.DatetimeTZDtype("us", "UTC"))
    return np.full(rows, np.nan)


class _Rows:
    """Collects the values and the reasons while a raw table is read, one unique value at a time."""

    def __init__(self, raw: pd.DataFrame, found: Recognised, faults: Mapping[int, RowProblem]) -> None:
        self.raw = raw
        self.found = found
        self.usable = np.ones(len(raw), dtype=bool)
        self.usable[list(faults)] = False
        self.newest = newest_year()
        # problem -> whether each row has it; raw field -> rows whose value is not readable
        self.reasons: dict[RowProblem, npt.NDArray[np.bool_]] = {}
        self.unreadable: dict[str, npt.NDArray[np.bool_]] = {}
        rows_of: dict[RowProblem, list[int]] = {}
        for row, fault in faults.items():
            rows_of.setdefault(fault, []).append(row)
        for fault, positions in rows_of.items():
            self.reasons[fault] = np.zeros(len(raw), dtype=bool)
            self.reasons[fault][positions] = True

    def refuse(self, raw_field: str, code: str, mask: npt.NDArray[np.bool_]) -> None:
        mask = mask & self.usable
        if mask.any():
            params = expectation(raw_field, self.newest)
            reason = RowProblem(code, params, self.found.name(raw_field))
            self.reasons[reason] = self.reasons.get(reason, np.zeros(len(mask), dtype=bool)) | mask

    def values(self, raw_field: str, checked: bool = True) -> tuple[list[Any], npt.NDArray[np.int64]]:
        """The distinct read values (None where unknown or unreadable) and each row's place among them."""
        reader = reader_of(raw_field)
        codes, uniques = pd.factorize(self.raw[self.found.columns[raw_field]])
        read: list[Any] = []
        bad = np.zeros(len(uniques), dtype=bool)
        for place, value in enumerate(uniques):
            try:
                read.append(reader.read(value))
            except (ValueError, OverflowError):
                read.append(None)
                bad[place] = True
        mask = bad[codes] if len(uniques) else np.zeros(len(self.raw), dtype=bool)
        self.unreadable[raw_field] = mask
        if checked:
            self.refuse(raw_field, UNREADABLE[reader.expected], mask)
        return read, codes

    def read(self, raw_field: str, kind: Kind, checked: bool) -> Values:
        read, codes = self.values(raw_field, checked)
        if not read:
            return _empty(kind, len(self.raw))
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
            read, codes = self.values(raw_field)
            pairs = np.array([(np.nan, np.nan) if v is None else v for v in read], dtype=np.float64)
            return pairs.reshape(-1, 2)[codes]

        if "mileage" in self.found.columns:
            pair = bounds("mileage")
            return pair[:, 0], pair[:, 1]
        low = bounds("mileage_km_min")[:, 0]
        high = bounds("mileage_km_max")[:, 1] if "mileage_km_max" in self.found.columns else low
        self.refuse(self._mileage_field, "mileage_bounds_reversed", low > high)
        return low, high

    @property
    def _mileage_field(self) -> str:
        return "mileage" if "mileage" in self.found.columns else "mileage_km_min"

    def check(self, table: pd.DataFrame, require_price: bool) -> None:
        """Validate with the Pandera schema and turn each failure case into a reason of its row."""
        import pandera.errors

        try:
            listing_schema(require_price).validate(table.reset_index(drop=True), lazy=True)
            return
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases
        broken = cases[cases["index"].isna()]
        if len(broken):  # a column of the wrong type is a bug of this module, not a fault of the file
            raise TypeError(f"the canonical table does not fit its schema: {broken.to_dict('records')}")
        for (name, check), group in cases.groupby(["column", "check"], sort=False):
            column = COLUMNS[str(name)]
            raw_field = self._mileage_field if column.raw == "mileage" else column.field
            mask = np.zeros(len(table), dtype=bool)
            mask[group["index"].to_numpy(dtype=np.int64)] = True
            for unreadable in {raw_field, column.name} & set(self.unreadable):
                mask &= ~self.unreadable[unreadable]
            code = "unknown_or_empty" if check == "not_nullable" else str(check).partition(":")[0]
            self.refuse(raw_field, code, mask)

    def parsed(self, table: pd.DataFrame) -> Parsed:
        counted = sorted(
            ((problem.sentence(), problem, mask) for problem, mask in self.reasons.items()),
            key=lambda reason: (-int(reason[2].sum()), reason[0]),
        )
        row_problems: dict[int, list[RowProblem]] = {}
        sentences: dict[int, str] = {}
        for sentence, problem, mask in counted:
            for row in np.flatnonzero(mask).tolist():
                row_problems.setdefault(row, []).append(problem)
                sentences[row] = f"{sentences[row]}; {sentence}" if row in sentences else sentence
        problems = np.full(len(table), None, dtype=object)
        problems[list(sentences)] = list(sentences.values())
        reasons = {sentence: int(mask.sum()) for sentence, _, mask in counted if mask.any()}
        return Parsed(table, pd.Series(problems, index=table.index, dtype=object), reasons, row_problems)
