"""The tables of a snapshot as Parquet, and the id that tells their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.errors import UsageProblem
from carprice.history.columnar import frame_of, plain, repeated_texts, rows_of, typed
from carprice.history.contents import add_content
from carprice.history.parts import InParts, even_parts, parts_of, some_rows
from carprice.history.state import TABLES, TIMES, State
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import as_canonical
from carprice.store import DataRoot
from carprice_contract.data_root import RAW, snapshot_table


def snapshot_id_of(state: State, terms: Mapping[str, Any]) -> str:
    """The id of a snapshot: 12 hexadecimal digits of a SHA-256 of its tables and of `terms`, as JSON.

    It depends on what the tables say: neither on the release of the library that writes them, nor on when the
    files were received.
    """
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode())
    for name in TABLES:
        digest.update(f"{name} ".encode())
        add_content(digest, state.tables, name, without=TIMES)
    return digest.hexdigest()[:12]


def write_tables(root: DataRoot, snapshot_id: str, tables: Mapping[str, pa.Table]) -> None:
    """Write tables of a snapshot, in row groups of `parts.ROWS_AT_ONCE`."""
    for name in tables:
        parts = even_parts(parts_of(tables, name))
        root.write_table(snapshot_table(snapshot_id, name), (plain(part) for part in parts))


def reference_of(state: State, terms: Mapping[str, Any]) -> pa.Table:
    """The reference sample of a state, on the terms of a manifest."""
    terms_of_it = terms["reference"]
    places = pd.Series(np.arange(len(state)))
    drawn = places.sample(min(len(places), terms_of_it["rows"]), random_state=terms_of_it["seed"])
    chosen = np.zeros(len(places), dtype=bool)
    chosen[drawn.to_numpy()] = True
    return some_rows(state.tables, "listings", chosen)


def read_tables(root: DataRoot, manifest: Mapping[str, Any]) -> State:
    """The tables of a snapshot, each read when it is asked for. Raises what `read_table` raises."""
    for name in TABLES:
        with _there(manifest, name):
            root.info(snapshot_table(manifest["id"], name))
    return State(Stored(root, manifest))


def read_table(
    root: DataRoot, manifest: Mapping[str, Any], table: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """A table of a snapshot, or some of its columns.

    Raises `UsageProblem` where it was deleted, and `FileNotFoundError` where an earlier release, which wrote
    no tables, made the snapshot.
    """
    with _there(manifest, table):
        return typed(root.read_table(snapshot_table(manifest["id"], table), columns, repeated_texts))


def read_parts(
    root: DataRoot, manifest: Mapping[str, Any], table: str, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Some columns of a table in parts, as it was written. Raises what `read_table` raises."""
    with _there(manifest, table):
        for part in root.table_parts(snapshot_table(manifest["id"], table), columns, repeated_texts):
            yield typed(part)


def read_rows(
    root: DataRoot,
    manifest: Mapping[str, Any],
    table: str,
    chosen: npt.NDArray[np.bool_],
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The chosen rows of a table with n rows (`chosen` is of shape (n,)), in memory for these alone.

    Raises what `read_table` raises.
    """
    found, start = [], 0
    with _there(manifest, table):
        for part in root.table_parts(snapshot_table(manifest["id"], table), columns, repeated_texts):
            found.append(rows_of(part, chosen[start : start + len(part)]))
            start += len(part)
    return typed(pa.concat_tables(found))


def canonical(table: pa.Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table of listings as pandas in canonical columns, or those that it was read with."""
    frame = frame_of(table)
    complete = columns is not None or list(frame) == list(COLUMNS)
    return frame if complete else as_canonical(frame)


class Stored(InParts):
    """The tables of a snapshot; none is kept, because a million listings take 300 MB in memory."""

    def __init__(self, root: DataRoot, manifest: Mapping[str, Any]) -> None:
        self._root, self._manifest = root, manifest
        self._fetched: tuple[str, bytes | None] = ("", None)
        self._columns: dict[str, list[str]] = {}

    def parts(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """See `InParts`. Raises what `read_table` raises."""
        table = snapshot_table(self._manifest["id"], name)
        with _there(self._manifest, name):
            for part in self._root.table_parts(table, columns, repeated_texts, self._content(table)):
                yield typed(part)

    def columns_of(self, name: str) -> list[str]:
        """See `InParts`. Raises what `read_table` raises."""
        if name not in self._columns:
            self._columns[name] = list(next(self.parts(name)).column_names)
        return self._columns[name]

    def length(self, name: str) -> int:
        """See `InParts`. Raises what `read_table` raises."""
        return sum(len(part) for part in self.parts(name, self.columns_of(name)[:1]))

    def _content(self, table: str) -> bytes | None:
        """The bytes of a table in an object store, which is read column by column; None for a local file."""
        if self._root.is_local:
            return None
        if self._fetched[0] != table:
            self._fetched = (table, self._root.read_bytes(table))
        return self._fetched[1]

    def __getitem__(self, name: str) -> pa.Table:
        return read_table(self._root, self._manifest, name)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)


@contextmanager
def _there(manifest: Mapping[str, Any], table: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if "rules" not in manifest:
            raise
        raise UsageProblem(
            f"The table {table} of snapshot {manifest['id']} was expected, found none; "
            f"`bin/carprice rebuild {manifest['id']}` writes it again from the files in {RAW}/."
        ) from error
