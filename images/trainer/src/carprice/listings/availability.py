"""Whether the car of an ad is still on sale, where a column says so."""

from __future__ import annotations

from collections.abc import Callable

from carprice.listings.folding import words_of
from carprice.listings.words import yes_or_no

_GONE = frozenset((
    "vendu", "vendue", "deja vendu", "deja vendue", "sold", "sold out", "soldout", "outofstock",
    "out of stock", "reserve", "reservee", "reserved", "indisponible", "non disponible", "plus disponible",
    "unavailable", "not available", "inactif", "inactive", "expire", "expiree", "expired", "supprime",
    "supprimee", "deleted", "desactive", "desactivee", "disabled", "archive", "archivee", "archived",
    "retire", "retiree", "removed", "closed", "ferme", "fermee", "discontinued", "مباع", "مباعه", "تم البيع",
    "محجوز", "محجوزه",
))  # fmt: skip
_ON_SALE = frozenset((
    "disponible", "available", "en vente", "on sale", "actif", "active", "en ligne", "online", "publie",
    "publiee", "published", "live", "instock", "in stock", "en stock", "en cours", "open", "approved",
    "accepted", "متاح", "متوفر",
))  # fmt: skip
_SAYS_IT = frozenset((
    "statut", "status", "etat", "state", "availability", "disponibilite", "stock", "situation", "الحاله",
    "حاله",
))  # fmt: skip
_YES_IS_GONE = frozenset(("vendu", "vendue", "sold", "reserve", "reservee", "reserved", "expired", "expire"))
_YES_IS_ON_SALE = frozenset(("disponible", "available", "active", "actif"))
_SCHEMA_ORG = ("https://schema.org/", "http://schema.org/", "schema.org/")


def reader_of_availability(header: str) -> Callable[[str], bool | None] | None:
    """What reads the values of a column of this header: whether the car is still on sale.

    None where the header is about something else. What it gives is None for a text that says nothing of it.
    """
    words = set(words_of(header))
    if words & _YES_IS_GONE:
        return _gone_or_not
    if words & _YES_IS_ON_SALE:
        return lambda text: yes_or_no(text) if on_sale(text) is None else on_sale(text)
    return on_sale if words & _SAYS_IT else None


def on_sale(text: str) -> bool | None:
    """Whether a status such as `Disponible` or `Vendu` says that a car is on sale; None for another text."""
    plain = text.strip().casefold()
    for address in _SCHEMA_ORG:
        plain = plain.removeprefix(address)
    key = " ".join(words_of(plain))
    return False if key in _GONE else True if key in _ON_SALE else None


def _gone_or_not(text: str) -> bool | None:
    said = on_sale(text)
    if said is not None:
        return said
    gone = yes_or_no(text)
    return None if gone is None else not gone
