"""Many listings at once: JSON or a CSV file in any raw layout, priced a slice at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from fastapi import FastAPI, Request, Response
from starlette.datastructures import UploadFile

from carprice.errors import DataRefused
from carprice.listings import columns, reading, tables
from carprice.listings.asked_days import ASKED_ON, asked_days
from carprice.listings.problems import Problem, RowProblem, accepted, complaint
from carprice.listings.records import read_one, shown
from carprice.listings.schema import FEATURES
from carprice.model.price_evidence import evidence_of
from carprice.model.price_model import price_records
from price_api import schemas
from price_api.access import BATCH
from price_api.direct_routes import add_direct_route, body_schema
from price_api.prediction_log.records import Prediction
from price_api.pricing import (
    JSON,
    LISTING_EXAMPLE,
    Json,
    PricingRequest,
    content_type_of,
    new_id,
    now,
    parsed_json,
    request_of,
    verdict_of,
    warnings_of,
    whole_mad,
    wrong_content_type,
)
from price_api.problems import (
    Refusal,
    field_error,
    field_error_of,
    refuse_unknown_fields,
    refused_fields,
    refused_file,
)
from price_api.services import Services
from price_api.serving import Serving
from price_contract.answers import Batch, BatchRow, FieldError, Params
from price_contract.language import asked_for, speaking
from price_contract.priced_csv import priced_csv

MOST_ROWS = schemas.MOST_ROWS
# Between two slices the requests of others are answered.
SLICE_ROWS = 250
CSV = "text/csv"
FORM = "multipart/form-data"
_LANGUAGE = {
    "name": "Accept-Language", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "The language of the sentences of a CSV answer and of a problem: en, fr or ar.",
}  # fmt: skip
_LOG_SECONDS = 10.0


@dataclass(frozen=True)
class Unpriced:
    """A row that can't be priced and why: a sentence, its code and parameters, and each field at fault."""

    sentence: str
    code: str
    params: Params
    errors: list[FieldError]

    def answer(self, number: int) -> BatchRow:
        """What the batch answers for it as row `number`."""
        return {
            "row": number,
            "errors": self.errors,
            "problem": self.sentence,
            "code": self.code,
            "params": self.params,
        }


Row = PricingRequest | Unpriced


@dataclass(frozen=True)
class Sent:
    """The body: its number of rows, `read` for a slice of them, and `table` for all as they were sent."""

    rows: int
    read: Callable[[slice], list[Row]]
    table: Callable[[], pd.DataFrame]
    delimiter: str = ","


@dataclass(frozen=True)
class Slice:
    """The answers and the records of some rows."""

    answers: list[BatchRow]
    predictions: list[Prediction]


def add_batch(app: FastAPI, services: Services) -> None:
    """POST /v1/predict/batch."""

    async def batch(request: Request) -> Response:
        """Price up to 10,000 listings: JSON, or a CSV file as a scraper writes it.

        The answer has a price or a problem for each row. With `Accept: text/csv` it is the rows as they
        were sent, each with what JSON has: price, interval, verdict, prediction id, and sentences in the
        language of `Accept-Language`. The file may also come as the one file of a form.
        """
        serving = services.serving()
        content_type = content_type_of(request)
        if content_type not in (JSON, CSV, FORM):
            raise wrong_content_type(content_type, JSON, CSV, FORM)
        content = await (_file_of_form(request) if content_type == FORM else request.body())
        reader = from_json if content_type == JSON else from_csv
        sent = await services.work(lambda: reader(content))
        answers: list[BatchRow] = []
        until = time.monotonic() + _LOG_SECONDS
        key_name = request.state.key_name
        for first in range(0, sent.rows, SLICE_ROWS):
            part = slice(first, min(first + SLICE_ROWS, sent.rows))
            done = await services.work(lambda part=part: price_slice(serving, sent, part, key_name))  # type: ignore[misc]
            answers += done.answers
            await _record(services, done.predictions, until)
        priced = sum("price_mad" in answer for answer in answers)
        services.metrics.count_predictions(serving.version, serving.alias, "batch", priced)
        if CSV in request.headers.get("accept", ""):
            language = asked_for(request.headers.get("accept-language", ""))

            def written() -> bytes:
                with speaking(language):
                    text = priced_csv(
                        sent.table(), answers, sent.delimiter, serving.interval_coverage, serving.version
                    )
                return text.encode("utf-8", "replace")

            return Response(
                await services.work(written),
                media_type=f"{CSV}; charset=utf-8",
                headers={"Content-Language": language, "Vary": "Accept, Accept-Language"},
            )
        document: Batch = {
            "model": serving.named,
            "rows": sent.rows,
            "priced": priced,
            "interval_coverage": serving.interval_coverage,
            "predictions": answers,
        }
        return await services.work(lambda: Json(document))

    examples = {"two": {"summary": "Two listings", "value": {"listings": [schemas.ENGLISH, schemas.FRENCH]}}}
    text = {
        "schema": {"type": "string"},
        "example": "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant\n"
        "Dacia;Logan;2015;120 000 - 129 999;Diesel\n",
    }
    add_direct_route(
        app, BATCH, batch, "POST", None, (422,),
        summary="Price many listings",
        openapi_extra=body_schema("BatchIn", examples, **{CSV: text, FORM: schemas.FILE_FORM})
        | {"parameters": [_LANGUAGE]},
        answer={"model": Batch, "content": {CSV: {"schema": {"type": "string"}}}},
    )  # fmt: skip


