"""Tables of a history as Arrow: texts that repeat are kept once, so that a million listings fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carprice.listings.folding import words_of
from carprice.listings.schema import COLUMNS

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_OWN_TEXTS = ("listing_id", "url", "new", "known", "group", "name")
"""Texts that hardly repeat: a dictionary of them would be as long as the table."""

_FLAGS = frozenset(name for name, column in COLUMNS.items() if column.kind == "flag")
"""Columns whose values are 1, 0 or unknown: a byte each in memory, and doubles in a file."""

_MOST_CHUNKS = 32
_NO_TEXT = np.uint64(np.iinfo(np.uint64).max)
_REPEATED = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", "UTC")


def arrow_of(table: pd.DataFrame) -> pa.Table:
    """A table of texts (object), numbers (float64) and times (UTC) as Arrow; unknown values are null."""
    return pa.table({name: _array(name, table[name]) for name in table.columns})


def frame_of(
    table: pa.Table, columns: Sequence[str] | None = None, chosen: Mask | None = None, short: bool = False
) -> pd.DataFrame:
    """A table, or some of its columns and rows, as pandas: texts are object, numbers float64, times UTC.

    A text that repeats is one object. Where it is `short`, flags are float32.
    """
    names = list(table.column_names if columns is None else columns)
    rows = None if chosen is None or chosen.all() else pa.array(chosen)
    series = {}
    for name in names:
        column = table.column(name) if rows is None else table.column(name).filter(rows)
        values = _series(column)
        series[name] = values.astype(np.float32) if short and name in _FLAGS else values
    length = len(table) if rows is None else int(chosen.sum())  # type: ignore[union-attr]
    return pd.DataFrame(series, index=pd.RangeIndex(length), columns=names, copy=False)


def typed(table: pa.Table) -> pa.Table:
    """A table as `arrow_of` makes it, from one that was read from a file of any release."""
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        wanted = _type_of(name, column.type)
        columns[name] = column if column.type.equals(wanted) else column.cast(wanted)
    return pa.table(columns)


def canonical_table(table: pa.Table) -> pa.Table:
    """The canonical columns of a table that was read from a file, in order; a missing one is unknown."""
    columns = {}
    for name in COLUMNS:
        wanted = _type_of(name, pa.null())
        there = name in table.column_names and not pa.types.is_null(table.column(name).type)
        if not there:
            columns[name] = pa.chunked_array([pa.nulls(len(table), wanted)])
            continue
        column = table.column(name)
        if pa.types.is_floating(column.type):
            # what is not a number is not known
            column = pc.if_else(pc.is_nan(column), None, column)
        columns[name] = column if column.type.equals(wanted) else column.cast(wanted, safe=False)
    return pa.table(columns)


def plain(table: pa.Table) -> pa.Table:
    """A table whose texts are texts, as they are written: other engines need no type of Arrow's own."""
    columns = [
        column.cast(pa.string())
        if pa.types.is_dictionary(column.type)
        else column.cast(pa.float64())
        if pa.types.is_integer(column.type)
        else column
        for column in table.itercolumns()
    ]
    return pa.table(columns, names=table.column_names)


def repeated_texts(names: Iterable[str]) -> list[str]:
    """Those of the columns that Parquet should give as dictionaries."""
    return [name for name in names if name not in _OWN_TEXTS and COLUMNS.get(name, _TEXT).kind == "text"]


def repeated_values(names: Iterable[str]) -> list[str]:
    """Those of the columns that Parquet should write as dictionaries."""
    return [name for name in names if name not in _OWN_TEXTS]


def below(first: pa.Table, second: pa.Table) -> pa.Table:
    """The rows of both tables, which have the same columns."""
    if not len(second):
        return first
    if not len(first):
        return second.select(first.column_names)
    joined = pa.concat_tables([first, second.select(first.column_names)]).unify_dictionaries()
    return joined.combine_chunks() if joined.column(0).num_chunks > _MOST_CHUNKS else joined


