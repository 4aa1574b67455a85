"""Ids that a file gives: whether they number the same ads as those of earlier files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from carprice.history.columnar import Mask, frame_of
from carprice.listings.folding import words_of
from carprice.listings.identity import rule_of

Document = dict[str, Any]

WITH_CAR = {"ids": "with car"}
"""What the entry of a file in a manifest says where its ids tell an ad only together with the car."""

_MOST_OTHER_CARS = 0.5


def given_ids(ids: pa.ChunkedArray) -> Mask:
    """Which of n listings have an id that their file gave, shape (n,)."""
    return np.array([rule_of(listing_id) == "given" for listing_id in ids.to_pylist()], dtype=bool)


def ids_with_car(rows: pa.Table, given: Mask) -> pa.Array:
    """The ids of rows, those that are given with the car: `7003 renault clio 2015`."""
    ids = np.array(rows.column("listing_id").to_pylist(), dtype=object)
    if given.any():
        columns = ["listing_id", "make", "model", "model_year"]
        parts = frame_of(rows.select(columns), chosen=given)
        ids[given] = [
            f"{listing_id} {' '.join(words_of(f'{make} {model}'))} {year:.0f}"
            for listing_id, make, model, year in parts.itertuples(index=False)
        ]
    return pa.array(ids, pa.string())


def told_otherwise(make: Mask, make_or_model: Mask, year: Mask) -> bool:
    """Whether more than half of known ids are of other cars; the masks say what differs, one entry per id.

    Two dealers that number their ads from 1 have the same ids and different cars. A car is another one if its
    make differs, or both its model and its model year: sellers correct one of them.
    """
    return bool(len(make)) and bool((make | (make_or_model & year)).mean() > _MOST_OTHER_CARS)
