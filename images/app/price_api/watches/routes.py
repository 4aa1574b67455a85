"""The routes of saved searches: POST and GET /v1/watches, one by its secret, its feed, its end."""

from __future__ import annotations

import math
import time
from typing import Any, cast

from fastapi import FastAPI, Request, Response

from carprice.listings.records import shown
from carprice_contract.data_root import MOST_WATCHES
from price_api.caching import cacheable
from price_api.direct_routes import add_direct_route, body_schema
from price_api.market.files import Market
from price_api.market.filters import FILTERS, OfferFilters, known_names, read_filters
from price_api.market.offers import as_rows
from price_api.pricing import Json, json_body, object_body
from price_api.problems import Refusal, field_error, refused_fields
from price_api.rate_limit import TokenBuckets
from price_api.services import Services
from price_api.watches.files import SavedSearch, Told, TooManyWatches, WatchFiles
from price_contract.answers import FieldError
from price_contract.language import asked_for
from price_contract.offer_answers import NewWatch, SavedWatch, ToldOffer, Watch, Watches, WatchFilters
from price_contract.watch_feed import CONTENT_TYPE, feed_of

MOST_TOLD = 100
EXAMPLE: dict[str, Any] = {
    "make": "Dacia",
    "model": "Logan",
    "year_from": 2012,
    "price_to": 90000,
    "labels": ["very_good_price", "good_price"],
}
# A saved search stays, and every rating of the market looks at it: it counts as many requests.
_AS_REQUESTS_A_SECOND, _AS_REQUESTS_AT_ONCE = 6_000, 20
_SEEN_BY_NOBODY_ELSE = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
_SECRET = {
    "name": "secret", "in": "path", "required": True, "schema": {"type": "string"},
    "description": "The `secret` that came when the watch was made.",
}  # fmt: skip
_LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The language of the feed and of the messages: French, English or Arabic.",
}
_ANSWER: NewWatch = {
    "watch": "3f2a9c0d4be1a54c",
    "secret": "3f2a9c0d4be1a54c-…",
    "feed": "/v1/watches/3f2a9c0d4be1a54c-…/feed",
    "filters": cast(WatchFilters, EXAMPLE),
    "created_at": "2026-11-27T05:00:00+00:00",
}


