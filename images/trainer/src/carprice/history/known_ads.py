"""What a file says of ads that were known before: which are copies, what these add, and how to cut a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from carprice.history.columnar import frame_of
from carprice.history.copies import SURE
from carprice.history.state import State
from carprice.listings.headers import HEADERS
from carprice.listings.schema import COLUMNS, FEATURES
from carprice.reports.html import templates
from carprice.store import DataRoot

MOST_SHOWN = 20
_BEGIN, _END = "<!-- known ads -->", "<!-- end of known ads -->"
_SHOWN = ("make", "model", "model_year", "mileage_km_min", "mileage_km_max", "price_mad", "city", "url")


@dataclass(frozen=True)
class KnownAds:
    """The ads of one file, and those that were known before it.

    Of `ads` in the file `same_id` have the id of a known ad, `linked` are copies of a known ad, `unsure` may
    be one, and `new` are linked to nothing. `filled` counts, by column, the known listings that the file gave
    their first value. `links` and `doubts` are pairs to look at, the least sure first. `renumbered` says that
    the ids that the file gives are of other cars in earlier files.
    """

    ads: int
    same_id: int
    linked: int
    unsure: int
    new: int
    filled: dict[str, int]
    links: list[dict[str, Any]]
    doubts: list[dict[str, Any]]
    renumbered: bool = False

    def counts(self) -> dict[str, int]:
        """The numbers of ads, as JSON."""
        return {name: getattr(self, name) for name in ("ads", "same_id", "linked", "unsure", "new")}


def known_ads(before: State, after: State, rows: pd.DataFrame, renumbered: bool = False) -> KnownAds:
    """What the accepted rows of a file (canonical columns) changed between the states before and after it."""
    ids = rows["listing_id"].drop_duplicates()
    kept = after.kept(ids)
    found = frame_of(after.tables["pairs"].slice(len(before.tables["pairs"])))
    sure = found["confidence"] >= SURE
    linked = ids.isin(found["new"][sure])
    unsure = ids.isin(found["new"][~sure]) & ~linked
    listings = before.having("listings", kept)
    known = kept.isin(listings["listing_id"])
    return KnownAds(
        ads=len(ids),
        same_id=int((known & ~linked).sum()),
        linked=int(linked.sum()),
        unsure=int((unsure & ~known).sum()),
        new=int((~known & ~linked & ~unsure).sum()),
        filled=_filled(listings, after.having("listings", kept)),
        links=_pairs(found[sure], after, rows),
        doubts=_pairs(found[~sure], after, rows),
        renumbered=renumbered,
    )


def publish(root: DataRoot, sha256: str, found: KnownAds, cuts: list[dict[str, Any]]) -> None:
    """Tell it on the quality page of the file; telling it again replaces what was there.

    `cuts` are records of links that people cut (`cuts.all_cuts`).
    """
    page = f"reports/quality/{sha256}.html"
    if not root.exists(page):
        return
    filled = {_header(name): count for name, count in found.filled.items()}
    section = (
        templates()
        .get_template("known_ads.html")
        .render(found=found, filled=filled, cuts=cuts, most=MOST_SHOWN)
    )
    before, _, rest = root.read_bytes(page).decode().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    root.write_text(page, f"{before}{_BEGIN}{section}{_END}{after}")


def _filled(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, int]:
    """How many of the listings before have a first value in each column, most first."""
    old = before.set_index("listing_id")
    new = after.set_index("listing_id").reindex(old.index)
    counts = {name: int((old[name].isna() & new[name].notna()).sum()) for name in FEATURES}
    counts.pop("mileage_km_max")
    return {name: n for name, n in sorted(counts.items(), key=lambda pair: -pair[1]) if n}


def _pairs(pairs: pd.DataFrame, after: State, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The least sure of the pairs, each with what its two ads say."""
    least = pairs.sort_values("confidence", kind="stable").head(MOST_SHOWN)
    sides = (
        rows.drop_duplicates("listing_id", keep="last").set_index("listing_id"),
        after.having("sightings", least["known"]).drop_duplicates("listing_id").set_index("listing_id"),
    )
    new, known = (
        side.reindex(least[name])[list(_SHOWN)].to_dict("records")
        for side, name in zip(sides, ("new", "known"), strict=True)
    )
    return [
        {"pair": pair, "new": one, "known": other}
        for pair, one, other in zip(least.to_dict("records"), new, known, strict=True)
    ]


def _header(name: str) -> str:
    """The usual header of a column."""
    return HEADERS[COLUMNS[name].field][0]
