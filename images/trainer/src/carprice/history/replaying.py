"""The state after files, one after another: those that were accepted since, or all of them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from carprice.history.columnar import canonical_table, frame_of, repeated_texts, with_column
from carprice.history.numberings import WITH_CAR, given_ids, ids_with_car
from carprice.history.state import State, Terms, working_set
from carprice.history.working_set import Landed
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS

MOST_ROWS_AT_ONCE = 200_000
"""So many rows of files are added to a state at once, or one file that has more."""

Document = dict[str, Any]


def replay(
    state: State,
    files: Iterable[tuple[Document, pa.Table]],
    terms: Document,
    sides_before: pd.Series[Any] | None,
) -> State:
    """The state after `files`, on the terms of a manifest.

    A file is its entry in a manifest, and its accepted rows (`rows_in`). `sides_before` are the sides of the
    snapshot that the terms name in `sides_from`.
    """
    own = terms_of(terms)
    for batch in batches(files):
        landed = [_landed(entry, rows, with_car=entry.get("ids") == WITH_CAR["ids"]) for entry, rows in batch]
        found = working_set(state, landed, own, sides_before)
        for number in range(len(found)):
            found.add(number)
        state = State(found.tables())
    return state


def batches(
    files: Iterable[tuple[Document, pa.Table]],
) -> Iterator[list[tuple[Document, pa.Table]]]:
    """The files in parts that fit in memory together, in their order."""
    batch: list[tuple[Document, pa.Table]] = []
    rows = 0
    for file in files:
        if batch and rows + len(file[1]) > MOST_ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
        batch.append(file)
        rows += len(file[1])
    if batch:
        yield batch


def landed(entry: Document, rows: pa.Table) -> Landed:
    """A file of which it is to be found out whether its ids tell an ad without the car."""
    return _landed(entry, rows, with_car=None)


def _landed(entry: Document, rows: pa.Table, with_car: bool | None) -> Landed:
    return Landed(rows, datetime.fromisoformat(entry["received_at"]), with_car)


def terms_of(manifest: Document) -> Terms:
    """The terms of a manifest."""
    split = manifest["split"]
    return Terms(split["test_share"], split["seed"], {(one, other) for one, other in manifest["cuts"]})


def accepted_rows(root: DataRoot, entry: Document) -> pd.DataFrame:
    """The accepted rows of a file of a manifest, in canonical columns, with the ids that its entry says."""
    return frame_of(with_ids(rows_in(root, entry), entry))


def rows_in(root: DataRoot, entry: Document) -> pa.Table:
    """The accepted rows of a file (Arrow, canonical columns), with the ids that the file gives."""
    return canonical_table(root.read_table(f"{LISTINGS}/{entry['sha256']}.parquet", None, repeated_texts))


def with_ids(rows: pa.Table, entry: Document) -> pa.Table:
    """The accepted rows of a file with the ids that its entry in a manifest says."""
    if entry.get("ids") != WITH_CAR["ids"]:
        return rows
    ids = ids_with_car(rows, given_ids(rows.column("listing_id")))
    return with_column(rows, "listing_id", ids.to_numpy(zero_copy_only=False))


def seen_at(rows: pd.DataFrame, entry: Document) -> pd.Series[Any]:
    """When each of the rows was seen: a row without a time of its own when its file was received."""
    received = pd.Timestamp(entry["received_at"]).tz_convert("UTC").as_unit("us")
    return rows["scraped_at"].fillna(received)
