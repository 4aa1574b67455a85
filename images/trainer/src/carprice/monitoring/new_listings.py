"""New listings: those that a production version has never seen, so that its errors on them are honest."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.history.columnar import is_among
from carprice.history.linking import aliases, not_new
from carprice.lifecycle.registry import MODEL, PRODUCTION, Registry
from carprice.store import DataRoot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProductionVersion:
    """A version that is or was in production, and what it learned.

    `run` is its MLflow run, `manifest` that of its snapshot, `learned` the SHA-256 of the files in it, `ids`
    the ids of the listings in it (Arrow), and `kept` the ids that its copies have there (`linking.aliases`).
    """

    version: str
    run: Any
    manifest: dict[str, Any]
    learned: frozenset[str]
    ids: pa.ChunkedArray
    kept: pd.Series[Any]

    @property
    def snapshot_id(self) -> str:
        """The snapshot that it was trained on."""
        return str(self.manifest["id"])

    @property
    def model_uri(self) -> str:
        """The model in the registry."""
        return f"models:/{MODEL}/{self.version}"

    def unseen(
        self, root: DataRoot, manifest: dict[str, Any], files: list[dict[str, Any]]
    ) -> tuple[pd.DataFrame, int]:
        """The listings of `files`, entries of a manifest, that are no ad of the version's own snapshot.

        Also how many listings are or may be one. A listing of its snapshot is left out even with a new price
        or in another layout, and also if the version was only tested on it: the figures at its promotion come
        from those listings. What may be a copy is not new either.
        """
        listings = snapshots.listings_of(root, manifest, files)
        old = not_new(listings["listing_id"], snapshots.pairs(root, manifest), self.known).to_numpy()
        return listings[~old].reset_index(drop=True), int(old.sum())

    def known(self, ids: pd.Index[str]) -> pd.Index[str]:
        """Those of distinct ids that are the id of a listing of its snapshot, or of a copy of one."""
        kept = self.kept[self.kept.index.isin(ids)]
        wanted = pa.array([*ids, *kept], pa.string()).unique()
        there = self.ids.filter(pa.array(is_among(self.ids, wanted))).to_pylist()
        return ids[ids.isin(there) | ids.isin(kept.index[kept.isin(there)])]


def version_without(root: DataRoot, registry: Registry, shas: Collection[str]) -> ProductionVersion:
    """The newest version, now or once in production, whose snapshot holds none of the files `shas`.

    So the answer stays the same after a version that learned the files is promoted. Raises `NothingToDo` if
    every version so far learned from one of them.
    """
    current = registry.require(PRODUCTION)
    history = [str(entry["version"]) for entry in reversed(registry.history())]
    for version in dict.fromkeys([str(current.version), *history]):
        run = registry.get_run(str(registry.version(version).run_id))
        snapshot_id = run.data.tags["snapshot_id"]
        manifest = snapshots.manifest_of(root, snapshot_id)
        learned = frozenset(entry["sha256"] for entry in manifest["files"])
        if learned & set(shas):
            continue
        if version != str(current.version):
            log.info(
                "version %s in production learned from these files; version %s did not and is used",
                current.version,
                version,
            )
        ids = snapshots.table(root, manifest, "listings", ["listing_id"]).column("listing_id")
        return ProductionVersion(
            version, run, manifest, learned, ids, aliases(snapshots.pairs(root, manifest))
        )
    raise NothingToDo(
        "expected files that a version in production has not learned from, found none; "
        f"version {current.version} is compared with the next file that lands"
    )
