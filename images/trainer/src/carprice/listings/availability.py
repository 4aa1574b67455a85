"""Whether the car of an ad is still on sale, where a column says so."""

from __future__ import annotations

import re
from collections.abc import Callable

from carprice.listings.folding import words_of
from carprice.listings.words import yes_or_no

_GONE = frozenset((
    "vendu", "vendue", "deja vendu", "deja vendue", "sold", "sold out", "soldout", "outofstock",
    "out of stock", "reserve", "reservee", "reserved", "indisponible", "non disponible", "plus disponible",
    "unavailable", "not available", "inactif", "inactive", "expire", "expiree", "expired", "supprime",
    "supprimee", "deleted", "desactive", "desactivee", "disabled", "archive", "archivee", "archived",
    "option posee", "sous offre", "under offer", "sale pending", "pending", "loue", "louee", "rented",
    "retire", "retiree", "removed", "closed", "ferme", "fermee", "discontinued", "مباع", "مباعه", "تم البيع",
    "محجوز", "محجوزه",
))  # fmt: skip
_ON_SALE = frozenset((
    "disponible", "available", "en vente", "on sale", "actif", "active", "en ligne", "online", "publie",
    "publiee", "published", "live", "instock", "in stock", "en stock", "en cours", "open", "approved",
    "accepted", "non vendu", "non vendue", "not sold", "non reserve", "متاح", "متوفر",
))  # fmt: skip
_SAYS_IT = frozenset((
    "statut", "status", "etat", "state", "availability", "disponibilite", "stock", "situation", "الحاله",
    "حاله",
))  # fmt: skip
_YES_IS_GONE = frozenset((
    "vendu", "vendue", "sold", "reservee", "reserved", "expired", "expire", "deleted", "archived",
))  # fmt: skip
_YES_IS_ON_SALE = frozenset(("disponible", "available", "active", "actif"))
# What such a header may name besides: another word makes it one of a seller, a delivery or a warranty.
_OF_THE_AD = frozenset((
    "is", "est", "deja", "de", "du", "d", "l", "la", "le", "annonce", "ad", "listing", "offer", "offers",
    "offre", "car", "vehicule", "vehicle", "voiture", "en", "element", "text",
))  # fmt: skip
_GONE_ON_A_DAY = re.compile(r"(?:vendue?|sold|reservee?|reserved)(?: (?:le|on|depuis|since))? \d.*")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SCHEMA_ORG = ("https://schema.org/", "http://schema.org/", "schema.org/")


def reader_of_availability(header: str) -> Callable[[str], bool | None] | None:
    """What reads the values of a column of this header: whether the car is still on sale.

    None where the header is about something else. What it gives is None for a text that says nothing of it.
    """
    words = set(words_of(_CAMEL_CASE.sub(" ", header))) - _OF_THE_AD
    if not words or not words <= _SAYS_IT | _YES_IS_GONE | _YES_IS_ON_SALE:
        return None
    if words & _YES_IS_GONE:
        return _gone_or_not
    if words & _YES_IS_ON_SALE:
        return lambda text: yes_or_no(text) if on_sale(text) is None else on_sale(text)
    return on_sale


def on_sale(text: str) -> bool | None:
    """Whether a status such as `Disponible` or `Vendu` says that a car is on sale; None for another text."""
    plain = text.strip().casefold()
    for address in _SCHEMA_ORG:
        plain = plain.removeprefix(address)
    key = " ".join(words_of(plain))
    if key in _GONE or _GONE_ON_A_DAY.fullmatch(key):
        return False
    return True if key in _ON_SALE else None


def _gone_or_not(text: str) -> bool | None:
    said = on_sale(text)
    if said is not None:
        return said
    gone = yes_or_no(text)
    return None if gone is None else not gone
