"""From a listing to the answer about it: reading what was sent, and putting a price into words of the API."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
from fastapi import Request, Response

from carprice.listings.records import OneRead, Problem, read_one, shown
from carprice.listings.schema import FEATURES
from price_api.caveats import ignored, verdict_of, warnings_of
from price_api.problems import Refusal, refused_fields
from price_api.serving import Serving

CURRENCY = "MAD"
JSON = "application/json"


class Json(Response):
    """A JSON response, written by orjson."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        """The bytes of `content`."""
        return orjson.dumps(content)


@dataclass(frozen=True)
class Asked:
    """A listing that can be priced: features (None unknown), asking price in MAD, ignored fields."""

    listing: dict[str, Any]
    asking_price_mad: float | None
    unknown_fields: list[str]


async def json_body(request: Request) -> Any:
    """The body as JSON. Raises `Refusal` for another content type and for what is no JSON."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if content_type != JSON and not content_type.endswith("+json"):
        raise Refusal(
            415,
            f"a body of type {JSON} was expected, found "
            f"{shown(content_type) if content_type else 'no content type'}; send the header "
            f"`Content-Type: {JSON}`",
        )
    return parsed_json(await request.body())


def parsed_json(body: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no Infinity. Raises `Refusal`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        not_finite = list(islice(_not_finite(body), 20))
        if not_finite:
            raise refused_fields(not_finite) from error
        found = "an empty body" if not body.strip() else f"another thing ({error})"
        raise Refusal(
            400,
            f"a body of JSON in UTF-8 was expected (without NaN and Infinity), found {found}; "
            "/docs has examples",
        ) from error


def _not_finite(body: bytes) -> Iterator[Problem]:
    """The NaN and Infinity of a body that would be JSON without them: RFC 8259 has neither."""
    try:
        waiting = [("", json.loads(body))]
    except (ValueError, RecursionError):
        return
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}" if name else key, inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{name}[{place}]", inner) for place, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            yield Problem(shown(name or "the body"), shown(value), "a finite number")


def object_body(document: Any, example: str) -> dict[str, Any]:
    """`document`, where it is a JSON object. Raises `Refusal`."""
    if not isinstance(document, dict):
        raise Refusal(
            422, f"a JSON object was expected, such as {example}, found {shown(document)}; /docs has examples"
        )
    return document


LISTING_EXAMPLE = (
    '{"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120000, "fuel": "Diesel"}'
)


def asked_of(document: Any) -> Asked:
    """The listing of a body. Raises `Refusal` with each field at fault."""
    read = read_one(object_body(document, LISTING_EXAMPLE))
    if read.problems:
        raise refused_fields(read.problems)
    return asked_from(read)


def asked_from(read: OneRead) -> Asked:
    """A listing without problems."""
    values = dict(read.values)
    asking = values.pop("price_mad", None)
    return Asked(values, float(asking) if asking is not None else None, list(read.unknown_fields))


def new_id() -> str:
    """A prediction's id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def now() -> datetime:
    """The moment, UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def whole(price: Any) -> tuple[int, int, int]:
    """Price, low and high in whole MAD, of an array of shape (3,)."""
    return round(price[0]), round(price[1]), round(price[2])


def answer_of(serving: Serving, asked: Asked, price: Any, prediction_id: str) -> dict[str, Any]:
    """The answer about one listing; `price` is an array of shape (3,) in MAD."""
    value, low, high = whole(price)
    pipeline = serving.pipeline
    return {
        "prediction_id": prediction_id,
        "price_mad": value,
        "low_mad": low,
        "high_mad": high,
        "currency": CURRENCY,
        "interval_coverage": serving.interval_coverage,
        "model": serving.named,
        "listing": asked.listing,
        "warnings": caveats_of(serving, asked),
        "asking_price": None
        if asked.asking_price_mad is None
        else verdict_of(pipeline, asked.listing, asked.asking_price_mad, *map(float, price)),
    }


def caveats_of(serving: Serving, asked: Asked) -> list[dict[str, str]]:
    """The warnings of one listing."""
    found = warnings_of(serving.pipeline, asked.listing)
    return found + ignored(asked.unknown_fields) if asked.unknown_fields else found


def row_problem(errors: list[Problem]) -> dict[str, Any]:
    """What a batch says of a row without a price."""
    return {
        "errors": [{"field": e.field, "value": e.value, "accepted": e.accepted} for e in errors],
        "problem": "; ".join(e.sentence() for e in errors),
    }


def known_features(listing: Mapping[str, Any]) -> dict[str, Any]:
    """Exactly the features, None where unknown."""
    return {name: listing.get(name) for name in FEATURES}
