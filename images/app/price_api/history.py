"""The routes of the prediction log: past predictions, the price that was paid, two versions compared."""

from __future__ import annotations

import base64
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
from price_api.direct_routes import add_direct_route, answers_of, body_schema, with_headers
from price_api.prediction_log.queries import can_be_an_id
from price_api.prediction_log.records import Cursor, FeedbackOfAnother, Filters, Logged
from price_api.pricing import Json, json_body, object_body
from price_api.problems import (
    Refusal,
    field_error,
    refuse_unknown_fields,
    refuse_unknown_parameters,
    refused_fields,
)
from price_api.services import Services
from price_contract.answers import Comparison, Feedback, LoggedPrediction, PredictionsPage

LOWEST_PAID, HIGHEST_PAID = 1_000, 1_000_000_000
_COLUMNS = (
    "prediction_id", "at", *FEATURES, "asking_price_mad", "price_mad", "low_mad", "high_mad", "version",
    "alias", "source", "latency_ms", "shadow_version", "shadow_price_mad", "price_paid_mad", "feedback_at",
    "feedback_unlikely", "evidence",
)  # fmt: skip
_FLUSH_ROWS = 500
# A price paid this many times below or above the interval is asked back.
UNLIKELY_TIMES = 2
FEEDBACK_FIELDS = ("prediction_id", "price_paid_mad", "confirmed")
PARAMETERS = (
    "page", "page_size", "cursor", "make", "model", "version", "since", "until", "with_feedback",
)  # fmt: skip

Text = Annotated[str | None, Query(max_length=200)]