def hashes_of_rows(table: pa.Table, without: Sequence[str] = ()) -> Hashes:
    """One number for what each row says, except for some columns, shape (n,)."""
    names = [name for name in table.column_names if name not in without]
    return mixed([np.zeros(len(table), dtype=np.uint64), *(hashes_of(table, name) for name in names)])


def is_among(column: pa.ChunkedArray, texts: pa.Array) -> Mask:
    """Which rows of a column of texts, n of them, have one of the texts, shape (n,)."""
    if not len(texts):
        return np.zeros(len(column), dtype=bool)
    return _numpy(pc.is_in(column, value_set=texts)).astype(bool)


def places_of(column: pa.ChunkedArray, texts: npt.NDArray[np.object_] | pa.Array) -> npt.NDArray[np.int64]:
    """The place of each text of a column among distinct texts, shape (n,); -1 where it is none of them."""
    among = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    found = pc.index_in(column.cast(pa.string()), value_set=among)
    return _numpy(found.fill_null(-1)).astype(np.int64)


def numbers_in(
    columns: Sequence[pa.ChunkedArray | pa.Array],
) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.object_]]:
    """Columns of texts as numbers, and the distinct texts of all of them, each in the place of its number."""
    chunks = [
        chunk.cast(pa.string())
        for column in columns
        for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])
    ]
    # as one chunk, because making one dictionary of several takes longer than all the rest
    together = pa.concat_arrays([pa.array([], pa.string()), *chunks])
    codes, texts = _codes(pa.chunked_array([together.dictionary_encode()]))
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1]), texts


def with_column(table: pa.Table, name: str, texts: npt.NDArray[np.object_]) -> pa.Table:
    """A table with other texts in a column."""
    return table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))


def with_times(
    table: pa.Table, first_seen_at: npt.NDArray[np.int64], last_seen_at: npt.NDArray[np.int64]
) -> pa.Table:
    """A table with two columns of times, in microseconds since 1970."""
    for name, times in {"first_seen_at": first_seen_at, "last_seen_at": last_seen_at}.items():
        table = table.append_column(name, pa.array(times).cast(_TIME))
    return table


def microseconds(time: datetime) -> int:
    """A time with a zone, since 1970."""
    naive = pd.Timestamp(time).tz_convert("UTC").tz_localize(None)
    return int(naive.to_datetime64().astype("datetime64[us]").astype(np.int64))


def rows_of(table: pa.Table, chosen: Mask) -> pa.Table:
    """The chosen rows; the table itself where all of them are chosen."""
    return table if chosen.all() else table.filter(pa.array(chosen))


def families(table: pa.Table) -> Hashes:
    """A number for the make and the model of each row, shape (n,): spelling makes no difference."""
    make, model = (_folded(table.column(name)) for name in ("make", "model"))
    return (make * np.uint64(0x9E3779B97F4A7C15)) ^ model


def is_one_of(hashes: Hashes, wanted: Hashes) -> Mask:
    """Which of n numbers are wanted, shape (n,)."""
    found: Mask = pd.Series(hashes).isin(wanted).to_numpy()
    return found


class _Text:
    kind = "text"


_TEXT: Any = _Text


def _array(name: str, values: pd.Series[Any]) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.array(values, _TIME, from_pandas=True)
    if name in _FLAGS:
        return pa.array(values.to_numpy(dtype=np.float64), pa.float64(), from_pandas=True).cast(pa.int8())
    if values.dtype == np.float64:
        return pa.array(values.to_numpy(), pa.float64(), from_pandas=True)
    texts = pa.array(values.to_numpy(dtype=object), pa.string(), from_pandas=True)
    return texts if name in _OWN_TEXTS else texts.dictionary_encode()


