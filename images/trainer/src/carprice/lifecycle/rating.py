"""What listings are rated with: the version in production, and what it says of those that it learned."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import pandas as pd

from carprice.errors import NothingToDo, UsageProblem
from carprice.history import snapshots
from carprice.history.linking import aliases
from carprice.history.seen import dated
from carprice.lifecycle.left_out import FILE, FOLDER
from carprice.lifecycle.registry import MODEL, PRODUCTION, Registry
from carprice.lifecycle.training import learned_listings
from carprice.market.rating import LeftOut, Rater
from carprice.model.features import features_of
from carprice.params import MarketParams
from carprice.store import DataRoot


def rater(
    root: DataRoot, registry: Registry, params: MarketParams, manifest: dict[str, Any]
) -> tuple[Rater, Any]:
    """What rates the listings of the snapshot of `manifest`, and the run of the version in production.

    Raises `NothingToDo` where no version is in production, or where nobody knows what it learned.
    """
    version = registry.require(PRODUCTION)
    run = registry.get_run(str(version.run_id))
    pipeline = registry.load(f"models:/{MODEL}/{version.version}")
    said = _table(registry, run.info.run_id)
    if said is None:
        said = _of_earlier_release(root, run, pipeline, str(version.version))
    return Rater(pipeline, str(version.version), _by_ids_of(root, manifest, said), params), run


def _table(registry: Registry, run_id: str) -> pd.DataFrame | None:
    """What a run left out, None where an earlier release trained it."""
    from mlflow.artifacts import download_artifacts

    with registry.answering():
        there = {entry.path for entry in registry.client.list_artifacts(run_id, FOLDER)}
        if f"{FOLDER}/{FILE}" not in there:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = download_artifacts(run_id=run_id, artifact_path=f"{FOLDER}/{FILE}", dst_path=folder)
            return pd.read_parquet(path, columns=["listing_id", "expected_mad", "scale"])


def _of_earlier_release(root: DataRoot, run: Any, pipeline: Any, version: str) -> pd.DataFrame:
    """The same of a model that keeps expected prices alone, in the order of the listings that it learned."""
    expected = getattr(pipeline.named_steps["price"], "expected_mad_", np.zeros(0))
    try:
        listings = learned_listings(root, run)
    except UsageProblem:
        listings = pd.DataFrame()
    if len(listings) != len(expected) or not len(expected):
        raise NothingToDo(
            f"the listings that version {version} learned were expected, found that an earlier release "
            "trained it and its snapshot is gone; they are rated once another version is in production"
        )
    own = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    rows = pipeline.named_steps["features"].transform(features_of(dated(own, listings)))
    scale = pipeline.named_steps["price"].distribution(rows)[1]
    return pd.DataFrame({"listing_id": listings["listing_id"], "expected_mad": expected, "scale": scale})


def _by_ids_of(root: DataRoot, manifest: dict[str, Any], said: pd.DataFrame) -> LeftOut:
    """The table by the ids that its listings have in the snapshot of `manifest`.

    Of two ads that were merged since, the one that kept its id is taken.
    """
    kept = aliases(snapshots.pairs(root, manifest))
    ids = said["listing_id"]
    ids = ids.map(kept).fillna(ids) if len(kept) else ids
    order = np.argsort((ids != said["listing_id"]).to_numpy(), kind="stable")
    first = order[~ids.iloc[order].duplicated().to_numpy()]
    return LeftOut(
        ids.to_numpy(dtype=object)[first],
        np.log(said["expected_mad"].to_numpy(dtype=np.float64))[first],
        said["scale"].to_numpy(dtype=np.float64)[first],
    )
