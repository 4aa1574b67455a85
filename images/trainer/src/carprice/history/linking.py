"""The same ad in files of different layouts: without a link it is known by what both files say of the car."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.identity import content_ids, rule_of
from carprice.listings.schema import FEATURES, TEXT_FEATURES

_NEEDED = {"make", "model", "model_year", "mileage_km_min"}
# The columns that two layouts share beside the price: with fewer of them, different cars look alike.
_FEWEST_SHARED = 6


def with_linked_ids(files: Sequence[pd.DataFrame], known: pd.DataFrame | None = None) -> list[pd.DataFrame]:
    """The rows of files (canonical columns, in order of receipt) with one id for each ad, its first one.

    `known` are listings of earlier files after this.

    An ad that is known by its content has another id in a file with another set of columns. Two such ads are
    one if they agree in the price and in all columns that both files have, and if no other ad of either file
    does: what is ambiguous stays apart. In files of one layout the ids agree.
    """
    links = _Links()
    if known is not None:
        by_content = _by_content(known)
        own = content_ids(by_content)
        links.ids |= {
            one: first for one, first in zip(own, by_content["listing_id"], strict=True) if one != first
        }
        for _, rows in by_content.groupby("source_sha256", dropna=False, sort=False):
            links.add(rows)
    linked = []
    for file in files:
        links.add(_by_content(file))
        ids = file["listing_id"]
        linked.append(file.assign(listing_id=ids.map(links.ids).fillna(ids)) if links.ids else file)
    return linked


class _Links:
    """The ads of all layouts so far, and the id of its first file for each later id of the same ad."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self._layouts: dict[frozenset[str], list[pd.DataFrame]] = {}

    def add(self, rows: pd.DataFrame) -> None:
        """Add the rows of one file."""
        layout = frozenset(name for name in FEATURES if rows[name].notna().any())
        new = rows[~rows["listing_id"].isin(self.ids)]
        for other, theirs in self._layouts.items():
            shared = sorted(layout & other)
            if other != layout and len(shared) >= _FEWEST_SHARED and set(shared) >= _NEEDED:
                self.ids |= _same_ads(new, pd.concat(theirs), [*shared, "price_mad"])
                new = new[~new["listing_id"].isin(self.ids)]
        self._layouts.setdefault(layout, []).append(new)


def _by_content(listings: pd.DataFrame) -> pd.DataFrame:
    return listings[[rule_of(listing_id) == "content" for listing_id in listings["listing_id"]]]


def _same_ads(ours: pd.DataFrame, theirs: pd.DataFrame, columns: list[str]) -> dict[str, str]:
    """Their id for each of our ids whose ad is the same."""
    one, other = _only_ones(ours, columns), _only_ones(theirs, columns)
    both = one.index.intersection(other.index)
    return dict(zip(one[both], other[both], strict=True))


def _only_ones(listings: pd.DataFrame, columns: list[str]) -> pd.Series[Any]:
    """The ids of the ads that no other ad equals in `columns`, by a hash of these."""
    hashes = pd.Series(_hashes(listings[columns]), index=listings.index)
    ads = pd.DataFrame({"hash": hashes, "id": listings["listing_id"]}).drop_duplicates()
    return ads[~ads["hash"].duplicated(keep=False)].set_index("hash")["id"]


def _hashes(values: pd.DataFrame) -> npt.NDArray[np.uint64]:
    folded = values.assign(
        **{name: values[name].str.casefold() for name in values.columns if name in TEXT_FEATURES}
    )
    hashes: npt.NDArray[np.uint64] = (
        pd.util.hash_pandas_object(folded, index=False).to_numpy().astype(np.uint64)
    )
    return hashes
