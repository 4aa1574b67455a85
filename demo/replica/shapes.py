"""The pages of the market in the shapes of the sites that the collector reads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from demo.replica.market import MarketAd

_ICONS = ("calendar", "cog", "tachometer", "road")


def avito_search(ads: Sequence[MarketAd], page: int, pages: int, total: int, path: str) -> str:
    """A search page of the first shape: the ads in `__NEXT_DATA__`."""
    component = {"ads": {"ads": [_avito_card(ad) for ad in ads], "totalListingAds": total}}
    following = f'<link rel="next" href="{path}?o={page + 1}">' if page < pages else ""
    return _next_page({"componentProps": component}, following)


def avito_ad(ad: MarketAd, apollo: bool = False) -> str:
    """The page of one ad, in the older shape or in that of Apollo's cache."""
    parameters = {
        "primary": [_parameter("brand", "Marque", ad.make), _parameter("model", "Modèle", ad.model)],
        "secondary": _secondary(ad),
        "extra": [
            _parameter("pfiscale", "Puissance fiscale", f"{ad.power} CV"),
            _parameter("doors", "Nombre de portes", "5"),
            _parameter("first_owner", "Première main", "Oui"),
            _parameter("auto_condition", "État", "Très bon"),
        ],
    }
    body = _avito_card(ad) | {"params": parameters, "description": f"Appelez {ad.telephone}"}
    if not apollo:
        return _next_page({"componentProps": {"adInfo": {"ad": body}}})
    reference = f"PublishedAd:{ad.number}"
    seller = body.pop("seller")
    cache = {
        "ROOT_QUERY": {f'getPublishedAd({{"listId":{ad.number}}})': {"__ref": reference}},
        reference: body | {"seller": {"__ref": "Seller:1"}},
        "Seller:1": seller,
    }
    return _next_page({"apolloState": cache})


def moteur_search(ads: Sequence[MarketAd], page: int, pages: int, path: str, now: datetime) -> str:
    """A search page with one card for each ad."""
    cards = "".join(_moteur_card(ad, now) for ad in ads)
    following = f'<a rel="next" href="{path}?per_page=30&amp;page={page + 1}">»</a>' if page < pages else ""
    return _html("", (cards or '<p class="no-results">Aucune annonce</p>') + following)


def jsonld_search(ads: Sequence[MarketAd], page: int, pages: int, path: str) -> str:
    """A search page with the cars as a list in JSON-LD."""
    items = [{"@type": "ListItem", "position": n, "item": jsonld_car(ad)} for n, ad in enumerate(ads, 1)]
    following = f'<link rel="next" href="{path}?page={page + 1}">' if page < pages else ""
    return _html(following + _jsonld({"@type": "ItemList", "itemListElement": items}), "")


def jsonld_ad(ad: MarketAd) -> str:
    """The page of one car in JSON-LD."""
    return _html(_jsonld(jsonld_car(ad)), f"<p>Appelez {ad.telephone}</p>")


def jsonld_car(ad: MarketAd) -> dict[str, Any]:
    """One car in schema.org's terms."""
    offer: dict[str, Any] = {
        "@type": "Offer",
        "priceCurrency": "MAD",
        "seller": {
            "@type": "AutoDealer" if ad.is_shop else "Person",
            "name": ad.seller,
            "telephone": ad.telephone,
            "address": {"@type": "PostalAddress", "addressLocality": ad.city},
        },
    }
    if ad.price:
        offer["price"] = str(ad.price)
    return {
        "@type": ["Product", "Car"], "name": ad.title, "sku": str(ad.number), "url": jsonld_path(ad),
        "brand": {"@type": "Brand", "name": ad.make}, "model": ad.model, "vehicleModelDate": str(ad.year),
        "mileageFromOdometer": {"@type": "QuantitativeValue", "value": ad.km, "unitCode": "KMT"},
        "fuelType": ad.fuel, "vehicleTransmission": ad.gearbox, "vehicleConfiguration": ad.trim,
        "numberOfDoors": 5, "description": f"Appelez {ad.telephone}", "image": "/photo.jpg", "offers": offer,
    }  # fmt: skip


