"""The market before: the labels that a price had, and the estimates that are carried on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carprice.history.columnar import places_of
from carprice.market import files
from carprice.market.labels import LABELS
from carprice.store import DataRoot
from carprice_contract.data_root import market_table

log = logging.getLogger(__name__)

MOST_ESTIMATES = 20

_COLUMNS = ["listing_id", "label", "price_mad", "estimates"]


@dataclass(frozen=True)
class Before:
    """What the market before said of its m offers; without rows where there was none.

    `label` has the place of each label in LABELS, -1 where the offer was not rated.
    """

    version: str
    listing_ids: npt.NDArray[np.object_]
    label: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    estimates: pa.ChunkedArray

    def places(self, ids: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
        """The place of each id among these offers, -1 where it is new: of shape (n,)."""
        return places_of(pa.chunked_array([pa.array(ids, pa.string())]), self.listing_ids)

    def classes(self, places: npt.NDArray[np.int64], price: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The class that each offer had at the same price, -1 where it had none: of shape (n,)."""
        label, asked = np.append(self.label, -1)[places], np.append(self.price, np.nan)[places]
        found: npt.NDArray[np.int64] = np.where(asked == price, label, -1)
        return found

    def with_estimates(
        self, places: npt.NDArray[np.int64], entries: npt.NDArray[np.object_], version: str
    ) -> npt.NDArray[np.object_]:
        """The estimates of each offer over time as JSON, with a new entry where the model is another one.

        An empty entry adds nothing. The oldest are left out beyond MOST_ESTIMATES.
        """
        known = places >= 0
        earlier = np.full(len(places), "[]", dtype=object)
        earlier[known] = self.estimates.take(pa.array(places[known])).to_numpy()
        same = version == self.version
        return np.array(
            [
                told if not entry or (same and told != "[]") else _appended(told, entry)
                for told, entry in zip(earlier.tolist(), entries.tolist(), strict=True)
            ],
            dtype=object,
        )


def read(root: DataRoot) -> Before:
    """The newest market as it is before another one is made."""
    manifest = files.latest(root)
    nothing = Before(
        "",
        np.zeros(0, object),
        np.zeros(0, np.int64),
        np.zeros(0),
        pa.chunked_array([pa.array([], pa.string())]),
    )
    if manifest is None:
        return nothing
    try:
        table = root.read_table(market_table(str(manifest["id"]), "offers"), _COLUMNS)
    except (FileNotFoundError, pa.ArrowInvalid) as problem:
        log.warning("the market before can't be read and is left out: %s", problem)
        return nothing
    return Before(
        str(manifest["model_version"]),
        table.column("listing_id").to_numpy().astype(object),
        places_of(table.column("label"), np.array(LABELS, dtype=object)),
        table.column("price_mad").to_numpy().astype(np.float64),
        table.column("estimates").cast(pa.string()),
    )


def _appended(told: str, entry: str) -> str:
    """A JSON list with one more entry, itself a JSON list without lists in it."""
    if told == "[]":
        return f"[{entry}]"
    if told.count("[") > MOST_ESTIMATES:
        told = "[" + told[told.index("],") + 2 :].lstrip()
    return f"{told[:-1]}, {entry}]"