def _type_of(name: str, found: pa.DataType) -> pa.DataType:
    column = COLUMNS.get(name)
    if pa.types.is_timestamp(found) or (column is not None and column.kind == "time"):
        return _TIME
    if name in _FLAGS:
        return pa.int8()
    if pa.types.is_floating(found) or (column is not None and column.kind == "number"):
        return pa.float64()
    return pa.string() if name in _OWN_TEXTS else _REPEATED


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    if pa.types.is_timestamp(column.type):
        times: pd.Series[Any] = column.to_pandas().astype("datetime64[us, UTC]")
        return times
    if pa.types.is_dictionary(column.type):
        codes, values = _codes(column)
        return pd.Series(np.append(values, np.array([None], dtype=object))[codes], dtype=object)
    values = column.to_numpy()
    return pd.Series(values, dtype=object if pa.types.is_string(column.type) else np.float64)


def texts_of(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]] | None:
    """The code of each text of a column (n rows; -1: unknown), and the texts by code; None if it has none."""
    if pa.types.is_dictionary(column.type):
        return _codes(column)
    if not pa.types.is_string(column.type):
        return None
    values = column.to_numpy()
    known = np.asarray(column.is_valid())
    codes = np.where(known, np.cumsum(known) - 1, -1)
    return codes.astype(np.int64), values[known].astype(object)


def numbers_of(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers or flags, shape (n,); NaN where it says nothing."""
    column = table.column(name)
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
    found: npt.NDArray[np.float64] = column.to_numpy()
    return found.astype(np.float64, copy=False)


def mixed(columns: Sequence[npt.NDArray[Any]]) -> Hashes:
    """One number of 64 bits for each row of several columns of integers."""
    keys = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        keys = (keys ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def numbered(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """A number from 0 for each distinct value; -1 for what is not known."""
    return pd.factorize(values, use_na_sentinel=True)[0].astype(np.int64)


def codes_of(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A number for each value of a column, shape (n,): spelling makes no difference, -1 is not known."""
    texts = texts_of(table.column(name))
    if texts is None:
        return numbered(numbers_of(table, name))
    codes, distinct = texts
    # "GOLF 7" and "Golf 7" are one model, "Diesel" and "diesel" one fuel
    folded = numbered(np.array([" ".join(words_of(str(text))) for text in distinct], dtype=object))
    return np.append(folded, -1)[codes]


def hashes_of(table: pa.Table, name: str) -> Hashes:
    """The hash of each value of a column, as `pd.util.hash_pandas_object` has it, shape (n,)."""
    column = table.column(name)
    if pa.types.is_int8(column.type):
        known = np.asarray(column.is_valid())
        return _hashes_of_bytes()[np.where(known, _numpy(column.fill_null(0)) + np.int64(128), 256)]
    texts = texts_of(column)
    if texts is None:
        values = frame_of(table, [name])[name]
        hashed: Hashes = np.asarray(pd.util.hash_pandas_object(values, index=False))
        return hashed
    codes, distinct = texts
    return np.append(pd.util.hash_array(distinct, categorize=False), _NO_TEXT)[codes]


@lru_cache(maxsize=1)
def _hashes_of_bytes() -> Hashes:
    """The hashes of the numbers from -128 to 127, and of one that is not known."""
    numbers = pd.Series(np.append(np.arange(-128.0, 128.0), np.nan))
    hashed: Hashes = np.asarray(pd.util.hash_pandas_object(numbers, index=False))
    return hashed


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """The codes (-1: unknown) and the values of a column of repeated texts."""
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=object)
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    values = column.chunk(0).dictionary.to_numpy(zero_copy_only=False)
    return np.concatenate(codes).astype(np.int64), values.astype(object)


def _folded(column: pa.ChunkedArray) -> Hashes:
    codes, values = _codes(column)
    hashes = np.array([_hash(text) for text in values] + [_hash("")], dtype=np.uint64)
    return hashes[codes]


@lru_cache(maxsize=100_000)
def _hash(text: str) -> int:
    folded = np.array([" ".join(words_of(text))], dtype=object)
    return int(pd.util.hash_array(folded, categorize=False)[0])


def _numpy(values: pa.ChunkedArray | pa.Array) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = (
        values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)
    )
    return found
