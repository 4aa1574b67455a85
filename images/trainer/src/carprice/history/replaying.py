"""The state after files, one after another: those that were accepted since, or all of them again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd

from carprice.history.numberings import WITH_CAR, told_with_car
from carprice.history.state import State, Terms, with_file
from carprice.listings.tables import as_canonical
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS

Document = dict[str, Any]


def replay(
    state: State,
    files: Iterable[tuple[Document, pd.DataFrame]],
    terms: Document,
    sides_before: pd.Series[Any] | None,
) -> State:
    """The state after `files`, on the terms of a manifest.

    A file is its entry in a manifest, and its accepted rows in canonical columns. `sides_before` are the
    sides of the snapshot that the terms name in `sides_from`.
    """
    own = terms_of(terms)
    for entry, rows in files:
        received_at = datetime.fromisoformat(entry["received_at"])
        state = with_file(state, rows, received_at, own, sides_before)
    return state


def terms_of(manifest: Document) -> Terms:
    """The terms of a manifest."""
    split = manifest["split"]
    return Terms(split["test_share"], split["seed"], {(one, other) for one, other in manifest["cuts"]})


def accepted_rows(root: DataRoot, entry: Document) -> pd.DataFrame:
    """The accepted rows of a file of a manifest, in canonical columns, with the ids that its entry says."""
    return with_ids(as_canonical(root.read_parquet(f"{LISTINGS}/{entry['sha256']}.parquet")), entry)


def with_ids(rows: pd.DataFrame, entry: Document) -> pd.DataFrame:
    """The accepted rows of a file with the ids that its entry in a manifest says."""
    return told_with_car(rows) if entry.get("ids") == WITH_CAR["ids"] else rows


def seen_at(rows: pd.DataFrame, entry: Document) -> pd.Series[Any]:
    """When each of the rows was seen: a row without a time of its own when its file was received."""
    received = pd.Timestamp(entry["received_at"]).tz_convert("UTC").as_unit("us")
    return rows["scraped_at"].fillna(received)
