"""Any site that publishes its cars as schema.org `Car` or `Vehicle` in JSON-LD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from extruct.jsonld import JsonLdExtractor
from parsel import Selector
from scrapy.utils.sitemap import Sitemap

from carprice_collector import values
from carprice_collector.ads import Ad
from carprice_collector.dates import posted_at
from carprice_collector.pages import BrokenPage, Link, Page, PageContent, ShapeMoved, whole_html
from carprice_collector.sources.source import Source

_CARS = {"Car", "Vehicle", "MotorizedVehicle", "UsedCar"}
_SHOPS = {"AutoDealer", "Organization", "LocalBusiness", "Corporation", "Store"}
_KILOMETRES = {"", "KMT", "KM", "KILOMETERS", "KILOMETRES", "KILOMETER", "KILOMETRE"}
_MAX_SITEMAP_LINKS = 50_000
_NO_CAR_PAGE = re.compile(r"\.(?:jpe?g|png|webp|gif|pdf|svg)$", re.IGNORECASE)


class JsonLd(Source):
    """Cars of a site that describes them for search engines, by a first page or a sitemap."""

    kind: ClassVar[str] = "jsonld"
    least_filled: ClassVar[Mapping[str, float]] = {
        "listing_id": 0, "title": 0.8, "make": 0.5, "model": 0.5, "price_mad": 0.4, "model_year": 0.5,
        "mileage_km_min": 0.3, "fuel": 0.3, "gearbox": 0.2, "trim": 0, "doors": 0, "condition": 0, "city": 0,
        "seller_kind": 0, "posted_at": 0,
    }  # fmt: skip

    @property
    def name(self) -> str:
        """The site's own host, because the kind says nothing of it."""
        return urlsplit(f"//{self.site}").hostname or self.site

    def read(self, page: Page, kind: str) -> PageContent:
        """The cars of a page, the next page, and the pages of a sitemap."""
        if kind == "sitemap":
            return PageContent(links=self._sitemap_links(page))
        selector = Selector(whole_html(page))
        try:
            items = JsonLdExtractor().extract(page.text)
        except ValueError as error:
            raise ShapeMoved(
                f"JSON was expected in the page's JSON-LD, found something else ({error})."
            ) from error
        cars = list(_cars(items))
        if not cars and kind == "search":
            raise ShapeMoved(
                "Cars (schema.org Car or Vehicle) were expected in the page's JSON-LD, "
                f"found {', '.join(sorted(set(_types(items)))) or 'no JSON-LD'}."
            )
        ads = [ad for car in cars if (ad := self._ad(page, car, len(cars) == 1)) is not None]
        return PageContent(ads, self.next_page(page, selector) if kind == "search" else [])

    def _sitemap_links(self, page: Page) -> list[Link]:
        try:
            sitemap = Sitemap(page.text.encode())
        except ValueError as error:
            raise BrokenPage(f"A sitemap was expected, found something else ({error}).") from error
        kind = {"sitemapindex": "sitemap", "urlset": "ad"}.get(sitemap.type)
        if kind is None:
            raise ShapeMoved(f"A sitemap was expected, found XML of the type {sitemap.type!r}.")
        links: list[Link] = []
        for entry in sitemap:
            address = self.same_site(page, entry.get("loc"))
            if address and not _NO_CAR_PAGE.search(address) and len(links) < _MAX_SITEMAP_LINKS:
                links.append(Link(kind, address))  # type: ignore[arg-type]
        return links

    def _ad(self, page: Page, car: Mapping[str, Any], alone: bool) -> Ad | None:
        offer = _first(car.get("offers"))
        address = self.same_site(page, _text(car.get("url")) or _text(offer.get("url")))
        if address is None:
            if not alone:
                return None
            address = page.address
        least, most = _mileage(car.get("mileageFromOdometer"))
        identifier = car.get("sku") or car.get("productID") or car.get("identifier")
        return Ad(
            listing_id=_text(_first(identifier).get("value") if isinstance(identifier, dict) else identifier),
            url=address,
            title=_text(car.get("name")),
            make=_named(car.get("brand")) or _named(car.get("manufacturer")),
            model=_named(car.get("model")),
            trim=_text(car.get("vehicleConfiguration")),
            model_year=values.model_year(
                car.get("vehicleModelDate") or car.get("modelDate") or car.get("productionDate")
            ),
            mileage_km_min=least,
            mileage_km_max=most,
            fuel=_named(car.get("fuelType")),
            gearbox=_named(car.get("vehicleTransmission")),
            doors=values.small_number(car.get("numberOfDoors"), 7),
            condition=_condition(car.get("itemCondition") or offer.get("itemCondition")),
            city=_city(offer),
            price_mad=_price(offer),
            seller_kind=_seller(offer),
            posted_at=posted_at(car.get("datePosted") or offer.get("validFrom"), page.read_at),
        )


def _cars(items: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every car in JSON-LD, wherever it is nested."""
    if depth > 8:
        return
    if isinstance(items, list):
        for item in items:
            yield from _cars(item, depth + 1)
    elif isinstance(items, dict):
        if _CARS & set(_types(items)):
            yield items
        else:
            for value in items.values():
                if isinstance(value, dict | list):
                    yield from _cars(value, depth + 1)


def _types(items: Any) -> list[str]:
    if isinstance(items, list):
        return [name for item in items for name in _types(item)]
    told = items.get("@type") if isinstance(items, dict) else None
    names = told if isinstance(told, list) else [told] if told else []
    return [str(name).rpartition("/")[2] for name in names]


def _price(offer: Mapping[str, Any]) -> int | None:
    """The price where it is said to be in dirhams."""
    specification = _first(offer.get("priceSpecification"))
    currency = str(offer.get("priceCurrency") or specification.get("priceCurrency") or "").upper()
    if currency not in ("MAD", "DH", "DHS"):
        return None
    return values.price_mad(offer.get("price") or specification.get("price"))


def _mileage(told: Any) -> tuple[int | None, int | None]:
    if not isinstance(told, dict):
        return values.mileage_km(told)
    unit = str(told.get("unitCode") or told.get("unitText") or "").upper()
    return values.mileage_km(told.get("value")) if unit in _KILOMETRES else (None, None)


def _seller(offer: Mapping[str, Any]) -> str | None:
    types = set(_types(_first(offer.get("seller") or offer.get("offeredBy"))))
    return "shop" if types & _SHOPS else "private" if "Person" in types else None


def _city(offer: Mapping[str, Any]) -> str | None:
    place = _first(offer.get("availableAtOrFrom"))
    address = _first(place.get("address")) or _first(_first(offer.get("seller")).get("address"))
    return _text(address.get("addressLocality"))


def _condition(told: Any) -> str | None:
    """What people call the condition; `UsedCondition` is true of every used car and tells nothing."""
    text = str(told or "").rpartition("/")[2]
    return "neuf" if text == "NewCondition" else None


def _named(value: Any) -> str | None:
    value = value[0] if isinstance(value, list) and value else value
    return _text(value.get("name") if isinstance(value, dict) else value)


def _first(value: Any) -> Mapping[str, Any]:
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    return " ".join(str(value).split()) or None
