"""New listings: those that a production version has never seen, so that its errors on them are honest."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.history.linking import with_linked_ids
from carprice.lifecycle.registry import MODEL, PRODUCTION, Registry
from carprice.store import DataRoot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProductionVersion:
    """A version that is or was in production, and what it learned.

    `run` is its MLflow run, `learned` the SHA-256 of the files in its snapshot, `known` their listings.
    """

    version: str
    run: Any
    snapshot_id: str
    learned: frozenset[str]
    known: pd.DataFrame

    @property
    def model_uri(self) -> str:
        """The model in the registry."""
        return f"models:/{MODEL}/{self.version}"

    def unseen(self, root: DataRoot, files: list[dict[str, Any]]) -> tuple[pd.DataFrame, int]:
        """The distinct listings of `files` that its snapshot does not hold, and how many it does hold.

        A listing of the snapshot is left out even with a new price, and also if the version was only tested
        on it: the figures at its promotion come from those listings.
        """
        (listings,) = with_linked_ids([snapshots.distinct(root, files)], self.known)
        seen = listings["listing_id"].isin(set(self.known["listing_id"])).to_numpy()
        return listings[~seen].reset_index(drop=True), int(seen.sum())


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
        known = snapshots.load(root, snapshot_id)[1]
        return ProductionVersion(version, run, manifest["id"], learned, known)
    raise NothingToDo(
        "expected files that a version in production has not learned from, found none; "
        f"version {current.version} is compared with the next file that lands"
    )
