"""*Annonces* as it arrives: the cars are in the HTML, above an app that still loads.

A browser needs seconds for Streamlit's program. Until it has drawn the list, this one stands in its place,
with the same cards and working links. A script of a few lines then takes it away; a visitor without
JavaScript keeps it.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse

from price_app import offer_search, places, screens
from price_app.api_client import ApiClient, ApiProblem
from price_app.settings import SettingError, Settings
from price_app.views import offer_card, offers
from price_contract import formats
from price_contract.language import LANGUAGES, SOURCE, _, current, direction, ngettext, speaking
from price_contract.offer_answers import OffersPage

log = logging.getLogger(__name__)

# The list is worth waiting for so long, in seconds; after it the app comes alone.
PATIENCE = 0.5
# Visitors whose cars are asked for at the same moment; the others wait, no longer than that.
_MOST_AT_ONCE = 8
# Streamlit draws into this element.
ROOT = '<div id="root"></div>'


async def page(request: Request) -> HTMLResponse:
    """Streamlit's page, with the cars of the search that the address names where they are known in time."""
    asked = dict(request.query_params)
    cars = ""
    if not {places.AD, places.WATCH, offers.CURSOR} & set(asked):
        try:
            found = asyncio.get_running_loop().run_in_executor(_threads(), cars_html, asked)
            cars = await asyncio.wait_for(found, PATIENCE)
        except (ApiProblem, SettingError, TimeoutError) as problem:
            # The app asks again, and has a screen for each problem.
            log.info("the page comes without its cars: %s", type(problem).__name__)
        except Exception:
            log.exception("the page comes without its cars")
    return HTMLResponse(shell().replace(ROOT, cars + ROOT), headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=1)
def shell() -> str:
    """The page that Streamlit answers every address with."""
    return (Path(streamlit.__file__).with_name("static") / "index.html").read_text(encoding="utf-8")


def cars_html(asked: dict[str, str]) -> str:
    """The list for the parameters of an address as HTML; "" where there is nothing to show."""
    wanted = asked.get("lang", SOURCE)
    with speaking(wanted if wanted in LANGUAGES else SOURCE):
        found = _client().listings(offers.query(offer_search.of_address(asked)))
        return _first_sight(found) if found["listings"] else ""


def _first_sight(found: OffersPage) -> str:
    brand, title, lead = _("Prix auto · Maroc"), _("Annonces"), _(offers.LEAD)
    counted = ngettext("{n} annonce", "{n} annonces", found["total"], n=formats.number(found["total"]))
    seen = formats.moment(found["newest_seen_at"])
    newest = _("Dernières annonces vues le {at}.", at=seen) if seen else ""
    detail = _("Voir le détail")
    cards = "".join(
        f'<section class="cp-first-card">{offer_card.card_html(offer)}'
        f'<a href="{escape(_address(offer["listing_id"]))}">{escape(detail)}</a></section>'
        for offer in found["listings"]
    )
    html = (
        f'<main dir="{direction()}"><p class="cp-brand">{escape(brand)}</p>'
        f'<h1>{escape(title)}</h1><p class="cp-lead">{escape(lead)}</p>'
        f'<div class="cp-first-filters" aria-hidden="true">{"<i></i>" * 7}</div>'
        f"<h2>{escape(counted)}</h2>{offer_card.counts_html(found['labels'])}"
        f'<p class="cp-small">{escape(newest)}</p>'
        f'<div class="cp-first-watch" aria-hidden="true"></div>{cards}</main>'
    )
    # The marks by which Streamlit's cards are found stay theirs alone. No text of a listing has a plain `"`.
    html = html.replace('data-testid="', 'data-first="')
    # Half a character, as JSON can have it, is no text that can be sent.
    html = html.encode(errors="replace").decode()
    return (
        f'<div id="first-sight" lang="{current()}"><style>{_style()}</style>{html}</div>'
        f"<script>{_beside('.js')}</script>"
    )


def _address(listing_id: str) -> str:
    """Where a listing's own page is."""
    language = {} if current() == SOURCE else {"lang": current()}
    return f"/{places.OFFERS}?{urlencode(language | {places.AD: listing_id})}"


@lru_cache(maxsize=1)
def _client() -> ApiClient:
    """A connection that gives up when the page does: an API that hangs keeps no thread for long."""
    return ApiClient(Settings.from_environment(), (PATIENCE, PATIENCE))


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="first-sight")


@lru_cache(maxsize=1)
def _style() -> str:
    styles = (path.read_text(encoding="utf-8") for path in (screens.STYLE, screens.MARKET_STYLE))
    return "".join(styles) + _beside(".css")


@lru_cache(maxsize=2)
def _beside(kind: str) -> str:
    return Path(__file__).with_suffix(kind).read_text(encoding="utf-8")
