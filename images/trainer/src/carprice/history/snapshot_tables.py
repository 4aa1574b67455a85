"""The tables of a snapshot as Parquet, and the id that tells their content."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.errors import UsageProblem
from carprice.history.columnar import (
    Hashes,
    Mask,
    frame_of,
    hashes_of_rows,
    plain,
    repeated_texts,
    repeated_values,
    rows_of,
    typed,
)
from carprice.history.parts import InParts, columns_of, even_parts, parts_of, row_hashes, some_rows
from carprice.history.state import TABLES, TIMES, State
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import as_canonical
from carprice.store import DataRoot
from carprice_contract.data_root import RAW, snapshot_table

log = logging.getLogger(__name__)

_HASH = "hash"

KEPT_HASHES = ("sightings", "listings")
"""The tables whose rows' hashes are kept with a snapshot: the next one has most of these rows again."""


def content_hashes(state: State) -> dict[str, Hashes]:
    """A hash of what each row of each table says, by the name of the table; not of when it was seen."""
    return {name: row_hashes(state.tables, name, TIMES) for name in TABLES}


def snapshot_id_of(state: State, terms: Mapping[str, Any], hashes: Mapping[str, Hashes] | None = None) -> str:
    """The id of a snapshot: 12 hexadecimal digits of a SHA-256 of its tables and of `terms`, as JSON.

    It depends on what the tables say: neither on the release of the library that writes them, nor on when the
    files were received. `hashes` are `content_hashes`, where the caller has them already.
    """
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode())
    for name, found in (content_hashes(state) if hashes is None else hashes).items():
        digest.update(f"{name} {len(found)} {' '.join(columns_of(state.tables, name))}\n".encode())
        digest.update(found.astype("<u8", copy=False).tobytes())
    return digest.hexdigest()[:12]


def write_hashes(root: DataRoot, snapshot_id: str, hashes: Mapping[str, Hashes]) -> None:
    """Keep those of `content_hashes` that the next snapshot needs."""
    for name in KEPT_HASHES:
        root.write_table(_hashes_table(snapshot_id, name), [pa.table({_HASH: hashes[name].view(np.int64)})])


def write_tables(root: DataRoot, snapshot_id: str, tables: Mapping[str, pa.Table]) -> None:
    """Write tables of a snapshot, in row groups of `parts.ROWS_AT_ONCE`."""
    for name in tables:
        _write(root, snapshot_id, name, even_parts(parts_of(tables, name)))


def write_state(root: DataRoot, snapshot_id: str, state: State, terms: Mapping[str, Any]) -> None:
    """Write the tables of a state, and its reference sample, on the terms of a manifest.

    The sample is taken from the listings while they are written, which saves reading all of them again.
    """
    for name in TABLES:
        parts = even_parts(parts_of(state.tables, name))
        if name != "listings":
            _write(root, snapshot_id, name, parts)
            continue
        found: list[pa.Table] = []
        _write(root, snapshot_id, name, _taking(parts, _drawn(state, terms), found))
        write_tables(root, snapshot_id, {"reference": pa.concat_tables(found)})


def reference_of(state: State, terms: Mapping[str, Any]) -> pa.Table:
    """The reference sample of a state, on the terms of a manifest."""
    return some_rows(state.tables, "listings", _drawn(state, terms))


def _drawn(state: State, terms: Mapping[str, Any]) -> Mask:
    """Which of n listings are in the reference sample, shape (n,)."""
    terms_of_it = terms["reference"]
    places = pd.Series(np.arange(len(state)))
    drawn = places.sample(min(len(places), terms_of_it["rows"]), random_state=terms_of_it["seed"])
    chosen = np.zeros(len(places), dtype=bool)
    chosen[drawn.to_numpy()] = True
    return chosen


def _taking(parts: Iterator[pa.Table], chosen: Mask, found: list[pa.Table]) -> Iterator[pa.Table]:
    """The same parts; their chosen rows are added to `found`."""
    start = 0
    for part in parts:
        found.append(rows_of(part, chosen[start : start + len(part)]))
        start += len(part)
        yield part


def _write(root: DataRoot, snapshot_id: str, name: str, parts: Iterator[pa.Table]) -> None:
    root.write_table(snapshot_table(snapshot_id, name), (plain(part) for part in parts), repeated_values)


def _hashes_table(snapshot_id: str, name: str) -> str:
    return snapshot_table(snapshot_id, f"{name}.hashes")


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
                if columns is None:
                    self._columns[name] = list(part.column_names)
                yield typed(part)

    def columns_of(self, name: str) -> list[str]:
        """See `InParts`. Raises what `read_table` raises."""
        if name not in self._columns:
            self._columns[name] = list(next(self.parts(name)).column_names)
        return self._columns[name]

    def length(self, name: str) -> int:
        """See `InParts`. Raises what `read_table` raises."""
        return sum(len(part) for part in self.parts(name, self.columns_of(name)[:1]))

    def hashes(self, name: str, without: Sequence[str]) -> Hashes:
        """See `InParts`; those that were kept, where they were. Raises what `read_table` raises."""
        if name in KEPT_HASHES and list(without) == TIMES:
            kept = self._kept_hashes(name)
            if kept is not None:
                return kept
            log.info("the hashes of the table %s were not kept, and are made again", name)
        return np.concatenate([hashes_of_rows(part, without) for part in self.parts(name)])

    def _kept_hashes(self, name: str) -> Hashes | None:
        """The hashes that were kept of a table's rows; None where they are gone, or not of these rows."""
        try:
            table = self._root.read_table(_hashes_table(self._manifest["id"], name), [_HASH])
        except (FileNotFoundError, pa.ArrowInvalid, KeyError):
            return None
        if len(table) != self.length(name):
            return None
        found: Hashes = table.column(_HASH).to_numpy().view(np.uint64)
        return found

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
