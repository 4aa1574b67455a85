"""Reading a raw table into the canonical columns, and what becomes of each of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.columns import Recognised, recognise, refusal_of
from carprice.listings.identity import listing_ids
from carprice.listings.parsed import Parsed
from carprice.listings.problems import RowProblem
from carprice.listings.row_reader import RowReader, Values, empty_column
from carprice.listings.schema import COLUMNS, listing_schema
from carprice.listings.vocabulary import Vocabulary, shipped_vocabulary


def as_canonical(table: pd.DataFrame) -> pd.DataFrame:
    """The canonical columns of a table that holds any of them, in order and typed as `Column` says.

    Parquet and the readers of other tools change `None` and strings; this restores them.
    """
    out: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if name not in table:
            values: Values = empty_column(column.kind, len(table))
        elif column.kind == "text":
            series = table[name].astype(object)
            values = series.where(series.notna(), None).to_numpy(dtype=object)
        elif column.kind == "time":
            values = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]").array
        else:
            values = pd.to_numeric(table[name]).to_numpy(dtype=np.float64)
        out[name] = values
    return _frame(out, table.index)


def parse(
    raw: pd.DataFrame,
    require_price: bool,
    faults: Mapping[int, RowProblem] | None = None,
    found: Recognised | None = None,
    shared: npt.NDArray[np.uint64] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Parsed:
    """Read a raw table (n rows of str under any known headers) into canonical columns.

    A row needs a make, a model and a model year. With `require_price` it needs a price, too. A value of any
    other column that can't be read is unknown; it refuses no row. `faults` are problems that are already
    known, by row position (as `RawFile.faults`); such a row gets no other. `found` is what the columns are,
    where `raw` is a part of a file for which that has been decided. `shared` are the ids that tell no ad, as
    `listing_ids` takes them. `vocabulary` are the makes and models that titles are read by, by default those
    that ship. Raises `DataRefused` when a required column is missing.
    """
    if found is None:
        found = recognise(raw, require_price)
        refusal = refusal_of(found, list(raw.columns))
        if refusal is not None:
            raise refusal
    rows = RowReader(raw, found, faults or {}, require_price, vocabulary or shipped_vocabulary())
    canonical: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if column.raw == "mileage":
            continue
        if name == "source_sha256" or name not in found.columns:
            canonical[name] = empty_column(column.kind, len(raw))
        else:
            canonical[name] = rows.read(name, column.kind)
    canonical["mileage_km_min"], canonical["mileage_km_max"] = rows.mileage()
    rows.set_aside_moved_cells(canonical)
    rows.fill_from_shared_columns(canonical)
    rows.take_current_prices(canonical)
    rows.refuse_other_currencies(canonical)
    rows.put_aside_sold_cars(canonical)
    rows.put_aside_prices_of_no_car(canonical)
    nameless = rows.give_names_one_spelling(canonical)
    rows.fill_from_titles(canonical)
    rows.refuse_nameless(canonical, nameless)
    rows.require(canonical)
    canonical["listing_id"] = listing_ids(canonical, shared)
    parsed = rows.parsed(_frame(canonical, raw.index))
    good = parsed.good.to_numpy()
    listing_schema(require_price).validate(parsed.listings[good], lazy=True)
    return parsed


def _frame(values: Mapping[str, Values], index: pd.Index[Any]) -> pd.DataFrame:
    # pandas would turn an object array of strings into its own string type
    columns = {
        name: pd.Series(values[name], index=index, dtype=object if column.kind == "text" else None)
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index)
