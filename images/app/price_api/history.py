"""The routes of the prediction log: past predictions, the price that was paid, two versions compared."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from carprice.listings.records import shown
from carprice.listings.schema import FEATURES
from carprice.listings.values import parse_price
from carprice.spreadsheets import SpreadsheetWriter
from price_api import schemas
from price_api.access import KEY_NAME
from price_api.prediction_log.records import FeedbackOfAnother, Filters, Logged
from price_api.pricing import Json, json_body, object_body
from price_api.problems import Refusal, field_error, refused_fields
from price_api.routes import add_direct_route, body_schema, refusals
from price_api.services import Services
from price_contract.answers import Comparison, Feedback, LoggedPrediction, PredictionsPage

LOWEST_PAID, HIGHEST_PAID = 1_000, 1_000_000_000
_COLUMNS = (
    "prediction_id", "at", *FEATURES, "asking_price_mad", "price_mad", "low_mad", "high_mad", "version",
    "alias", "source", "latency_ms", "shadow_version", "shadow_price_mad", "price_paid_mad", "feedback_at",
)  # fmt: skip
_FLUSH_ROWS = 500

Text = Annotated[str | None, Query(max_length=200)]


def add_history(app: FastAPI, services: Services) -> None:
    """POST /v1/feedback, GET /v1/predictions, /v1/predictions/{id}, /v1/comparison."""
    log = services.predictions

    async def feedback(request: Request) -> Response:
        """Record the price that was paid for a car that was priced.

        A second price replaces the first, if it comes with the same API key.
        """
        document = object_body(
            await json_body(request), '{"prediction_id": "3f2a…", "price_paid_mad": 92000}'
        )
        prediction_id, paid = _feedback_in(document)
        key = getattr(request.state, KEY_NAME, None)
        try:
            found = await services.read(lambda: log.feedback(prediction_id, paid, key))
        except FeedbackOfAnother as problem:
            raise Refusal("feedback-of-another", {"prediction_id": prediction_id}) from problem
        if found is None:
            raise _unknown(prediction_id)
        services.metrics.count_feedback()
        return Json(
            Feedback(
                prediction_id=found.prediction_id,
                price_paid_mad=found.price_paid_mad,
                recorded_at=found.recorded_at.isoformat(timespec="seconds"),
            ),
            201,
        )

    async def one(request: Request) -> Response:
        """One prediction of the log."""
        prediction_id = str(request.path_params["prediction_id"])
        found = await services.read(lambda: log.one(prediction_id))
        if found is None:
            raise _unknown(prediction_id)
        return Json(as_record(found))

    async def comparison(request: Request) -> Response:
        """Production and staging on the prices that were paid, and on the listings that both priced."""
        production, staged = services.follower.production, services.follower.staging
        versions = (production.version if production else None, staged.version if staged else None)
        return Json(await services.read(lambda: log.comparison(*versions)))

    async def predictions(
        request: Request,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=500)] = 50,
        make: Text = None,
        model: Text = None,
        version: Text = None,
        since: datetime | None = None,
        until: datetime | None = None,
        with_feedback: bool | None = None,
    ) -> Response:
        """The predictions that fit, newest first. `Accept: text/csv` exports all of them, not one page."""
        filters = Filters(
            make=make or None,
            model=model or None,
            version=version or None,
            since=_moment("since", since),
            until=_moment("until", until),
            with_feedback=with_feedback,
        )
        if "text/csv" in request.headers.get("accept", ""):
            lines = exported(log.stream(filters))
            first = await services.read(lambda: next(lines, ""))
            return StreamingResponse(
                chain([first], lines),
                media_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": 'attachment; filename="predictions.csv"'},
            )
        found = await services.read(lambda: log.page(filters, page, page_size))
        return Json(
            PredictionsPage(
                page=page,
                page_size=page_size,
                total=found.total,
                predictions=[as_record(prediction) for prediction in found.predictions],
            )
        )

    example = {
        "paid": {"summary": "92,000 MAD", "value": {"prediction_id": "3f2a…", "price_paid_mad": 92000}}
    }
    tag = "history"
    add_direct_route(
        app, "/v1/feedback", feedback, "POST", Feedback, (400, 404, 409, 413, 415, 422), tag=tag,
        success=201, summary="The price that was paid",
        openapi_extra=body_schema(schemas.FeedbackIn, example),
    )  # fmt: skip
    app.add_api_route(
        "/v1/predictions", predictions, methods=["GET"], tags=[tag], summary="Past predictions",
        response_model=None,
        responses=refusals(401, 403, 422, 429)
        | {200: {"model": PredictionsPage, "content": {"text/csv": {}}}},
    )  # fmt: skip
    identified = {"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string"}}
    add_direct_route(
        app, "/v1/predictions/{prediction_id}", one, "GET", LoggedPrediction, (404,), tag=tag,
        summary="One prediction", openapi_extra={"parameters": [identified]},
    )  # fmt: skip
    add_direct_route(
        app, "/v1/comparison", comparison, "GET", Comparison, (), tag=tag,
        summary="Production and staging compared",
    )  # fmt: skip


def as_record(prediction: Logged) -> LoggedPrediction:
    """A prediction as JSON."""
    record: Any = asdict(prediction)
    version, price = record.pop("shadow_version"), record.pop("shadow_price_mad")
    record["shadow"] = None if version is None else {"version": version, "price_mad": price}
    record["at"] = prediction.at.isoformat(timespec="milliseconds")
    record["feedback_at"] = prediction.feedback_at and prediction.feedback_at.isoformat(timespec="seconds")
    return record  # type: ignore[no-any-return]


def exported(predictions: Iterator[Logged]) -> Iterator[str]:
    """The predictions as CSV, a few hundred rows at a time."""
    text = io.StringIO()
    writer = SpreadsheetWriter(text, _COLUMNS)
    for number, prediction in enumerate(predictions, 1):
        record = asdict(prediction)
        record |= record.pop("listing")
        writer.write([[record.get(name) for name in _COLUMNS]])
        if number % _FLUSH_ROWS == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _feedback_in(document: dict[str, Any]) -> tuple[str, float]:
    """The id and the price of a feedback. Raises `Refusal`."""
    prediction_id, paid = document.get("prediction_id"), document.get("price_paid_mad")
    errors = []
    if not isinstance(prediction_id, str) or not 0 < len(prediction_id) <= 64:
        found = None if prediction_id is None else shown(prediction_id)
        errors.append(field_error("prediction_id", "prediction_id", found))
    price = _price(paid)
    if price is None:
        found = None if paid is None else shown(paid)
        errors.append(field_error("price_paid", "price_paid_mad", found, low=LOWEST_PAID, high=HIGHEST_PAID))
    if errors or price is None:
        raise refused_fields(errors)
    return str(prediction_id), price


def _price(paid: Any) -> float | None:
    try:
        price = parse_price(paid) if isinstance(paid, str) else paid
    except ValueError:
        return None
    if (
        isinstance(price, bool)
        or not isinstance(price, int | float)
        or not LOWEST_PAID <= price <= HIGHEST_PAID
    ):
        return None
    return float(price)


def _moment(name: str, moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise refused_fields([field_error("moment", name, shown(str(moment)))]) from error


def _unknown(prediction_id: str) -> Refusal:
    return Refusal("prediction-unknown", {"prediction_id": shown(prediction_id)})
