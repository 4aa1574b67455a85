"""From a request to a price: reads the body, and makes the answer about one listing."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

import orjson
from fastapi import Request, Response

from carprice.listings.asked_days import ASKED_ON
from carprice.listings.records import OneRead, read_one, shown
from carprice.model import price_warnings
from carprice.model.price_evidence import Evidence, evidence_of
from price_api.asking_price import asking_price_verdict
from price_api.problems import Refusal, field_error, field_error_of, refused_fields
from price_api.serving import Serving
from price_contract.answers import AskingPrice, FieldError, Priced, PriceWarning

JSON = "application/json"
LISTING_EXAMPLE = (
    '{"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120000, "fuel": "Diesel"}'
)
_MOST_NOT_FINITE = 20
_COLON_OF_KEY = re.compile(rb'"\s*:')


class Json(Response):
    """A JSON response, written by orjson."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        """The bytes of `content`."""
        return orjson.dumps(content)


@dataclass(frozen=True)
class PricingRequest:
    """A listing that can be priced: features (None unknown), asking price in MAD, fields that do not count.

    The listing has `asked_on` too, where the caller names the day that the price is asked for. The fields are
    those of `carprice.listings.records.OneRead`.
    """

    listing: dict[str, Any]
    asking_price_mad: float | None
    unknown_fields: list[str] = field(default_factory=list)
    unused_fields: list[str] = field(default_factory=list)
    repeated_fields: list[tuple[str, str]] = field(default_factory=list)


async def json_body(request: Request) -> Any:
    """The body as JSON. Raises `Refusal` for another content type and for a body that is not JSON."""
    content_type = content_type_of(request)
    if content_type != JSON and not content_type.endswith("+json"):
        raise wrong_content_type(content_type, JSON)
    return parsed_json(await request.body())


def content_type_of(request: Request) -> str:
    """The content type without its parameters, in lower case; "" where none is given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().casefold()


def wrong_content_type(found: str, *expected: str) -> Refusal:
    """A 415: the content type `found` is none of `expected`."""
    named = shown(found) if found else "no content type"
    return Refusal("unsupported-media-type", {"expected": list(expected), "found": named})


def parsed_json(body: bytes) -> Any:
    """JSON as RFC 8259 defines it: no NaN, no Infinity. Raises `Refusal`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        not_finite = list(islice(_not_finite(body), _MOST_NOT_FINITE))
        if not_finite:
            raise refused_fields(not_finite) from error
        found = "an empty body" if not body.strip() else f"another body ({error})"
        raise Refusal("invalid-json", {"found": found}) from error
    # Each key is followed by a colon. Where there are more of them than keys, some may come twice.
    if len(_COLON_OF_KEY.findall(body)) != _keys_in(document):
        repeated = list(islice(_repeated_keys(body), _MOST_NOT_FINITE))
        if repeated:
            raise refused_fields(repeated)
    return document


def _keys_in(document: Any) -> int:
    """The keys of all objects of a JSON document."""
    count = 0
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            count += len(value)
            waiting += [inner for inner in value.values() if isinstance(inner, dict | list)]
        elif isinstance(value, list):
            waiting += [inner for inner in value if isinstance(inner, dict | list)]
    return count


def _repeated_keys(body: bytes) -> Iterator[FieldError]:
    """The keys that come twice in one object of a JSON body: nothing tells which value is meant."""
    found: list[FieldError] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        times = Counter(key for key, _ in pairs)
        found.extend(
            field_error("repeated_key", shown(key), f"{n} times") for key, n in times.items() if n > 1
        )
        return dict(pairs)

    with suppress(ValueError, RecursionError):
        json.loads(body, object_pairs_hook=read)
    yield from found


def object_body(document: Any, example: str) -> dict[str, Any]:
    """`document`, where it is a JSON object. Raises `Refusal`."""
    if not isinstance(document, dict):
        raise Refusal("not-an-object", {"example": example, "found": shown(document)})
    return document


def pricing_request(document: Any) -> PricingRequest:
    """The listing of a body. Raises `Refusal` with each field at fault."""
    read = read_one(object_body(document, LISTING_EXAMPLE))
    if read.problems:
        raise refused_fields([field_error_of(problem) for problem in read.problems])
    return request_of(read)


def request_of(read: OneRead) -> PricingRequest:
    """The request of a listing that was read without problems."""
    values = dict(read.values)
    asking = values.pop("price_mad", None)
    if read.asked_on is not None:
        values[ASKED_ON] = read.asked_on
    return PricingRequest(
        values,
        float(asking) if asking is not None else None,
        read.unknown_fields,
        read.unused_fields,
        read.repeated_fields,
    )


def answer_of(serving: Serving, requested: PricingRequest, price: Any, prediction_id: str) -> Priced:
    """The answer about one listing; `price` is an array of shape (3,) in MAD."""
    value, low, high = whole_mad(price)
    warnings = warnings_of(serving, requested)
    evidence = evidence_of(warnings)
    return {
        "prediction_id": prediction_id,
        "price_mad": value,
        "low_mad": None if evidence == "none" else low,
        "high_mad": None if evidence == "none" else high,
        "currency": "MAD",
        "interval_coverage": serving.interval_coverage if evidence == "usual" else None,
        "evidence": evidence,
        "model": serving.named,
        "listing": {name: whole(value) for name, value in requested.listing.items()},
        "warnings": warnings,
        "asking_price": verdict_of(serving, requested, price, evidence),
    }


def verdict_of(
    serving: Serving, requested: PricingRequest, price: Any, evidence: Evidence
) -> AskingPrice | None:
    """How the asking price compares with `price`, an array of shape (3,) in MAD; None where none is asked.

    There is no verdict on a car of which little is known.
    """
    asking_mad = requested.asking_price_mad
    if asking_mad is None:
        return None
    found = asking_price_verdict(serving.pipeline, requested.listing, asking_mad, *map(float, price))
    if evidence != "usual":
        found["verdict"] = None
    return found


def warnings_of(serving: Serving, requested: PricingRequest) -> list[PriceWarning]:
    """Why the price of a listing is less certain than usual."""
    found = price_warnings.warnings_of(
        serving.pipeline,
        requested.listing,
        requested.unknown_fields,
        requested.unused_fields,
        requested.repeated_fields,
    )
    return cast(list[PriceWarning], found)


def whole(value: Any) -> Any:
    """`value`, as an int where it is a whole number: a model year is 2017, not 2017.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def new_id() -> str:
    """A prediction's id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def now() -> datetime:
    """The moment, UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def whole_mad(price: Any) -> tuple[int, int, int]:
    """Price, low and high in whole MAD, of an array of shape (3,)."""
    return round(price[0]), round(price[1]), round(price[2])


def _not_finite(body: bytes) -> Iterator[FieldError]:
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
            yield field_error("not_finite", shown(name or "the body"), shown(value))
