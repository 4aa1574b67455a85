"""Moteur.ma: the cards of its search pages. Make and model are in the title alone, which may be Arabic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from parsel import Selector

from carprice_collector import values
from carprice_collector.ads import Ad
from carprice_collector.dates import posted_at
from carprice_collector.pages import Page, PageContent, ShapeMoved, whole_html
from carprice_collector.sources.source import Source

_CARD = ".ads-index-card"
_TITLE = ".ads-index-title"
_LINK = "a[href*='/detail-annonce/']::attr(href)"
_PRICE = ".ad-price-grid"
_OLD_PRICE = ".ad-old-price"
_PLACE = ".ad-city, .ads-index-city"
_TIME = ".timeago::attr(data-time), .timeago::attr(datetime)"
_SHOP = ".ad-pro, .badge-pro"
_ICONS = {"model_year": "calendar", "gearbox": "cog", "fuel": "tachometer", "mileage": "road"}
_NOTHING = ".no-results, .alert-info"
_ID = re.compile(r"/detail-annonce/(\d+)/")


class Moteur(Source):
    """Used cars of Moteur.ma, from its search pages."""

    kind: ClassVar[str] = "moteur"
    start: ClassVar[str] = (
        "https://www.moteur.ma/fr/voiture/achat-voiture-occasion/recherche/?per_page=30&page=1"
    )
    least_filled: ClassVar[Mapping[str, float]] = {
        "listing_id": 0.98, "title": 0.95, "price_mad": 0.4, "model_year": 0.6, "fuel": 0.5, "gearbox": 0.4,
        "mileage_km_min": 0.4, "posted_at": 0.4, "city": 0, "old_price_mad": 0, "seller_kind": 0,
    }  # fmt: skip

    def read(self, page: Page, kind: str) -> PageContent:
        """The ads of a search page."""
        selector = Selector(whole_html(page))
        cards = selector.css(_CARD)
        links = self.next_page(page, selector)
        if not cards and (links or not selector.css(_NOTHING)):
            raise ShapeMoved(
                f"Cards ({_CARD}) or a word that nothing was found were expected, found neither."
            )
        ads = [ad for card in cards if (ad := self._ad(page, card)) is not None]
        if cards and not ads:
            raise ShapeMoved(
                f"Links to ads (/detail-annonce/…) were expected in {len(cards)} cards, found none."
            )
        return PageContent(ads, links)

    def _ad(self, page: Page, card: Selector) -> Ad | None:
        address = self.same_site(page, card.css(_LINK).get())
        number = _ID.search(address or "")
        if address is None or number is None:
            return None
        told = {name: _beside_icon(card, icon) for name, icon in _ICONS.items()}
        least, most = values.mileage_km(told["mileage"])
        return Ad(
            listing_id=number[1],
            url=address,
            title=_text(card, _TITLE),
            model_year=values.model_year(told["model_year"]),
            mileage_km_min=least,
            mileage_km_max=most,
            fuel=told["fuel"],
            gearbox=told["gearbox"],
            city=_text(card, _PLACE),
            price_mad=values.price_mad(_text(card, _PRICE)),
            old_price_mad=values.price_mad(_text(card, _OLD_PRICE)),
            seller_kind="shop" if card.css(_SHOP) else None,
            posted_at=posted_at(card.css(_TIME).get(), page.read_at),
        )


def _text(card: Selector, css: str) -> str | None:
    found = card.css(css)
    return (" ".join(found[0].xpath("string()").get("").split()) or None) if found else None


def _beside_icon(card: Selector, icon: str) -> str | None:
    """The text of the element that the icon stands in."""
    found = card.xpath(f".//*[contains(concat(' ', @class, ' '), ' fa-{icon} ')]/..")
    return (" ".join(found[0].xpath("string()").get("").split()) or None) if found else None