async def _file_of_form(request: Request) -> bytes:
    """The one file of a form. Raises `Refusal`."""
    async with request.form() as form:
        files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
        if len(files) != 1:
            raise refused_fields([field_error("one_file", "file", f"{len(files)} files")])
        return await files[0].read()


async def _record(services: Services, predictions: list[Prediction], until: float) -> None:
    """Log a slice in at most half of the queue: the other half is for single predictions.

    Waits for room until the moment `until`, if the database can be written to. After that, the log drops
    and counts what has no room.
    """
    log = services.predictions
    half = services.settings.log_queue // 2
    if log.waiting + len(predictions) <= half:
        log.record_many(predictions)
        return
    wait = until - time.monotonic()
    written = wait > 0 and log.last_error is None and await services.read(lambda: log.flush(wait))
    log.record_many(predictions, None if written else half)


def from_json(content: bytes) -> Sent:
    """The listings of a JSON body. Raises `Refusal`."""
    document = parsed_json(content)
    if isinstance(document, dict):
        refuse_unknown_fields(document, ("listings",))
        document = document.get("listings")
    if not isinstance(document, list):
        found = None if document is None else shown(document)
        error = field_error("list_of_listings", "listings", found)
        raise Refusal("not-a-list", {"found": found or "none"}, [error])
    if len(document) > MOST_ROWS:
        raise _too_many(len(document))
    rows: list[Any] = document

    def table() -> pd.DataFrame:
        return pd.DataFrame([row if isinstance(row, dict) else {} for row in rows], dtype=object)

    return Sent(len(rows), lambda part: [_read(row) for row in rows[part]], table)


def from_csv(content: bytes) -> Sent:
    """The rows of a CSV body. Raises `Refusal`."""
    try:
        raw = reading.read_raw(content, "the body", most_rows=MOST_ROWS)
        found = columns.recognise(raw.table, require_price=False)
        refusal = columns.refusal_of(found, list(raw.table.columns))
        if refusal is not None:
            raise refusal
    except reading.TooManyRows as problem:
        raise _too_many(None) from problem
    except DataRefused as problem:
        raise refused_file(problem) from problem

    def read(part: slice) -> list[Row]:
        table = raw.table.iloc[part].reset_index(drop=True)
        faults = {row - part.start: why for row, why in raw.faults.items() if part.start <= row < part.stop}
        return list(_rows_of(table, faults, found))

    return Sent(len(raw.table), read, lambda: raw.table, raw.delimiter)


def _too_many(found: int | None) -> Refusal:
    """A 413; `found` is None where the rows were not counted to the end."""
    return Refusal("too-many-rows", {"most_rows": MOST_ROWS, "found_rows": found})


