"""The tables of a snapshot as Parquet, and the id that tells their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from carprice.errors import UsageProblem
from carprice.history.state import TABLES, TIMES, State, as_written
from carprice.store import DataRoot
from carprice_contract.data_root import RAW, snapshot_table


def snapshot_id_of(state: State, terms: Mapping[str, Any]) -> str:
    """The id of a snapshot: 12 hexadecimal digits of a SHA-256 of its tables and of `terms`, as JSON.

    It depends on what the tables say: neither on the release of the library that writes them, nor on when the
    files were received.
    """
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode())
    for name, table in state.tables().items():
        digest.update(f"{name} ".encode())
        _add(digest, table)
    return digest.hexdigest()[:12]


def content_of(rows: pd.DataFrame) -> str:
    """12 hexadecimal digits that tell whether two tables of rows (canonical columns) say the same."""
    digest = hashlib.sha256()
    _add(digest, rows)
    return digest.hexdigest()[:12]


def write_tables(root: DataRoot, snapshot_id: str, state: State) -> None:
    """Write the tables of a snapshot."""
    for name, table in state.tables().items():
        root.write_parquet(snapshot_table(snapshot_id, name), table)


def reference_of(state: State, terms: Mapping[str, Any]) -> pd.DataFrame:
    """The reference sample of a state, on the terms of a manifest."""
    chosen = terms["reference"]
    rows = min(len(state.listings), chosen["rows"])
    return state.listings.sample(rows, random_state=chosen["seed"]).sort_index()


def read_tables(root: DataRoot, manifest: Mapping[str, Any]) -> State:
    """The tables of a snapshot. Raises what `read_table` raises."""
    return as_written({name: read_table(root, manifest, name) for name in TABLES})


def read_table(root: DataRoot, manifest: Mapping[str, Any], table: str) -> pd.DataFrame:
    """A table of a snapshot.

    Raises `UsageProblem` where it was deleted, and `FileNotFoundError` where an earlier release, which wrote
    no tables, made the snapshot.
    """
    try:
        return root.read_parquet(snapshot_table(manifest["id"], table))
    except FileNotFoundError as error:
        if "rules" not in manifest:
            raise
        raise UsageProblem(
            f"The table {table} of snapshot {manifest['id']} was expected, found none; "
            f"`bin/carprice rebuild {manifest['id']}` writes it again from the files in {RAW}/."
        ) from error


def _add(digest: hashlib._Hash, table: pd.DataFrame) -> None:
    digest.update(f"{len(table)} {' '.join(table.columns)}\n".encode())
    for column in table.columns.drop(TIMES, errors="ignore"):
        hashes = pd.util.hash_pandas_object(table[column], index=False).to_numpy()
        digest.update(hashes.astype("<u8", copy=False).tobytes())
