"""What a file says of ads that were known before: which are copies, what these add, and how to cut a link."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pandas as pd

from carprice.history.copies import SURE
from carprice.history.working_set import Added, WorkingSet
from carprice.listings.headers import HEADERS
from carprice.listings.schema import COLUMNS
from carprice.reports.html import templates
from carprice.store import DataRoot

Cuts = list[dict[str, Any]]

MOST_SHOWN = 20
_BEGIN, _END = "<!-- known ads -->", "<!-- end of known ads -->"
_SHOWN = ("make", "model", "model_year", "mileage_km_min", "mileage_km_max", "price_mad", "city", "url")


def publish(root: DataRoot, sha256: str, found: WorkingSet, number: int, added: Added, cuts: Cuts) -> None:
    """Tell it on the quality page of the file that was added last; telling it again replaces what was there.

    `cuts` are records of links that people cut (`cuts.all_cuts`).
    """
    page = f"reports/quality/{sha256}.html"
    if not root.exists(page):
        return
    sure = added.pairs["confidence"] >= SURE
    section = _template().render(
        found=added,
        links=_pairs(found, number, added.pairs[sure]),
        doubts=_pairs(found, number, added.pairs[~sure]),
        filled={_header(name): count for name, count in added.filled.items()},
        cuts=cuts,
        most=MOST_SHOWN,
    )
    before, _, rest = root.read_bytes(page).decode().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    root.write_text(page, f"{before}{_BEGIN}{section}{_END}{after}")


@lru_cache(maxsize=1)
def _template() -> Any:
    return templates().get_template("known_ads.html")


def _pairs(found: WorkingSet, number: int, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """The least sure of the pairs, each with what its two ads say."""
    least = pairs.sort_values("confidence", kind="stable").head(MOST_SHOWN)
    if not len(least):
        return []
    new, known = (table.to_dict("records") for table in found.said_by(number, least, _SHOWN))
    return [
        {"pair": pair, "new": one, "known": other}
        for pair, one, other in zip(found.named(least).to_dict("records"), new, known, strict=True)
    ]


def _header(name: str) -> str:
    """The usual header of a column."""
    return HEADERS[COLUMNS[name].field][0]
