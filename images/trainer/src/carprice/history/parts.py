"""The tables of a state, read in parts: a million listings are never in memory as a whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from carprice.history.columnar import Hashes, Mask, below, hashes_of_rows, rows_of

ROWS_AT_ONCE = 100_000


class InParts(Mapping[str, pa.Table]):
    """Tables that can be read in parts. Whoever asks for one by its name gets all of it, and none is kept."""

    @abstractmethod
    def parts(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a table, or some of its columns, in order; at least one part, which may be empty."""

    @abstractmethod
    def columns_of(self, name: str) -> list[str]:
        """The names of the columns of a table, in order."""

    @abstractmethod
    def length(self, name: str) -> int:
        """The number of rows of a table."""

    @abstractmethod
    def hashes(self, name: str, without: Sequence[str]) -> Hashes:
        """`hashes_of_rows` of a table, shape (rows,)."""


class Joined(InParts):
    """Tables of which some are stored: of each of these, rows that stay, and new ones below.

    `stays` tells by name which rows of the `stored` table stay, shape (rows,), and `new` has the rows below
    them, in the same columns. `held` are the other tables.
    """

    def __init__(
        self,
        stored: InParts,
        stays: Mapping[str, Mask],
        new: Mapping[str, pa.Table],
        held: Mapping[str, pa.Table],
    ) -> None:
        self._stored, self._stays, self._new, self._held = stored, stays, new, held

    def parts(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """See `InParts`."""
        if name in self._held:
            yield from parts_of(self._held, name, columns)
            return
        stays, start = self._stays[name], 0
        for part in self._stored.parts(name, columns):
            yield rows_of(part, stays[start : start + len(part)])
            start += len(part)
        yield self._new[name].select(self.columns_of(name) if columns is None else list(columns))

    def columns_of(self, name: str) -> list[str]:
        """See `InParts`."""
        held = self._held.get(name)
        return self._stored.columns_of(name) if held is None else list(held.column_names)

    def length(self, name: str) -> int:
        """See `InParts`."""
        if name in self._held:
            return len(self._held[name])
        return int(self._stays[name].sum()) + len(self._new[name])

    def hashes(self, name: str, without: Sequence[str]) -> Hashes:
        """See `InParts`."""
        if name in self._held:
            return row_hashes(self._held, name, without)
        stay = self._stored.hashes(name, without)[self._stays[name]]
        new = self._new[name].select(self.columns_of(name))
        return np.concatenate([stay, hashes_of_rows(new, without)])

    def __getitem__(self, name: str) -> pa.Table:
        held = self._held.get(name)
        if held is not None:
            return held
        return below(rows_of(self._stored[name], self._stays[name]), self._new[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def parts_of(
    tables: Mapping[str, pa.Table], name: str, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The rows of a table, or some of its columns, in order; at least one part, which may be empty."""
    if isinstance(tables, InParts):
        yield from tables.parts(name, columns)
        return
    table = tables[name] if columns is None else tables[name].select(list(columns))
    for start in range(0, max(len(table), 1), ROWS_AT_ONCE):
        yield table.slice(start, ROWS_AT_ONCE)


def columns_of(tables: Mapping[str, pa.Table], name: str) -> list[str]:
    """The names of the columns of a table, in order."""
    return tables.columns_of(name) if isinstance(tables, InParts) else list(tables[name].column_names)


def length_of(tables: Mapping[str, pa.Table], name: str) -> int:
    """The number of rows of a table."""
    return tables.length(name) if isinstance(tables, InParts) else len(tables[name])


def row_hashes(tables: Mapping[str, pa.Table], name: str, without: Sequence[str] = ()) -> Hashes:
    """`hashes_of_rows` of a table, shape (rows,)."""
    if isinstance(tables, InParts):
        return tables.hashes(name, without)
    return np.concatenate([hashes_of_rows(part, without) for part in parts_of(tables, name)])


def some_columns(tables: Mapping[str, pa.Table], name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a table."""
    if not isinstance(tables, InParts):
        return tables[name].select(list(columns))
    return pa.concat_tables(parts_of(tables, name, columns))


def some_rows(tables: Mapping[str, pa.Table], name: str, chosen: Mask) -> pa.Table:
    """The chosen rows of a table with n rows (`chosen` is of shape (n,)), in order."""
    if not isinstance(tables, InParts):
        return rows_of(tables[name], chosen)
    found, start = [], 0
    for part in tables.parts(name):
        found.append(rows_of(part, chosen[start : start + len(part)]))
        start += len(part)
    return pa.concat_tables(found)


def even_parts(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in parts of `ROWS_AT_ONCE`, of which the last may be shorter; at least one."""
    waiting = next(parts)
    for part in parts:
        if len(part):
            waiting = pa.concat_tables([waiting, part]) if len(waiting) else part
        while len(waiting) > ROWS_AT_ONCE:
            yield waiting.slice(0, ROWS_AT_ONCE)
            waiting = waiting.slice(ROWS_AT_ONCE)
    while len(waiting) > ROWS_AT_ONCE:
        yield waiting.slice(0, ROWS_AT_ONCE)
        waiting = waiting.slice(ROWS_AT_ONCE)
    yield waiting
