"""Listings that a production version has never seen: what it is judged on before the next one learns them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.lifecycle.registry import MODEL, PRODUCTION, Registry
from carprice.store import DataRoot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A version that is or was in production, its run, the files of its snapshot and their listings."""

    version: str
    run: Any
    snapshot_id: str
    learned: frozenset[str]
    known: pd.DataFrame

    @property
    def model_uri(self) -> str:
        """Where the registry keeps its model."""
        return f"models:/{MODEL}/{self.version}"

    def unseen(self, root: DataRoot, files: list[dict[str, Any]]) -> tuple[pd.DataFrame, int]:
        """The distinct listings of `files` that its snapshot does not hold, and how many it does hold.

        A listing of its snapshot is left out with a new price too, trained on or not: the figures it was
        promoted with rest on those.
        """
        listings = snapshots.distinct(root, files)
        seen = listings["listing_id"].isin(set(self.known["listing_id"])).to_numpy()
        return listings[~seen].reset_index(drop=True), int(seen.sum())


def judged_on(root: DataRoot, registry: Registry, shas: Collection[str]) -> Judged:
    """The version in production, or the last one before it, whose snapshot holds none of the files `shas`.

    Going back in history makes the answer the same whether it is asked before or after the version that
    learned the files was promoted. Raises `NothingToDo` where every version so far learned from one.
    """
    current = registry.require(PRODUCTION)
    history = [str(entry["version"]) for entry in reversed(registry.history())]
    for version in dict.fromkeys([str(current.version), *history]):
        run = registry.get_run(str(registry.version(version).run_id))
        snapshot_id = run.data.tags["snapshot_id"]
        manifest = snapshots.manifest_of(root, snapshot_id)
        learned = frozenset(entry["sha256"] for entry in manifest["files"])
        if not learned & set(shas):
            if version != str(current.version):
                log.info(
                    "version %s in production learned from these files; version %s did not",
                    current.version,
                    version,
                )
            return Judged(version, run, manifest["id"], learned, snapshots.load(root, snapshot_id)[1])
    raise NothingToDo(
        f"files that a version in production has not learned from were expected, found none; "
        f"version {current.version} is judged on the next file that lands"
    )
