"""The files of a market: written as a whole, the pointer to the newest one last."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from carprice.errors import NoJson
from carprice.store import DataRoot
from carprice_contract import formats
from carprice_contract.data_root import (
    LATEST_MARKET,
    MARKET,
    market_manifest,
    market_table,
)

log = logging.getLogger(__name__)

KEPT = 2
"""The newest markets that stay, so that a reader of the one before can finish."""

RULES = 1
"""Whoever changes the code so that the same snapshot and model give another market raises this number."""

_ROWS_AT_ONCE = 100_000


def market_id(snapshot_id: str, version: str, params: Mapping[str, Any]) -> str:
    """The id of a market: 12 hexadecimal digits of a SHA-256 of what decides about it."""
    terms = {"snapshot": snapshot_id, "version": version, "params": params, "rules": RULES}
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:12]


def latest(root: DataRoot) -> dict[str, Any] | None:
    """The manifest of the newest market; None where there is none, or it can't be read."""
    try:
        found = root.read_json(LATEST_MARKET)
        return root.read_record(market_manifest(str(found["id"])), formats.MARKET)
    except FileNotFoundError:
        return None
    except (NoJson, KeyError, TypeError) as problem:
        log.warning("the newest market can't be read and is made again: %s", problem)
        return None


def write(root: DataRoot, manifest: Mapping[str, Any], offers: pa.Table, level: pa.Table) -> None:
    """Write a market: its tables, its manifest, the pointer to it; then delete all but the newest ones."""
    made = str(manifest["id"])
    root.write_table(market_table(made, "level"), iter([level]))
    root.write_table(market_table(made, "offers"), _parts(offers))
    root.write_json(market_manifest(made), {formats.FORMAT: formats.MARKET, **manifest})
    before = latest(root)
    root.write_json(LATEST_MARKET, {"id": made, "made_at": manifest["made_at"]})
    kept = {made, *([] if before is None else [str(before["id"])])}
    others = [name for name in root.folders(MARKET) if name not in kept]
    if len(kept) < KEPT:
        others = others[: len(others) - (KEPT - len(kept))]
    for name in others:
        root.remove(f"{MARKET}/{name}")


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, max(len(table), 1), _ROWS_AT_ONCE):
        yield table.slice(start, _ROWS_AT_ONCE)
