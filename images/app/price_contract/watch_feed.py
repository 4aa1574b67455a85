"""The offers that a watch told of as an Atom feed (RFC 4287)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from price_contract import formats
from price_contract.language import _, speaking
from price_contract.offer_answers import ToldOffer, WatchFilters
from price_contract.offer_words import label

CONTENT_TYPE = "application/atom+xml; charset=utf-8"
_ATOM = "http://www.w3.org/2005/Atom"
# What XML 1.0 has no characters for.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ADDRESS = re.compile(r"https?://[^\s<>\"{}|\\^`]+")


def feed_of(
    watch_id: str,
    filters: WatchFilters,
    created_at: str,
    offers: Sequence[ToldOffer],
    address: str,
    language: str,
) -> bytes:
    """The feed in one language; `address` is its own. The newest offer is the first."""
    register_namespace("", _ATOM)
    with speaking(language):
        feed = Element(f"{{{_ATOM}}}feed", {"xml:lang": language})
        _add(feed, "id", f"urn:carprice:watch:{watch_id}")
        _add(feed, "title", _title(filters))
        _add(feed, "updated", offers[0]["at"] if offers else created_at)
        SubElement(feed, f"{{{_ATOM}}}link", {"rel": "self", "href": _clean(address)})
        _add(SubElement(feed, f"{{{_ATOM}}}author"), "name", _("Prix des voitures"))
        for offer in offers:
            _entry(feed, watch_id, offer)
        content: bytes = tostring(feed, encoding="utf-8")
        return b'<?xml version="1.0" encoding="utf-8"?>\n' + content


def _title(filters: WatchFilters) -> str:
    named = " ".join(str(filters[name]) for name in ("make", "model") if name in filters)
    return _("Nouvelles annonces : {what}", what=named) if named else _("Nouvelles annonces")


def _entry(feed: Element, watch_id: str, told: ToldOffer) -> None:
    entry = SubElement(feed, f"{{{_ATOM}}}entry")
    # the ids of listings are texts of strangers, and no part of an IRI
    _add(entry, "id", uuid.uuid5(uuid.NAMESPACE_URL, _clean(f"{watch_id} {told['listing_id']}")).urn)
    offer, price = told["offer"], formats.money(told["price_mad"])
    car = [] if offer is None else [offer["make"], offer["model"], offer["model_year"]]
    name = " ".join(str(each) for each in car if each is not None) or told["listing_id"]
    _add(entry, "title", f"{name} · {price} · {label(told['label'])}")
    _add(entry, "updated", told["at"])
    url = offer["url"] if offer else None
    if url is not None and _is_address(url):
        SubElement(entry, f"{{{_ATOM}}}link", {"rel": "alternate", "href": _clean(url)})
    said = (
        [_("Prix estimé : {price}", price=formats.money(told["estimate_mad"]))]
        if told["estimate_mad"]
        else []
    )
    if offer is not None:
        mileage = formats.mileage(offer["mileage_km_min"], offer["mileage_km_max"])
        said += [each for each in (mileage, offer["city"]) if each]
        if offer["status"] == "gone":
            said.append(_("L'annonce n'est plus en ligne."))
    _add(entry, "summary", " · ".join(said) or name)


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, f"{{{_ATOM}}}{name}").text = _clean(text)


def _clean(text: str) -> str:
    """Text without what XML can't hold; the writer escapes the rest."""
    return _NO_XML.sub("", text)


def _is_address(url: str) -> bool:
    """Whether a link of a stranger leads to a page, and runs nothing."""
    try:
        return bool(_ADDRESS.fullmatch(url) and urlsplit(url).hostname)
    except ValueError:
        return False
