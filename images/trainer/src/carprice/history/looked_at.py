"""Which sightings of a state new rows may touch: those of their makes and models, and of their ads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from carprice.history.columnar import Mask, families, is_among, is_one_of
from carprice.history.copies import SURE

LOOKED_AT_BY = ("listing_id", "make", "model")
"""The columns of the sightings that this needs."""


def looked_at(
    sightings: pa.Table, pairs: pa.Table, cars: pa.Table, new: pa.Table, other_ids: pa.Array
) -> Mask:
    """Which of n sightings new rows (canonical columns) may touch, shape (n,).

    They have a make and a model of a new row, or its ad (by its id or one of `other_ids`, or by the id that
    this is kept as); or they are of a car group with such a listing, or of the makes and models of one.
    """
    if not len(sightings):
        return np.zeros(0, dtype=bool)
    kinds = families(sightings)
    ids = pa.chunked_array([*new.column("listing_id").chunks, other_ids]).unique()
    sure = pairs.filter(pa.array(pairs.column("confidence").to_numpy() >= SURE))
    kept = sure.column("known").filter(pa.array(is_among(sure.column("new"), ids)))
    chosen = is_one_of(kinds, np.unique(families(new)))
    if not chosen.all():
        chosen = chosen | is_among(sightings.column("listing_id"), ids)
        chosen = chosen | is_among(sightings.column("listing_id"), kept.combine_chunks())
    while not chosen.all():
        listings = sightings.column("listing_id").filter(pa.array(chosen)).unique()
        of_them = cars.filter(pa.array(is_among(cars.column("listing_id"), listings)))
        same_car = is_among(cars.column("group"), of_them.column("group").unique())
        members = cars.column("listing_id").filter(pa.array(same_car)).unique()
        touched = chosen | is_among(sightings.column("listing_id"), members)
        grown = is_one_of(kinds, np.unique(kinds[touched]))
        if (grown == chosen).all():
            break
        chosen = grown
    return chosen
