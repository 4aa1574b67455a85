"""The car group and the side of each listing after a file: only what the file touches is grouped again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.history.car_groups import GROUPED_BY, NEITHER, TEST, TRAINING, group_cars, sides_of_groups
from carprice.history.columnar import (
    Mask,
    among,
    arrow_of,
    below,
    families,
    families_of,
    frame_of,
    is_one_of,
    rows_of,
)
from carprice.history.linking import names_of

CAR_COLUMNS = ["listing_id", "group", "side"]


class Draw(NamedTuple):
    """How test groups are drawn, and the sides, by id, of a state that was made on other terms."""

    test_share: float
    seed: int
    sides_before: pd.Series[Any] | None = None


def cars_after(
    before: Mapping[str, pa.Table], listings: pa.Table, pairs: pa.Table, changed: pd.DataFrame, draw: Draw
) -> pa.Table:
    """The table `cars` (`CAR_COLUMNS`) for `listings` (n rows), of which `changed` stand at the end.

    `before` has the tables before the file. Look-alikes have one make and model, and the copies of an ad are
    in its group already, unless the file brought them. So a group changes only where it has a listing of the
    makes and models of the listings that changed, as they were or as they are.
    """
    is_changed = among(before["listings"], "listing_id", changed["listing_id"])
    was = rows_of(before["cars"], is_changed) if is_changed.any() else before["cars"].slice(0, 0)
    now = frame_of(was).set_index("listing_id").reindex(changed["listing_id"]).reset_index()
    cars = below(rows_of(before["cars"], ~is_changed), arrow_of(now.astype(object)))
    of = families(listings)
    touched = np.unique(
        np.concatenate([families_of(changed), families(before["listings"].filter(pa.array(is_changed)))])
    )
    alike = is_one_of(of, touched)
    affected = alike | _in_the_same_groups(cars, alike)
    # look-alikes are told apart by all listings of their model
    compared = alike if (affected == alike).all() else is_one_of(of, np.unique(of[affected]))
    found = frame_of(listings, GROUPED_BY, compared, short=True)
    ids = found["listing_id"]
    links = frame_of(rows_of(pairs, among(pairs, "known", ids)))
    groups = group_cars(found, links)
    sides = frame_of(rows_of(cars.select(["side"]), compared))["side"]
    if draw.sides_before is not None:
        sides = ids.map(_told(ids, sides, links, draw.sides_before))
    old = sides.to_numpy(dtype=object)
    grouped = sides_of_groups(ids.to_numpy(dtype=object), groups, old, draw.test_share, draw.seed)
    return _replaced(cars, affected, arrow_of(grouped[affected[compared]]))


def _in_the_same_groups(cars: pa.Table, chosen: Mask) -> Mask:
    """Which of the other listings are in a group of the chosen ones, as groups were before."""
    found = np.zeros(len(cars), dtype=bool)
    others = np.flatnonzero(~chosen)
    if len(others) and chosen.any():
        groups = rows_of(cars.select(["group"]), chosen).column("group").drop_null().unique().to_pylist()
        found[others] = among(rows_of(cars.select(["group"]), ~chosen), "group", groups)
    return found


def _replaced(table: pa.Table, rows: Mask, new: pa.Table) -> pa.Table:
    """The table with other rows in the chosen places."""
    if rows.all():
        return new
    both = pa.concat_tables([table, new]).unify_dictionaries().combine_chunks()
    order: npt.NDArray[np.int64] = np.arange(len(table))
    order[rows] = len(table) + np.arange(len(new))
    return both.take(pa.array(order))


def _told(
    ids: pd.Series[Any], sides: pd.Series[Any], pairs: pd.DataFrame, before: pd.Series[Any]
) -> pd.Series[Any]:
    """The side of each listing id that has one here or, under any of its names, had one `before`."""
    names = names_of(ids, pairs)
    there = names["name"].map(before)
    told = []
    for side in (TEST, NEITHER, TRAINING):
        was = names.loc[(there == side).to_numpy(), "listing_id"].unique()
        told.append(pd.Series(side, index=was, dtype=object))
    now = pd.Series(sides.to_numpy(dtype=object), index=ids, dtype=object).dropna()
    found = pd.concat([*told, now], axis=0).astype(object)
    # a test listing stays one; otherwise the side of this state counts
    found = found.iloc[(found != TEST).argsort(kind="stable")]
    once: pd.Series[Any] = found[~found.index.duplicated()]
    return once
