"""Avito Maroc: the JSON that its pages embed.

A search page has its ads at `props.pageProps.componentProps.ads`. A page of one ad has it at
`componentProps.adInfo.ad`, or in Apollo's cache under a key with `getPublishedAd`, where `__ref` points to
other entries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from parsel import Selector

from carprice_collector import values
from carprice_collector.ads import Ad
from carprice_collector.dates import posted_at
from carprice_collector.pages import Link, Page, PageContent, ShapeMoved, whole_html
from carprice_collector.sources.source import Source

_DATA = "script#__NEXT_DATA__::text"
_PAGE = ("props", "pageProps")
_SEARCH = (*_PAGE, "componentProps", "ads")
_DETAIL = (*_PAGE, "componentProps", "adInfo", "ad")
_APOLLO = (*_PAGE, "apolloState")
_PUBLISHED = "getPublishedAd"
_NUMBER_IN_ADDRESS = re.compile(r"_(\d{5,})\.htm")

# The key of a parameter, or its label without accents -> the field. The keys change less often.
_PARAMETERS = {
    "brand": "make", "marque": "make", "model": "model", "modele": "model",
    "finition": "trim", "version": "trim",
    "regdate": "model_year", "annee modele": "model_year", "annee-modele": "model_year",
    "mileage": "mileage", "mileage_exact": "mileage", "kilometrage": "mileage",
    "fuel": "fuel", "type de carburant": "fuel", "carburant": "fuel",
    "bv": "gearbox", "boite de vitesses": "gearbox", "boite": "gearbox",
    "pfiscale": "fiscal_power_cv", "puissance fiscale": "fiscal_power_cv",
    "doors": "doors", "nombre de portes": "doors", "v_origin": "origin", "origine": "origin",
    "first_owner": "first_owner", "premiere main": "first_owner",
    "auto_condition": "condition", "etat": "condition",
}  # fmt: skip
_PLAIN = str.maketrans("àâçéèêëîïôûù", "aaceeeeiiouu")
_SELLERS = {"store": "shop", "shop": "shop", "pro": "shop", "private": "private", "particulier": "private"}


class Avito(Source):
    """Used cars of Avito Maroc, from its search pages; the pages of ads only where asked for."""

    kind: ClassVar[str] = "avito"
    start: ClassVar[str] = "https://www.avito.ma/fr/maroc/voitures_d_occasion-à_vendre"
    has_details: ClassVar[bool] = True
    least_filled: ClassVar[Mapping[str, float]] = {
        "listing_id": 0.98, "title": 0.98, "city": 0.8, "price_mad": 0.4, "model_year": 0.6,
        "mileage_km_min": 0.5, "fuel": 0.6, "gearbox": 0.4, "posted_at": 0.5, "seller_kind": 0.5,
        "make": 0, "model": 0, "trim": 0, "fiscal_power_cv": 0, "doors": 0, "origin": 0, "first_owner": 0,
        "condition": 0, "district": 0, "old_price_mad": 0, "category": 0,
    }  # fmt: skip

    def read(self, page: Page, kind: str) -> PageContent:
        """The ads of a search page, or the one of its own page."""
        selector = Selector(whole_html(page))
        data = _embedded(selector)
        if kind == "ad":
            return PageContent(ads=[self._ad(page, _published(data), page.address)])
        found = _at(data, _SEARCH)
        if not isinstance(found, dict) or not isinstance(found.get("ads"), list):
            raise ShapeMoved(
                f"The ads were expected at {'.'.join((*_SEARCH, 'ads'))} of __NEXT_DATA__, "
                f"found {_known(data)}."
            )
        told = [ad for ad in found["ads"] if isinstance(ad, dict)]
        ads = [self._ad(page, ad, _text(ad.get("href"))) for ad in told if ad.get("href")]
        if found["ads"] and not ads:
            keys = sorted(told[0]) if told else []
            raise ShapeMoved(
                f"Ads with an address (href) were expected, found the keys {', '.join(keys)[:200]}."
            )
        links = [Link("ad", ad.url) for ad in ads] if self.with_details else []
        total = found.get("totalListingAds", found.get("total"))
        return PageContent(
            ads, [*self.next_page(page, selector), *links], total if isinstance(total, int) else None
        )

    def _ad(self, page: Page, ad: Mapping[str, Any], href: str | None) -> Ad:
        address = self.same_site(page, href) or page.address
        number = _NUMBER_IN_ADDRESS.search(address)
        parameters = _parameters(ad)
        least, most = values.mileage_km(parameters.get("mileage"))
        city, district = _place(ad)
        old = ad.get("oldPrice")
        price = ad.get("price")
        return Ad(
            listing_id=number[1] if number else _text(ad.get("listId") or ad.get("id")),
            url=address,
            title=_text(ad.get("subject") or ad.get("title")),
            make=parameters.get("make"),
            model=parameters.get("model"),
            trim=parameters.get("trim"),
            model_year=values.model_year(parameters.get("model_year")),
            mileage_km_min=least,
            mileage_km_max=most,
            fuel=parameters.get("fuel"),
            gearbox=parameters.get("gearbox"),
            fiscal_power_cv=values.small_number(parameters.get("fiscal_power_cv"), 80),
            doors=values.small_number(parameters.get("doors"), 7),
            origin=parameters.get("origin"),
            first_owner=parameters.get("first_owner"),
            condition=parameters.get("condition"),
            city=city,
            district=district,
            price_mad=values.price_mad(price.get("value") if isinstance(price, dict) else price),
            old_price_mad=values.price_mad(old.get("value") if isinstance(old, dict) else old),
            seller_kind=_seller(ad),
            category=_category(ad),
            posted_at=posted_at(ad.get("listTime") or ad.get("date"), page.read_at),
        )


def _embedded(selector: Selector) -> Any:
    text = selector.css(_DATA).get()
    if text is None:
        raise ShapeMoved("A script __NEXT_DATA__ was expected, found none.")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ShapeMoved(f"JSON was expected in __NEXT_DATA__, found something else ({error}).") from error


def _published(data: Any) -> Mapping[str, Any]:
    """The ad of its own page, in either shape."""
    ad = _at(data, _DETAIL)
    if isinstance(ad, dict):
        return ad
    cache = _at(data, _APOLLO)
    if isinstance(cache, dict):
        for key, entry in (cache.get("ROOT_QUERY") or {}).items():
            if _PUBLISHED in key:
                found = _resolved(entry, cache)
                found = found.get("ad", found) if isinstance(found, dict) else found
                if isinstance(found, dict):
                    return found
    raise ShapeMoved(
        f"The ad was expected at {'.'.join(_DETAIL)} or under {_PUBLISHED} of {'.'.join(_APOLLO)}, "
        f"found {_known(data)}."
    )


def _resolved(value: Any, cache: Mapping[str, Any], depth: int = 0) -> Any:
    """A value of Apollo's cache with the entries that `__ref` points to in their places."""
    if depth > 8:
        return None
    if isinstance(value, dict):
        if isinstance(value.get("__ref"), str):
            return _resolved(cache.get(value["__ref"]), cache, depth + 1)
        return {key: _resolved(inner, cache, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, cache, depth + 1) for inner in value]
    return value


