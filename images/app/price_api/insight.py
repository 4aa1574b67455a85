"""The routes that explain a price: contributions, other mileages and years, similar listings."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request, Response

from carprice.listings.asked_days import ASKED_ON
from carprice.listings.records import shown
from carprice.listings.schema import COLUMNS, FIRST_YEAR
from carprice.model.market import learned_days
from carprice.model.price_evidence import evidence_of
from carprice.model.price_model import price_records
from price_api import schemas
from price_api.direct_routes import add_direct_route, body_schema
from price_api.pricing import (
    LISTING_EXAMPLE,
    Json,
    PricingRequest,
    json_body,
    object_body,
    pricing_request,
    warnings_of,
    whole_mad,
)
from price_api.problems import field_error, refuse_unknown_fields, refused_fields
from price_api.services import Services
from price_api.serving import Serving
from price_contract.answers import Comparable, Comparables, Contribution, CurvePoint, Explained, WhatIf

if TYPE_CHECKING:
    from carprice.model.explanation import Explanation

MOST_POINTS = schemas.MOST_POINTS
MOST_COMPARABLES = 50
BASE_MEANING = (
    "The model's average price (geometric mean) of a hundred listings drawn from those it was trained on, "
    "each on the day that it was asked; each contribution says what this car's values change about it, and "
    "`market` how prices moved until the day asked for."
)


def add_insight(app: FastAPI, services: Services) -> None:
    """POST /v1/explain, POST /v1/what-if, GET /v1/comparables."""

    async def explain(request: Request) -> Response:
        """What each group of values adds to the price, in MAD: Shapley values that add up to the price."""
        serving = services.serving()
        requested = pricing_request(await json_body(request))
        return Json(await services.work(lambda: explained(serving, requested)))

    async def what_if(request: Request) -> Response:
        """The price of the same car with other mileages or model years."""
        serving = services.serving()
        document = object_body(
            await json_body(request), f'{{"listing": {LISTING_EXAMPLE}, "mileage_km": [50000]}}'
        )
        refuse_unknown_fields(document, ("listing", "mileage_km", "model_year"))
        newest = datetime.datetime.now(datetime.UTC).year + 1
        longest = float(COLUMNS["mileage_km_min"].high or 0)
        mileages = _points(document, "mileage_km", 0, longest)
        years = _points(document, "model_year", FIRST_YEAR, newest)
        requested = pricing_request(document.get("listing"))
        return Json(await services.work(lambda: curves(serving, requested, mileages, years)))

    async def comparables(request: Request) -> Response:
        """The listings of the training snapshot that the model finds most similar, with links."""
        serving = services.serving()
        query: dict[str, Any] = dict(request.query_params)
        count = _count(query.pop("count", "8"))
        requested = pricing_request(query)
        return Json(await services.work(lambda: similar(serving, requested, count)))

    add_direct_route(
        app, "/v1/explain", explain, "POST", Explained, (409, 422),
        summary="Why this price", openapi_extra=body_schema("Listing", schemas.LISTING_EXAMPLES),
    )  # fmt: skip
    example = {
        "listing": schemas.ENGLISH,
        "mileage_km": [50000, 100000, 150000],
        "model_year": [2014, 2015, 2016],
    }
    add_direct_route(
        app, "/v1/what-if", what_if, "POST", WhatIf, (422,),
        summary="Other mileages and years",
        openapi_extra=body_schema("WhatIfIn", {"both": {"summary": "Both", "value": example}}),
    )  # fmt: skip
    add_direct_route(
        app, "/v1/comparables", comparables, "GET", Comparables, (409, 422),
        summary="Similar listings", openapi_extra={"parameters": _parameters()},
    )  # fmt: skip


def explained(serving: Serving, requested: PricingRequest) -> Explained:
    """The answer of /v1/explain."""
    listing = requested.listing
    found = serving.training_data.explainer.explain(dict(listing))
    price, base = round(found.price_mad), round(found.base_mad)
    return {
        "price_mad": price,
        "base_mad": base,
        "base_meaning": BASE_MEANING,
        "model": serving.named,
        "contributions": [
            Contribution(
                group=each.group,
                columns=list(each.columns),
                value=value_of(each.columns, listing) or _newest_day(serving, each.columns),
                contribution_mad=share,
            )
            for each, share in zip(found.contributions, whole_shares(found, price - base), strict=True)
        ],
        "warnings": warnings_of(serving, requested),
    }


def _newest_day(serving: Serving, columns: Sequence[str]) -> str | None:
    """The day whose market level a price without `asked_on` has; None for other groups of columns."""
    known = learned_days(serving.pipeline) if ASKED_ON in columns else None
    return known.newest if known else None


def whole_shares(found: Explanation, total: int) -> list[int]:
    """The contributions in whole MAD, with the sum `total`: each rounded up or down (largest remainders)."""
    exact = [each.mad for each in found.contributions]
    shares = [math.floor(each) for each in exact]
    order = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    missing = total - sum(shares)
    for i in range(abs(missing)):
        shares[order[i % len(order)]] += 1 if missing > 0 else -1
    return shares


def value_of(columns: Sequence[str], listing: Mapping[str, Any]) -> str | None:
    """The values of a group in words; None where none is known."""
    if "mileage_km_min" in columns:
        low, high = listing.get("mileage_km_min"), listing.get("mileage_km_max")
        ends = [f"{end:.0f}" for end in (low, high) if end is not None]
        return " - ".join(dict.fromkeys(ends)) or None
    known = [(name, listing[name]) for name in columns if listing.get(name) is not None]
    if len(columns) > 2:  # equipment
        there = [name for name, value in known if value]
        return (", ".join(there) or "none") if known else None
    return " ".join(_word(name, value) for name, value in known) or None


def _word(name: str, value: Any) -> str:
    if name in COLUMNS and COLUMNS[name].kind == "flag":
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def curves(
    serving: Serving, requested: PricingRequest, mileages: Sequence[float], years: Sequence[float]
) -> WhatIf:
    """The answer of /v1/what-if. A point has the warnings that its own mileage or year adds."""
    listing = requested.listing
    own = warnings_of(serving, requested)
    records = [{**listing, "mileage_km_min": km, "mileage_km_max": km} for km in mileages]
    records += [{**listing, "model_year": year} for year in years]
    prices = price_records(serving.pipeline, records)
    points: list[CurvePoint] = []
    for record, row in zip(records, prices, strict=True):
        price, low, high = whole_mad(row)
        found = warnings_of(serving, PricingRequest(record, None))
        known = evidence_of(found) != "none"
        points.append(
            {
                "price_mad": price,
                "low_mad": low if known else None,
                "high_mad": high if known else None,
                "warnings": [each for each in found if each not in own],
            }
        )
    by_mileage, by_year = points[: len(mileages)], points[len(mileages) :]
    return {
        "model": serving.named,
        "mileage_km": [
            {"mileage_km": int(x) if x == int(x) else x, **point}
            for x, point in zip(mileages, by_mileage, strict=True)
        ],
        "model_year": [{"model_year": int(x), **point} for x, point in zip(years, by_year, strict=True)],
        "warnings": own,
    }


def similar(serving: Serving, requested: PricingRequest, count: int) -> Comparables:
    """The answer of /v1/comparables."""
    training_data = serving.training_data
    found = training_data.comparables.nearest(dict(requested.listing), count).astype(object)
    rows = found.where(found.notna(), None).to_dict("records")
    return {
        "model": serving.named,
        "snapshot_id": training_data.tables.snapshot_id,
        "comparables": [
            cast(Comparable, {str(name): _plain(str(name), value) for name, value in row.items()})
            for row in rows
        ],
        "warnings": warnings_of(serving, requested),
    }


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return round(number, 4) if name == "similarity" else int(number) if number == int(number) else number


def _points(document: Mapping[str, Any], name: str, low: float, high: float) -> list[float]:
    """The numbers of a list of the body. Raises `Refusal`."""
    given = document.get(name, [])
    if not isinstance(given, list) or len(given) > MOST_POINTS:
        found = f"a list of {len(given)}" if isinstance(given, list) else shown(given)
        raise refused_fields([field_error("number_list", name, found, most=MOST_POINTS, low=low, high=high)])
    for place, value in enumerate(given):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high or (name == "model_year" and value != int(value)):
            seen = None if value is None else shown(value)
            raise refused_fields([field_error("number", f"{name}[{place}]", seen, low=low, high=high)])
    return [float(value) for value in given]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_COMPARABLES):
        raise refused_fields([field_error("number", "count", shown(text), low=1, high=MOST_COMPARABLES)])
    return int(text)


def _parameters() -> list[dict[str, Any]]:
    required = ("make", "model", "model_year")
    more = (
        "mileage",
        "fuel",
        "fiscal_power_cv",
        "gearbox",
        "condition",
        "first_owner",
        "city",
        "origin",
        "doors",
        "asked_on",
    )
    examples = schemas.ENGLISH
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {"type": "string"},
            "description": "Any value that `/v1/predict` takes.",
        }
        | ({"example": str(examples[name])} if name in examples else {})
        for name in (*required, *more)
    ]
    count = {"type": "integer", "minimum": 1, "maximum": MOST_COMPARABLES, "default": 8}
    return [*parameters, {"name": "count", "in": "query", "required": False, "schema": count}]
