"""What the header of a column of prices says of their time: asked before, or asked now."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from carprice.listings.folding import words_of

PriceTime = Literal["earlier", "current", "newer"]
"""`newer` is a new price or the price of a new car: only an earlier price beside it tells that it is the
current one."""

_PRICE = "prix price prices السعر الثمن"
_EARLIER = (
    "old ancien anciens ancienne barre barres barree before avant original originale origine initial "
    "initiale was previous precedent precedente crossed strikethrough striked strike struck through out "
    "regular public catalogue conseille القديم السابق"
)
_CURRENT = (
    "actuel actuelle current now maintenant nouveau nouvel apres after promo promos promotion promotionnel "
    "promotional reduit reduite remise remisee discounted discount sale solde soldee reduced الحالي"
)
_NEWER = "new الجديد"
# words of what lies between the two prices
_CHANGE = "remise reduction discount baisse promo promotion drop"
_MORE = "de d du la le l en the dh dhs mad dirham dirhams درهم element text value val icon label annonce"


def price_time(header: str) -> PriceTime | None:
    """What a header says of the time of its prices; None where it says nothing, or is that of another column.

    `Prix barré`, `price_old` and the list price (`Prix public`) are earlier prices, `Nouveau prix` and
    `Prix promo` current ones. `Prix neuf` is what the car costs when it is new.
    """
    words = set(words_of(header))
    said = words - _folded(_PRICE) - _folded(_MORE)
    if not said or not words & _folded(_PRICE):
        return None
    for time, known in _known():
        if said & known and said <= known | _folded(_CHANGE):
            return time
    return None


def _known() -> Iterable[tuple[PriceTime, frozenset[str]]]:
    return (
        ("earlier", _folded(_EARLIER)),
        ("current", _folded(_CURRENT)),
        ("newer", _folded(_NEWER)),
    )


@lru_cache(maxsize=8)
def _folded(words: str) -> frozenset[str]:
    return frozenset(words_of(words))
