"""The routes of the cars on offer: /v1/listings, one of them, all as CSV, and /v1/market."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from carprice.listings.records import shown
from carprice.spreadsheets import SpreadsheetWriter
from price_api.caching import cacheable
from price_api.direct_routes import add_direct_route
from price_api.market import questions
from price_api.market.cursors import cursor_of, place_of
from price_api.market.details import details_of
from price_api.market.examples import LISTING, LISTINGS, MARKET
from price_api.market.figures import Scope, figures_of
from price_api.market.files import Market
from price_api.market.offers import Offers, Rows
from price_api.pricing import Json
from price_api.problems import Refusal
from price_api.services import Services
from price_contract.offer_answers import MarketFigures, Offer, OfferDetails, OffersPage

MOST_EXPORTED = 100_000
_EXPORTED = tuple(name for name in Offer.__annotations__ if name != "prices")
_FLUSH_ROWS = 500
_REMEMBERED_SCOPES = 200
_TAG = "market"


def add_market(app: FastAPI, services: Services) -> None:
    """GET /v1/listings, /v1/listings.csv, /v1/listings/{listing_id}, /v1/market."""
    followed = services.market
    remembered = _Figures()

    async def listings(request: Request) -> Response:
        """The listings that fit, each with its estimate and its label.

        `next` of an answer is the `cursor` of the next page. A cursor belongs to one market: once the
        listings are rated again it is refused with the code `cursor-outdated`, and the pages begin anew.
        Make and model are read as in `/v1/predict`; one that nobody offers has an empty list. A listing whose
        year, mileage or city is unknown fails a filter on it. Suspicious listings are in the list, and never
        have the label of a good price.
        """
        market = followed.current()
        asked = questions.read_page_question(request)
        page = page_of(market, asked)
        answer = cacheable(request, Json(page))
        if page["next"]:
            following = request.url.include_query_params(cursor=page["next"])
            answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return answer

    async def listing(request: Request) -> Response:
        """One listing: the estimates over time, what explains its price, the cars that it is most like."""
        market = followed.current()
        listing_id = str(request.path_params["listing_id"])
        row = market.offers.row_of(listing_id)
        if row is None:
            raise Refusal("listing-unknown", {"listing_id": shown(listing_id)})
        serving = services.follower.production
        return cacheable(request, await services.work(lambda: Json(details_of(market, row, serving))))

    async def exported(request: Request) -> Response:
        """All listings that fit, as CSV, at most 100,000. A spreadsheet runs no cell as a formula."""
        market = followed.current()
        asked = questions.read_question(request)
        offers = market.offers
        rows = await services.read(lambda: offers.ordered(asked.fitting(offers), asked.sort))
        if len(rows) > MOST_EXPORTED:
            raise Refusal("too-many-listings", {"most": MOST_EXPORTED, "found": len(rows)})
        lines = csv_of(offers, rows)
        first = await services.read(lambda: next(lines, ""))
        return StreamingResponse(
            chain([first], lines),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="listings.csv"'},
        )

    async def figures(request: Request) -> Response:
        """What the cars on offer cost: asking prices, by year, by mileage, by model, and the market's level.

        Of fewer than five listings there are no figures. `level` is the price of an equal car over time.
        """
        market = followed.current()
        scope = questions.read_scope(request)
        found = remembered.get(market, scope)
        if found is None:
            made: MarketFigures = await services.work(lambda: figures_of(market, scope))
            remembered.keep(market, scope, made)
            found = made
        return cacheable(request, Json(found))

    following_page = {"Link": {"description": "The next page.", "schema": {"type": "string"}}}
    add_direct_route(
        app, "/v1/listings", listings, "GET", None, (409, 422), tag=_TAG, kept=True,
        answer=_answered(OffersPage, LISTINGS) | {"headers": following_page},
        summary="The cars on offer",
        openapi_extra={"parameters": questions.parameters(paged=True)},
    )  # fmt: skip
    add_direct_route(
        app, "/v1/listings.csv", exported, "GET", None, (422,), tag=_TAG, name="listings_csv",
        answer={"description": "The listings.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        response_class=Response, summary="The cars on offer as CSV",
        openapi_extra={"parameters": questions.parameters(paged=False)},
    )  # fmt: skip
    identified = {
        "name": "listing_id", "in": "path", "required": True, "schema": {"type": "string"},
        "description": "`listing_id` of a listing.",
    }  # fmt: skip
    add_direct_route(
        app, "/v1/listings/{listing_id:path}", listing, "GET", None, (404,), tag=_TAG, kept=True,
        name="listing", answer=_answered(OfferDetails, LISTING),
        summary="One of them", openapi_extra={"parameters": [identified]},
    )  # fmt: skip
    add_direct_route(
        app, "/v1/market", figures, "GET", None, (422,), tag=_TAG, kept=True,
        answer=_answered(MarketFigures, MARKET),
        summary="What they cost", openapi_extra={"parameters": questions.scope_parameters()},
    )  # fmt: skip


def page_of(market: Market, asked: questions.PageQuestion) -> OffersPage:
    """The answer of /v1/listings. Raises `Refusal` for a cursor of another market or question."""
    offers, question = market.offers, asked.question
    mask = question.fitting(offers)
    rows = offers.ordered(mask, question.sort)
    first = 0
    if asked.cursor is not None:
        first = place_of(asked.cursor, market.key, market.made_at, question.text, len(rows))
    end = first + asked.limit
    return {
        "model_version": market.model_version,
        "made_at": market.made_at,
        "newest_seen_at": market.newest_seen_at,
        "total": len(rows),
        "labels": offers.labels(mask),
        "listings": offers.records(rows[first:end]),
        "next": cursor_of(market.key, question.text, end) if end < len(rows) else None,
    }


def csv_of(offers: Offers, rows: Rows) -> Iterator[str]:
    """Listings as CSV, a few hundred rows at a time."""
    text = io.StringIO()
    writer = SpreadsheetWriter(text, _EXPORTED)
    for first in range(0, len(rows), _FLUSH_ROWS):
        for offer in offers.records(rows[first : first + _FLUSH_ROWS]):
            record: dict[str, Any] = {**offer, "suspicions": ",".join(offer["suspicions"])}
            writer.write([[record[name] for name in _EXPORTED]])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


class _Figures:
    """The figures of the scopes that were asked last, of one market. Lives on the event loop."""

    def __init__(self) -> None:
        self._market_key = ""
        self._found: OrderedDict[Scope, MarketFigures] = OrderedDict()

    def get(self, market: Market, scope: Scope) -> MarketFigures | None:
        if market.key != self._market_key:
            return None
        found = self._found.get(scope)
        if found is not None:
            self._found.move_to_end(scope)
        return found

    def keep(self, market: Market, scope: Scope, figures: MarketFigures) -> None:
        if market.key != self._market_key:
            self._market_key, self._found = market.key, OrderedDict()
        self._found[scope] = figures
        if len(self._found) > _REMEMBERED_SCOPES:
            self._found.popitem(last=False)


def _answered(model: Any, example: dict[str, Any]) -> dict[str, Any]:
    return {"model": model, "content": {"application/json": {"example": example}}}
