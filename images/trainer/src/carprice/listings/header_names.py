"""What a header says by itself: the field that it stands for, or a hint, and in which unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from carprice.listings.cleaning import clean
from carprice.listings.folding import words_of
from carprice.listings.headers import HEADERS, HINTS, WEAKER, Hint
from carprice.listings.price_times import PriceTime, price_time

REPEATED = "(again)"
"""The end of a column's name where the file has a header twice."""

ForeignUnit = Literal["currency", "distance", "period", "tax", "thousands"]

_SMALL_WORDS = frozenset(
    ("de", "du", "des", "la", "le", "les", "l", "d", "a", "au", "en", "in", "of", "the", "et", "and", "par")
)
_EMPTY_WORDS = frozenset(
    ("element", "elements", "icon", "icone", "text", "texte", "label", "value", "valeur", "val", "field",
     "champ", "col", "column", "colonne", "data", "str", "string", "raw", "info", "infos", "detail",
     "details", "annonce", "ad", "advert", "listing", "item", "car", "vehicle", "vehicule", "voiture",
     "auto", "product", "produit", "driven", "span", "div", "css", "class", "again")
)  # fmt: skip
_OWN_UNITS = frozenset(
    ("dh", "dhs", "mad", "dirham", "dirhams", "درهم", "km", "kms", "kilometre", "kilometres", "kilometer",
     "kilometers", "cv")
)  # fmt: skip
_SYMBOLS = re.compile("[€$£]")
_FOREIGN: dict[ForeignUnit, frozenset[str]] = {
    "currency": frozenset(
        ("eur", "euro", "euros", "keur", "usd", "dollar", "dollars", "gbp", "pound", "pounds",
         "sterling", "aed", "sar", "dzd", "tnd", "qar", "xof", "fcfa", "chf", "cad", "centime",
         "centimes", "يورو", "دولار", "ريال")
    ),
    "period": frozenset(
        ("mois", "mensuel", "mensuelle", "mensualite", "mensualites", "month", "monthly", "jour",
         "jours", "day", "daily", "semaine", "week", "weekly")
    ),
    "tax": frozenset(("ht",)),
    "thousands": frozenset(
        ("milliers", "millier", "thousand", "thousands", "1000", "x1000", "kdh", "kdhs", "kmad", "000",
         "10000", "1000km", "1000dh", "million", "millions", "x", "k")
    ),
    "distance": frozenset(
        ("mile", "miles", "mi", "milles")
    ),
}  # fmt: skip
_OTHER_POWER = frozenset(("ch", "hp", "kw", "din", "bhp", "ps", "reelle", "reel", "moteur", "maximale"))


@dataclass(frozen=True)
class HeaderName:
    """What a header says: a field, or a hint of what the values may be, or neither.

    `rank` is 0 for a usual header of the field and 1 for one that means it less exactly. `foreign` names what
    the header measures in, where it is not dirhams or kilometres; `unit` is its word for it. `time` is when
    the prices of the column were asked, where the header says it.
    """

    field: str | None = None
    rank: int = 0
    hint: Hint | None = None
    foreign: ForeignUnit | None = None
    unit: str = ""
    time: PriceTime | None = None


def field_of(header: str) -> str | None:
    """The raw field that a header stands for by itself, or None."""
    named = name_of(header)
    return None if named.foreign else named.field


def name_of(header: str) -> HeaderName:
    """What a header says by itself, without the values below it."""
    # callers choose the headers, and a cache of long ones would fill the memory
    return _name_of_short(header) if len(header) <= _LONGEST_CACHED else _name_of(header)


_LONGEST_CACHED = 100


def is_index_header(header: str) -> bool:
    """Whether a header is that of an unnamed row-number column, as pandas writes one."""
    return re.fullmatch(r"|unnamed: \d+", header.strip().casefold()) is not None


def _name_of(header: str) -> HeaderName:
    text = clean(header)
    words = _words(text)
    time = price_time(" ".join(words))
    if time is not None:
        return _price(time, *_foreign(words, text))
    whole = _lookup(words)
    if whole is None:
        whole = _damaged(text)
    if whole is not None and not _SYMBOLS.search(text):
        return whole
    foreign, unit = _foreign(words, text)
    rest = [word for word in words if foreign is None or word not in _FOREIGN[foreign]]
    bare = [word for word in rest if word not in _OWN_UNITS]
    found = (
        _lookup(rest)
        or _lookup(bare)
        or _lookup([word for word in rest if word not in _EMPTY_WORDS])
        or _lookup([word for word in bare if word not in _EMPTY_WORDS])
    )
    if found is None:
        return HeaderName()
    if found.field == "fiscal_power_cv" and _OTHER_POWER & set(words):
        return HeaderName()
    if foreign is None or found.field not in ("price_mad", "mileage", "mileage_km_min", "mileage_km_max"):
        return found
    return HeaderName(found.field, found.rank, None, foreign, unit)


def _price(time: PriceTime, foreign: ForeignUnit | None, unit: str) -> HeaderName:
    if time == "current":
        return HeaderName("price_mad", 1, None, foreign, unit, time)
    return HeaderName() if foreign else HeaderName(time=time)


_name_of_short = lru_cache(maxsize=1024)(_name_of)


def _words(text: str) -> list[str]:
    # "AnneeModele" and "KMDriven" are two words each
    parted = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Ý])|(?<=[A-ZÀ-Ý])(?=[A-ZÀ-Ý][a-zà-ÿ]{2})", " ", text)
    return words_of(parted)


def _key(words: list[str]) -> str:
    """Words without small ones, plurals and spaces: `boites de vitesse` and `BoiteVitesses` are the same."""
    kept = [word for word in words if word not in _SMALL_WORDS] or words
    return "".join(word.removesuffix("s") if len(word) > 3 else word for word in kept)


@lru_cache(maxsize=1)
def _known() -> dict[str, HeaderName]:
    known: dict[str, HeaderName] = {}
    for hint, headers in HINTS.items():
        known.update((_key(words_of(header)), HeaderName(hint=hint)) for header in headers)
    for rank, table in ((1, WEAKER), (0, HEADERS)):
        for name, headers in table.items():
            known.update((_key(words_of(header)), HeaderName(name, rank)) for header in headers)
    return known


def _lookup(words: list[str]) -> HeaderName | None:
    return _known().get(_key(words)) if words else None


def _damaged(text: str) -> HeaderName | None:
    """The one field whose header fits when each letter that is not ASCII, or was lost, may be any letter."""
    plain = re.sub(r"[\s_./()-]+", "", text.casefold())
    lost = re.sub(r"[^\x00-\x7f]|\?", "", plain)
    if lost == plain or len(lost) < 3 or not lost.isalpha():
        return None
    pattern = re.compile(re.sub(r"(?:[^\x00-\x7f]|\?)+", "[a-z]{0,2}", plain))
    found = {named for key, named in _whole_keys() if pattern.fullmatch(key)}
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=1)
def _whole_keys() -> list[tuple[str, HeaderName]]:
    return [
        ("".join(words_of(header)), HeaderName(name, rank))
        for rank, table in ((1, WEAKER), (0, HEADERS))
        for name, headers in table.items()
        for header in headers
    ]


def _foreign(words: list[str], text: str) -> tuple[ForeignUnit | None, str]:
    if symbol := _SYMBOLS.search(text):
        return "currency", symbol[0]
    for kind, units in _FOREIGN.items():
        # "x" and "k" say thousands only beside a number or a unit of their own
        for word in words:
            if word in units and len(word) > 1:
                return kind, word
    return None, ""