def _parameters(ad: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of an ad by our field."""
    found: dict[str, str] = {}
    for parameter in _listed(ad.get("params") or ad.get("parameters")):
        label = str(parameter.get("label") or parameter.get("name") or "").lower().translate(_PLAIN)
        field = _PARAMETERS.get(str(parameter.get("key") or parameter.get("id") or "").lower())
        field = field or _PARAMETERS.get(label)
        # A mileage's `value` is in thousands in places; `fullValue` is what people read.
        told = parameter.get("fullValue") or parameter.get("textValue") or parameter.get("value")
        if field == "mileage" and not parameter.get("fullValue"):
            told = told if "km" in str(told).lower() or "-" in str(told) else None
        if field and (text := _text(told)):
            found.setdefault(field, text)
    return found


def _listed(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Parameters in one list, or in `primary`, `secondary` and `extra`."""
    groups = parameters.values() if isinstance(parameters, dict) else [parameters]
    for group in groups:
        for parameter in group if isinstance(group, list) else ():
            if isinstance(parameter, dict):
                yield parameter


def _place(ad: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """City and district; search pages say `district, city` or the city alone."""
    location = ad.get("location")
    if isinstance(location, dict):
        return tuple(_text(_name(location.get(part))) for part in ("city", "area"))  # type: ignore[return-value]
    parts = [part.strip() for part in str(location or "").split(",") if part.strip()]
    if not parts:
        return None, None
    return parts[-1], parts[0] if len(parts) > 1 else None


def _category(ad: Mapping[str, Any]) -> str | None:
    return _text(_name(ad.get("category")))


def _name(value: Any) -> Any:
    return value.get("name") or value.get("label") if isinstance(value, dict) else value


def _seller(ad: Mapping[str, Any]) -> str | None:
    seller = ad.get("seller")
    told = (
        str(seller.get("type") or seller.get("__typename") or "").lower() if isinstance(seller, dict) else ""
    )
    for word, kind in _SELLERS.items():
        if word in told:
            return kind
    if isinstance(ad.get("isShop"), bool):
        return "shop" if ad["isShop"] else "private"
    return None


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _known(data: Any) -> str:
    """The keys of a page's data that are there, for the message."""
    properties = _at(data, _PAGE)
    component = _at(data, (*_PAGE, "componentProps"))
    for found in (component, properties, data):
        if isinstance(found, dict):
            return f"the keys {', '.join(sorted(map(str, found)))[:200] or '(none)'}"
    return type(data).__name__


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    return " ".join(str(value).split()) or None
