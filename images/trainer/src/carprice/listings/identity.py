"""Which ad a listing is, and by which rule that is told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.amounts import UnusableValue
from carprice.listings.schema import FEATURES
from carprice.listings.text import tidy

Rule = Literal["site", "query", "address", "given", "content"]

RULES: dict[Rule, str] = {
    "site": "by the number that the site gives an ad in its link",
    "given": "by the id in a column of the file",
    "query": "by the id in the query of the link",
    "address": "by the whole address of the link",
    "content": "by what the row says of the car",
}
"""How an ad is told from others."""

_SITES: dict[str, re.Pattern[str]] = {
    "avito.ma": re.compile(r"(?:^|[/_-])(\d{5,})(?:\.html?)?/?$"),
    "moteur.ma": re.compile(r"/detail-annonce/(\d+)(?:/|$)"),
    "marocannonces.com": re.compile(r"/annonce/(\d+)(?:/|$)"),
    "facebook.com": re.compile(r"/marketplace/item/(\d+)(?:/|$)"),
    "leboncoin.fr": re.compile(r"/(\d{6,})(?:\.html?)?/?$"),
}
"""Sites and where the number of an ad stands in the path of its link."""

_ID_PARAMETERS = {
    "ad", "adid", "annonce", "annonceid", "car", "carid", "id", "idad", "idannonce", "idcar", "idvehicule",
    "idvoiture", "item", "itemid", "listing", "listingid", "numannonce", "numero", "ref", "reference",
    "vehicle", "vehicleid", "vehicule", "voiture",
}  # fmt: skip
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|msclkid|mc_[ce]id|igshid", re.IGNORECASE)
_ORDINARY_LINK = re.compile(r"https?://([a-z0-9.-]+)(/[^?#\s]*)?(?:\?([^#\s]*))?(?:#\S*)?")
_PLAIN_LINK = re.compile(r"https?://([a-z0-9.-]+)(/[^?#\s]*)")
_ROUNDED = re.compile(r"[+-]?\d+(?:[.,]\d+)?e[+-]?\d+", re.IGNORECASE)
_PREFIXES: dict[str, Rule] = {
    **dict.fromkeys(_SITES, "site"),
    "link": "address",
    "query": "query",
    "row": "content",
}
_PLACES = {prefix: tuple(RULES).index(rule) for prefix, rule in _PREFIXES.items()}
_GIVEN = tuple(RULES).index("given")


def listing_ids(table: Mapping[str, Any], shared: npt.NDArray[np.uint64] | None = None) -> npt.NDArray[Any]:
    """The id of each row of canonical columns (arrays, n rows).

    An ad is known by the number that its site gives it, else by the id that the row brings, else by its link,
    else by its content. `shared` are hashes (`hashes_of`) of ids that stand in rows of several cars: they
    tell nothing, and such a row is known by its content.
    """
    ids = np.array(table["listing_id"], dtype=object)
    urls = np.asarray(table["url"], dtype=object)
    linked = np.flatnonzero(~pd.isna(urls))
    given = ids[linked]
    ids[linked] = [
        found if found is not None and (own is None or rule_of(found) == "site") else own
        for own, found in zip(given.tolist(), map(listing_id_of_url, urls[linked].tolist()), strict=True)
    ]
    if shared is not None and len(shared):
        known = ~pd.isna(ids)
        known[known] = np.isin(hashes_of(ids[known]), shared)
        ids[known] = None
    without = np.flatnonzero(pd.isna(ids))
    if len(without):
        used = (*FEATURES, "price_mad")
        ids[without] = content_ids({name: np.asarray(table[name], dtype=object)[without] for name in used})
    return ids


def content_ids(table: Mapping[str, Any] | pd.DataFrame) -> npt.NDArray[Any]:
    """The id by its content of each row of canonical columns, shape (n,).

    It is a hash of all features and not of the price, so that a new price is no new ad. Cars of one model and
    year without a mileage can only be told apart by their prices, so there the price counts.
    """
    price = np.array(table["price_mad"], dtype=object)
    price[~pd.isna(np.asarray(table["mileage_km_min"], dtype=object))] = None
    columns = []
    for name in FEATURES:
        codes, uniques = pd.factorize(np.asarray(table[name], dtype=object))
        words = [tidy(str(value)).casefold() for value in uniques]
        columns.append([words[code] if code >= 0 else "" for code in codes])
    ids = np.empty(len(price), dtype=object)
    ids[:] = [
        "row-" + _hash(*said, *([] if pd.isna(asked) else [str(asked)]))
        for asked, *said in zip(price, *columns, strict=True)
    ]
    return ids


def listing_id_of_url(url: str) -> str | None:
    """The identity of an ad by its link, None for a text that is no link.

    That is the site and its number of the ad, where the site is known: the words of a link change when a
    seller edits the title, the number stays. Else it is the address with the id in its query, else the whole
    address without what only tells how the reader came there.
    """
    # links are most of what is read of a file, and most have no query
    if plain := _PLAIN_LINK.fullmatch(url):
        host, site = _site_of(plain[1])
        if site is not None and (number := site.search(plain[2])):
            return f"{host}-{number[1]}"
        return "link-" + _hash(host, plain[2])
    if not is_link(url):
        return None
    host, path, query = _parts(url)
    host, site = _site_of(host)
    if site is not None and (number := site.search(path)):
        return f"{host}-{number[1]}"
    said = parse_qsl(query) if query else []
    named = sorted(
        (name, value)
        for name, value in said
        if re.sub(r"[\W_]", "", name.lower()) in _ID_PARAMETERS and re.search(r"\d", value)
    )
    if named:
        return "query-" + _hash(host, path, *(f"{name}={value}" for name, value in named))
    return "link-" + _hash(
        host, path, *(f"{name}={value}" for name, value in said if not _TRACKING.fullmatch(name))
    )


def is_link(text: str) -> bool:
    """Whether a text can be the address of a page: `Lien non disponible` is none."""
    return "://" in text or (("/" in text or "." in text) and not re.search(r"\s", text.strip()))


def read_id(text: str) -> str:
    """An id as a file gives it. Raises `UnusableValue` for a number in scientific notation: it is rounded."""
    if _ROUNDED.fullmatch(text):
        raise UnusableValue("rounded_number", text)
    return text[:-2] if re.fullmatch(r"\d+\.0", text) else text


def rule_of(listing_id: str) -> Rule:
    """By which rule an id was made."""
    return _PREFIXES.get(listing_id.rpartition("-")[0], "given")


def rules_of(ids: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The places among `RULES` of the rules by which ids were made, shape (n,)."""
    return np.array([_PLACES.get(text.rpartition("-")[0], _GIVEN) for text in ids.tolist()], dtype=np.uint8)


def hashes_of(ids: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A hash of 64 bits of each id, shape (n,), the same in every process."""
    hashes: npt.NDArray[np.uint64] = pd.util.hash_array(np.asarray(ids, dtype=object), categorize=False)
    return hashes


@lru_cache(maxsize=1024)
def _site_of(host: str) -> tuple[str, re.Pattern[str] | None]:
    host = host.removeprefix("www.").removeprefix("m.").removeprefix("fr-fr.")
    return host, _SITES.get(host)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


def _parts(url: str) -> tuple[str, str, str]:
    """Host, path and query of a link."""
    # urlsplit takes most of the time of reading a file; an ordinary link does without it
    if ordinary := _ORDINARY_LINK.fullmatch(url):
        return ordinary[1], ordinary[2] or "", ordinary[3] or ""
    try:
        relative = url.startswith("/") and not url.startswith("//")
        parts = urlsplit(url if "//" in url or relative else f"//{url}")
        return parts.hostname or "", parts.path, parts.query
    except ValueError:
        return "", url, ""
