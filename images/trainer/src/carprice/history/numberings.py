"""Ids that a file gives: whether they number the same ads as those of earlier files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.history.state import State
from carprice.listings.folding import words_of
from carprice.listings.identity import rule_of

Document = dict[str, Any]

WITH_CAR = {"ids": "with car"}
"""What the entry of a file in a manifest says where its ids tell an ad only together with the car."""

_MOST_OTHER_CARS = 0.5


def numbered_otherwise(before: State, rows: pd.DataFrame) -> bool:
    """Whether more than half of the ids that the rows give, as far as they are known, are of other cars.

    Two dealers that number their ads from 1 have the same ids and different cars. A car is another one if its
    make differs, or both its model and its model year: sellers correct one of them.
    """
    columns = ["listing_id", "make", "model", "model_year"]
    mine = rows.loc[_given(rows), columns].drop_duplicates("listing_id")
    mine["listing_id"] = before.kept(mine["listing_id"])
    theirs = before.having("listings", mine["listing_id"])[columns]
    both = mine.merge(theirs.astype({"listing_id": object}), on="listing_id", suffixes=("", "_known"))
    if not len(both):
        return False
    make, model = (_folded(both[name]) != _folded(both[f"{name}_known"]) for name in ("make", "model"))
    year = (both["model_year"] != both["model_year_known"]).to_numpy()
    return bool((make | (model & year)).mean() > _MOST_OTHER_CARS)


def told_with_car(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the car in each id that the file gave: `7003 renault clio 2015`."""
    given = _given(rows)
    ids = rows["listing_id"].to_numpy(dtype=object).copy()
    parts = [rows.loc[given, name] for name in ("listing_id", "make", "model", "model_year")]
    ids[given] = [
        f"{listing_id} {' '.join(words_of(f'{make} {model}'))} {year:.0f}"
        for listing_id, make, model, year in zip(*parts, strict=True)
    ]
    return rows.assign(listing_id=ids)


def _given(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return np.array([rule_of(listing_id) == "given" for listing_id in rows["listing_id"]], dtype=bool)


def _folded(texts: pd.Series[Any]) -> npt.NDArray[np.object_]:
    return np.array([" ".join(words_of(str(text))) for text in texts], dtype=object)