def add_watches(app: FastAPI, services: Services) -> None:
    """POST and GET /v1/watches, GET and DELETE /v1/watches/{secret}, GET /v1/watches/{secret}/feed."""
    files = WatchFiles(services.root)
    settings = services.settings
    buckets = TokenBuckets(
        settings.requests_per_second / _AS_REQUESTS_A_SECOND,
        max(1, settings.burst // _AS_REQUESTS_AT_ONCE),
    )

    async def create(request: Request) -> Response:
        """Save a search. New offers that fit are told once, in the feed and by the pipeline's messages.

        The fields are filters of `/v1/listings`; `labels` are those that are told, good and very good prices
        where there are none. The secret is shown this once: who has it reads and removes the watch.
        """
        document = object_body(await json_body(request), '{"make": "Dacia", "model": "Logan"}')
        filters = _filters(document)
        _refuse_too_many_at_once(buckets, request.state.caller)
        language = asked_for(request.headers.get("accept-language", ""))
        market = services.market.market
        wanted = _as_offered(filters, market).record()
        try:
            made, secret = await services.stored(
                lambda: files.create(wanted, request.state.key_name, language)
            )
        except TooManyWatches as problem:
            raise Refusal("too-many-watches", {"most": MOST_WATCHES}) from problem
        answer: NewWatch = {
            "watch": made.id,
            "secret": secret,
            "feed": f"/v1/watches/{secret}/feed",
            "filters": made.filters,
            "created_at": made.created_at,
        }
        return Json(answer, 201, headers={"Cache-Control": "no-store"})

    async def mine(request: Request) -> Response:
        """The watches that were made with the caller's API key, newest first; none without a key."""
        key_name = request.state.key_name
        found = await services.stored(lambda: files.of_key(key_name)) if key_name else []
        return Json(Watches(watches=[_saved(each) for each in found]))

    async def one(request: Request) -> Response:
        """A watch and the offers that it told of, newest first."""
        watch, told = await _told(request)
        answer: Watch = {**_saved(watch), "offers": told}
        response = Json(answer)
        response.headers.update(_SEEN_BY_NOBODY_ELSE)
        return cacheable(request, response)

    async def remove(request: Request) -> Response:
        """Remove a watch and all that it told."""
        watch = await _found(request)
        await services.stored(lambda: files.remove(watch))
        return Response(status_code=204)

    async def feed(request: Request) -> Response:
        """The offers that a watch told of, as an Atom feed for any reader. It asks for no API key."""
        watch, told = await _told(request)
        content = feed_of(watch.id, watch.filters, watch.created_at, told, str(request.url), watch.language)
        headers = {**_SEEN_BY_NOBODY_ELSE, "Content-Type": CONTENT_TYPE, "X-Content-Type-Options": "nosniff"}
        return cacheable(request, Response(content, headers=headers))

    async def _found(request: Request) -> SavedSearch:
        secret = str(request.path_params["secret"])
        watch = await services.stored(lambda: files.find(secret))
        if watch is None:
            raise Refusal("watch-unknown")
        return watch

    async def _told(request: Request) -> tuple[SavedSearch, list[ToldOffer]]:
        watch = await _found(request)
        told = await services.stored(lambda: files.told(watch))
        return watch, _with_offers(told[:MOST_TOLD], services.market.market)

    tag = "watches"
    add_direct_route(
        app, "/v1/watches", create, "POST", None, (409, 422), tag=tag, success=(201,), name="save_watch",
        answer={"model": NewWatch, "content": {"application/json": {"example": _ANSWER}}},
        summary="Save a search",
        openapi_extra=body_schema("WatchIn", {"one": {"summary": "Cheap Logans", "value": EXAMPLE}})
        | {"parameters": [_LANGUAGE]},
    )  # fmt: skip
    add_direct_route(app, "/v1/watches", mine, "GET", Watches, (), tag=tag, summary="The caller's watches")
    add_direct_route(
        app, "/v1/watches/{secret}", one, "GET", Watch, (404,), tag=tag, name="watch", kept=True,
        summary="A watch and what it told", openapi_extra={"parameters": [_SECRET]},
    )  # fmt: skip
    add_direct_route(
        app, "/v1/watches/{secret}", remove, "DELETE", None, (404,), tag=tag, success=(204,),
        name="remove_watch", answer={"description": "It is removed."}, summary="Remove it",
        openapi_extra={"parameters": [_SECRET]},
    )  # fmt: skip
    atom = {"description": "The feed.", "content": {"application/atom+xml": {"schema": {"type": "string"}}}}
    add_direct_route(
        app, "/v1/watches/{secret}/feed", feed, "GET", None, (404,), tag=tag, name="watch_feed", kept=True,
        answer=atom, response_class=Response, summary="Its feed",
        openapi_extra={"parameters": [_SECRET], "security": [{}]},
    )  # fmt: skip


def _filters(document: dict[str, Any]) -> OfferFilters:
    """The filters of a body. Raises `Refusal` with each field at fault."""
    names = known_names(document, (*FILTERS, "labels"), "known_field")
    given = {names[key]: value for key, value in document.items()}
    labels = given.pop("labels", None) or []
    errors: list[FieldError] = []
    if not isinstance(labels, list):
        errors.append(field_error("not_accepted", "labels", shown(labels)))
        labels = []
    filters = read_filters(given, labels, errors, "labels")
    if errors:
        raise refused_fields(errors)
    return filters


def _as_offered(filters: OfferFilters, market: Market | None) -> OfferFilters:
    """The filters with their texts as the listings of the market have them."""
    return filters if market is None else market.offers.as_offered(filters)


def _refuse_too_many_at_once(buckets: TokenBuckets, caller: str) -> None:
    wait = buckets.take(caller, time.monotonic())
    if wait:
        seconds = math.ceil(wait)
        params = {
            "most": int(buckets.burst),
            "every_seconds": math.ceil(1 / buckets.rate),
            "wait_seconds": seconds,
        }
        raise Refusal("too-many-new-watches", params, headers={"Retry-After": str(seconds)})


def _saved(watch: SavedSearch) -> SavedWatch:
    return {"watch": watch.id, "filters": watch.filters, "created_at": watch.created_at}


def _with_offers(told: list[Told], market: Market | None) -> list[ToldOffer]:
    """What was told, each with its listing as the market has it now."""
    rows = {each.listing_id: market.offers.row_of(each.listing_id) for each in told} if market else {}
    there = [row for row in rows.values() if row is not None]
    records = market.offers.records(as_rows(there)) if market and there else []
    now = {record["listing_id"]: record for record in records}
    return [
        {
            "listing_id": each.listing_id,
            "at": each.at,
            "price_mad": round(each.price_mad),
            "estimate_mad": None if each.estimate_mad is None else round(each.estimate_mad),
            "label": each.label,
            "offer": now.get(each.listing_id),
        }
        for each in told
    ]