def add_history(app: FastAPI, services: Services) -> None:
    """POST /v1/feedback, GET /v1/predictions, /v1/predictions/{id}, /v1/comparison."""
    log = services.predictions

    def owner(request: Request) -> str | None:
        """The key whose predictions the caller sees: its own where keys are in use, else all."""
        return str(request.state.key_name) if services.settings.asks_for_keys else None

    async def feedback(request: Request) -> Response:
        """Record the price that was paid for a car that was priced. A second price replaces the first, if it
        comes with the same API key.

        A price that is less than half of the interval's low end, or more than twice its high end, needs
        `confirmed` true; it is kept apart and no comparison counts it. The answer is 201, and 200 where the
        price replaces another.
        """
        document = object_body(
            await json_body(request), '{"prediction_id": "3f2a…", "price_paid_mad": 92000}'
        )
        refuse_unknown_fields(document, FEEDBACK_FIELDS)
        prediction_id, paid, confirmed = _feedback_in(document)
        key_name = owner(request)
        made = await services.read(lambda: log.one(prediction_id, key_name))
        if made is None:
            raise _unknown(prediction_id)
        # What is far from an estimate that nothing supports may well be right.
        unlikely = (
            made.evidence != "none"
            and not made.low_mad / UNLIKELY_TIMES <= paid <= made.high_mad * UNLIKELY_TIMES
        )
        if unlikely and not confirmed:
            prices = {"price_mad": round(made.price_mad), "price_paid_mad": round(paid)}
            raise Refusal("feedback-unlikely", prices)
        try:
            found = await services.read(
                lambda: log.feedback(prediction_id, paid, request.state.key_name, unlikely)
            )
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
                unlikely=found.unlikely,
            ),
            200 if found.replaced else 201,
        )

    async def withdraw(request: Request) -> Response:
        """Take back the price that was paid."""
        prediction_id = str(request.path_params["prediction_id"])
        key_name = owner(request)
        made = await services.read(lambda: log.one(prediction_id, key_name))
        try:
            if made is None or not await services.read(
                lambda: log.withdraw(prediction_id, request.state.key_name)
            ):
                raise _unknown(prediction_id)
        except FeedbackOfAnother as problem:
            raise Refusal("feedback-of-another", {"prediction_id": prediction_id}) from problem
        return Response(status_code=204)

    async def one(request: Request) -> Response:
        """One prediction of the log."""
        prediction_id = str(request.path_params["prediction_id"])
        key_name = owner(request)
        found = await services.read(lambda: log.one(prediction_id, key_name))
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
        cursor: Text = None,
    ) -> Response:
        """The predictions that fit, newest first; where keys are in use, only those of the caller's key.

        `next_cursor` of an answer is the `cursor` of the next page: no row comes twice while the log grows.
        With `page` rows may come twice. `Accept: text/csv` exports all predictions, not one page.
        """
        refuse_unknown_parameters(request, PARAMETERS)
        if cursor is not None and "page" in request.query_params:
            raise refused_fields([field_error("not_with_cursor", "page", shown(str(page)))])
        after = None if cursor is None else _cursor(cursor)
        filters = Filters(
            make=make or None,
            model=model or None,
            version=version or None,
            since=_moment("since", since),
            until=_moment("until", until),
            with_feedback=with_feedback,
            key_name=owner(request),
        )
        if "text/csv" in request.headers.get("accept", ""):
            lines = exported(log.stream(filters))
            first = await services.read(lambda: next(lines, ""))
            return StreamingResponse(
                chain([first], lines),
                media_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": 'attachment; filename="predictions.csv"'},
            )
        found = await services.read(lambda: log.page(filters, page, page_size, after))
        answer = Json(
            PredictionsPage(
                page=None if after else page,
                page_size=page_size,
                total=found.total,
                predictions=[as_record(prediction) for prediction in found.predictions],
                next_cursor=_text_of(found.next) if found.next else None,
            )
        )
        if found.next:
            following = request.url.remove_query_params(["page", "cursor"])
            following = following.include_query_params(cursor=_text_of(found.next))
            answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return answer

    example = {
        "paid": {"summary": "92,000 MAD", "value": {"prediction_id": "3f2a…", "price_paid_mad": 92000}}
    }
    tag = "history"
    add_direct_route(
        app, "/v1/feedback", feedback, "POST", Feedback, (404, 409, 422), tag=tag,
        success=(201, 200), summary="The price that was paid",
        openapi_extra=body_schema("FeedbackIn", example),
    )  # fmt: skip
    identified = {"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string"}}
    add_direct_route(
        app, "/v1/feedback/{prediction_id}", withdraw, "DELETE", None, (404, 409), tag=tag, success=(204,),
        name="withdraw_feedback", answer={"description": "It is removed."}, summary="Take it back",
        openapi_extra={"parameters": [identified]},
    )  # fmt: skip
    app.add_api_route(
        "/v1/predictions", predictions, methods=["GET"], tags=[tag], summary="Past predictions",
        operation_id="predictions",
        response_model=None,
        responses=answers_of(422)
        | {
            200: with_headers(
                {"model": PredictionsPage, "content": {"text/csv": {"schema": {"type": "string"}}}},
                Link={"description": "The next page.", "schema": {"type": "string"}},
            )
        },
    )  # fmt: skip
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
    del record["key_name"]
    if prediction.evidence == "none":  # as it was answered
        record["low_mad"] = record["high_mad"] = None
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
        if prediction.evidence == "none":
            record["low_mad"] = record["high_mad"] = None
        writer.write([[record.get(name) for name in _COLUMNS]])
        if number % _FLUSH_ROWS == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _text_of(cursor: Cursor) -> str:
    """A cursor as callers get it."""
    text = f"{cursor.at.isoformat()} {cursor.prediction_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(text: str) -> Cursor:
    """The cursor that a caller sends back. Raises `Refusal`."""
    try:
        at, _, prediction_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        found = Cursor(datetime.fromisoformat(at).astimezone(UTC), prediction_id)
    except (ValueError, OverflowError) as error:
        raise Refusal("invalid-cursor", {"found": shown(text)}) from error
    if not can_be_an_id(found.prediction_id):
        raise Refusal("invalid-cursor", {"found": shown(text)})
    return found


def _feedback_in(document: dict[str, Any]) -> tuple[str, float, bool]:
    """The id and the price of a feedback, and whether the price is confirmed. Raises `Refusal`."""
    prediction_id, paid = document.get("prediction_id"), document.get("price_paid_mad")
    confirmed = document.get("confirmed", False)
    errors = []
    if not isinstance(prediction_id, str) or not 0 < len(prediction_id) <= 64:
        found = None if prediction_id is None else shown(prediction_id)
        errors.append(field_error("prediction_id", "prediction_id", found))
    price = _price(paid)
    if price is None:
        found = None if paid is None else shown(paid)
        errors.append(field_error("price_paid", "price_paid_mad", found, low=LOWEST_PAID, high=HIGHEST_PAID))
    if not isinstance(confirmed, bool):
        errors.append(field_error("flag", "confirmed", shown(confirmed)))
    if errors or price is None:
        raise refused_fields(errors)
    return str(prediction_id), price, confirmed is True


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
