"""A market is made: the offers of a snapshot, rated by a model, with the level of the market."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carprice.market import before, files, labels, watches
from carprice.market.level import level_table
from carprice.market.offers import ON_OFFER
from carprice.market.rating import Rater, rate
from carprice.params import MarketParams
from carprice.store import DataRoot


def make(
    root: DataRoot, manifest: dict[str, Any], rater: Rater, run_id: str, now: datetime | None = None
) -> tuple[dict[str, Any], pa.Table]:
    """Rate the listings of a snapshot and write the market; returns its manifest and its offers.

    Made again of the same snapshot, model and settings, it is the same market of another time: prices stay,
    but more of the offers may be gone.
    """
    made_at = (now or datetime.now(UTC)).replace(microsecond=0)
    earlier = before.read(root)
    offers = rate(root, manifest, rater, earlier, made_at)
    made_of = {"snapshot_id": str(manifest["id"]), "model_version": rater.version, "run_id": run_id}
    document = manifest_of(made_of, rater.params, offers, made_at)
    watches.tell(root, offers, earlier, made_at)
    files.write(root, document, offers, level_table(rater.pipeline))
    return document, offers


def manifest_of(
    made_of: dict[str, str], params: MarketParams, offers: pa.Table, made_at: datetime
) -> dict[str, Any]:
    """The manifest of a market of these offers; `made_of` has `snapshot_id`, `model_version` and `run_id`."""
    on_offer = offers.filter(pc.equal(offers.column("status"), ON_OFFER))
    newest = pc.max(offers.column("last_seen_at")).as_py() if len(offers) else None
    return {
        "id": files.market_id(made_of["snapshot_id"], made_of["model_version"], params.model_dump()),
        **made_of,
        "made_at": _text(made_at),
        "newest_seen_at": None if newest is None else _text(newest),
        "offers": len(offers),
        "on_offer": len(on_offer),
        "gone": len(offers) - len(on_offer),
        "labels": _counts(on_offer, "label", (*labels.LABELS, labels.NOT_RATED)),
        "not_rated": _counts(on_offer, "not_rated", labels.REASONS),
    }


def _counts(offers: pa.Table, column: str, names: tuple[str, ...]) -> dict[str, int]:
    """How many offers have each name."""
    values = offers.column(column).combine_chunks().dictionary_encode()
    codes = values.indices.fill_null(len(values.dictionary)).to_numpy(zero_copy_only=False)
    counted = np.bincount(codes, minlength=len(values.dictionary) + 1)
    found = dict(zip(values.dictionary.to_pylist(), counted.tolist(), strict=False))
    return {name: found.get(name, 0) for name in names}


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