def sitemap(addresses: Sequence[str]) -> str:
    """A sitemap of pages."""
    entries = "".join(f"<url><loc>{address}</loc></url>" for address in addresses)
    return (
        f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
    )


def avito_path(ad: MarketAd) -> str:
    """Where the page of an ad is on Avito."""
    return f"/fr/{_slug(ad.district)}/voitures_d_occasion/{_slug(ad.title)}_{ad.number}.htm"


def moteur_path(ad: MarketAd) -> str:
    """Where the page of an ad is on Moteur.ma."""
    return f"/fr/voiture/achat-voiture-occasion/detail-annonce/{ad.number}/{_slug(ad.title)}.html"


def jsonld_path(ad: MarketAd) -> str:
    """Where the page of a car is on a site with JSON-LD."""
    return f"/cars/{ad.number}"


def relative(hours: int) -> str:
    """How long ago, in a site's words."""
    if hours < 1:
        return "il y a 12 minutes"
    if hours < 24:
        return f"il y a {hours} heure{'s' if hours > 1 else ''}"
    return "hier" if hours < 48 else f"il y a {hours // 24} jours"


def _avito_card(ad: MarketAd) -> dict[str, Any]:
    return {
        "id": str(ad.number + 7), "listId": ad.number, "subject": ad.title, "href": avito_path(ad),
        "price": {"value": ad.price if ad.price is not None else ""}, "oldPrice": ad.old_price,
        "location": f"{ad.district}, {ad.city}", "date": relative(ad.hours), "isShop": ad.is_shop,
        "category": {"name": "Location de voitures" if ad.is_rental else "Voitures d'occasion"},
        "seller": {"type": "STORE" if ad.is_shop else "PRIVATE", "name": ad.seller, "phone": ad.telephone},
        "images": ["https://images.invalid/1.jpg"], "params": {"secondary": _secondary(ad)},
    }  # fmt: skip


def _secondary(ad: MarketAd) -> list[dict[str, str]]:
    return [
        _parameter("regdate", "Année-Modèle", str(ad.year)),
        {"key": "mileage", "label": "Kilométrage", "value": str(ad.km // 1000),
         "fullValue": f"{ad.km:,} km".replace(",", " ")},
        _parameter("bv", "Boite de vitesses", ad.gearbox),
        _parameter("fuel", "Type de carburant", ad.fuel),
    ]  # fmt: skip


def _parameter(key: str, label: str, value: str) -> dict[str, str]:
    return {"key": key, "label": label, "value": value, "fullValue": value}


def _moteur_card(ad: MarketAd, now: datetime) -> str:
    price = f"{ad.price:,} MAD" if ad.price else "Appeler pour le prix"
    told = (str(ad.year), ad.gearbox, ad.fuel, f"{ad.km} km")
    icons = "".join(
        f'<li><i class="fa fa-{icon}"></i> {text}</li>' for icon, text in zip(_ICONS, told, strict=True)
    )
    posted = (now - timedelta(hours=ad.hours)).isoformat()
    return (
        f'<div class="ads-index-card"><a href="{moteur_path(ad)}">'
        f'<h3 class="ads-index-title">{ad.title}</h3></a>'
        f'<div class="ad-price-grid">{price}</div><ul>{icons}</ul><span class="ad-city">{ad.city}</span>'
        f'<span class="timeago" data-time="{posted}"></span>'
        f'<span class="seller">{ad.seller} {ad.telephone}</span></div>'
    )


def _next_page(properties: dict[str, Any], head: str = "") -> str:
    data = json.dumps({"props": {"pageProps": properties}}, ensure_ascii=False)
    return _html(head, f'<script id="__NEXT_DATA__" type="application/json">{data}</script>')


def _jsonld(item: dict[str, Any]) -> str:
    data = json.dumps({"@context": "https://schema.org"} | item, ensure_ascii=False)
    return f'<script type="application/ld+json">{data}</script>'


def _html(head: str, body: str) -> str:
    return f'<!doctype html><html><head><meta charset="utf-8">{head}</head><body>{body}</body></html>\n'


def _slug(text: str) -> str:
    return quote(re.sub(r"[\s/]+", "_", text))