def _read(row: Any) -> Row:
    if not isinstance(row, dict):
        refusal = Refusal("not-an-object", {"example": LISTING_EXAMPLE, "found": shown(row)})
        return Unpriced(refusal.detail, refusal.code, refusal.params, [])
    read = read_one(row)
    if read.problems:
        refusal = refused_fields([field_error_of(problem) for problem in read.problems])
        return Unpriced(refusal.detail, refusal.code, refusal.params, refusal.errors)
    return request_of(read)


def _rows_of(
    table: pd.DataFrame, faults: Mapping[int, RowProblem], found: columns.Recognised
) -> Iterator[Row]:
    """Reads the rows as `carprice predict` does; the errors of a row are those of a single listing."""
    parsed = tables.parse(table, require_price=False, faults=faults, found=found)
    days, without_day = asked_days(table)
    features = parsed.listings[list(FEATURES)].astype(object)
    listings = features.where(features.notna(), None).to_dict("records")
    prices = parsed.listings["price_mad"].to_numpy(dtype=float)
    words = table.to_dict("records")
    for row, problem in enumerate(parsed.problems):
        if problem is None and row in without_day:
            refusal = refused_fields([field_error_of(_of_value(without_day[row], words[row]))])
            yield Unpriced(without_day[row].sentence(), refusal.code, refusal.params, refusal.errors)
        elif problem is None:
            asking = float(prices[row]) if prices[row] > 0 else None
            listing = {name: listings[row][name] for name in FEATURES}
            yield PricingRequest(listing | ({ASKED_ON: days[row]} if days[row] else {}), asking)
        elif row in faults:
            yield Unpriced(str(problem), faults[row].code, dict(faults[row].params), [])
        else:
            errors = [field_error_of(_of_value(each, words[row])) for each in parsed.row_problems[row]]
            refusal = refused_fields(errors)
            yield Unpriced(str(problem), refusal.code, refusal.params, errors)


def _of_value(problem: RowProblem, row: Mapping[Hashable, Any]) -> Problem:
    """The problem of a row as that of the value in its column."""
    column, params = problem.column or "", problem.params
    # a value that stands under another column, or a title that tells too little, has no other form to take
    takes = accepted(params) if "expected" in params else complaint(problem.code, params)
    return Problem(column, shown(row.get(column, "")), takes, problem.code, params)


def price_slice(serving: Serving, sent: Sent, part: slice, key_name: str | None = None) -> Slice:
    """Price the rows of `part`: their answers, and their predictions for the log, asked for by `key_name`."""
    begun = time.perf_counter()
    rows = sent.read(part)
    good = [row for row in rows if isinstance(row, PricingRequest)]
    prices = iter(price_records(serving.pipeline, [row.listing for row in good]))
    answers: list[BatchRow] = []
    predictions: list[Prediction] = []
    for number, row in enumerate(rows, part.start + 1):
        if isinstance(row, Unpriced):
            answers.append(row.answer(number))
            continue
        estimate = next(prices)
        price, low, high = whole_mad(estimate)
        prediction_id = new_id()
        warnings = warnings_of(serving, row)
        evidence = evidence_of(warnings)
        answer: BatchRow = {
            "row": number,
            "prediction_id": prediction_id,
            "price_mad": price,
            "low_mad": None if evidence == "none" else low,
            "high_mad": None if evidence == "none" else high,
            "evidence": evidence,
            "warnings": warnings,
            "asking_price": verdict_of(serving, row, estimate, evidence),
        }
        answers.append(answer)
        predictions.append(
            Prediction(
                prediction_id=prediction_id,
                at=now(),
                listing=row.listing,
                asking_price_mad=row.asking_price_mad,
                price_mad=price,
                low_mad=low,
                high_mad=high,
                version=serving.version,
                alias=serving.alias,
                source="batch",
                latency_ms=0.0,
                key_name=key_name,
                evidence=evidence,
            )
        )
    each = round(1000 * (time.perf_counter() - begun) / max(1, len(rows)), 3)
    return Slice(answers, [replace(prediction, latency_ms=each) for prediction in predictions])
