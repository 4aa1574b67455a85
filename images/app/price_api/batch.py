"""Many listings at once: JSON or a CSV file in any raw layout, priced a slice at a time."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from fastapi import FastAPI, Request, Response

from carprice.errors import DataRefused
from carprice.lifecycle import prediction
from carprice.listings import headers, reading, tables
from carprice.listings.records import Problem, read_one, shown
from carprice.listings.schema import FEATURES
from carprice.model.price_model import price_records
from price_api import schemas
from price_api.answers import (
    JSON,
    Asked,
    Json,
    asked_from,
    caveats_of,
    new_id,
    now,
    parsed_json,
    row_problem,
    whole,
)
from price_api.limits import BATCH
from price_api.prediction_log import Prediction
from price_api.problems import Refusal
from price_api.routes import body, direct
from price_api.services import Services
from price_api.serving import Serving

MOST_ROWS = 10_000
# Between two slices the requests of others are answered.
SLICE_ROWS = 250
CSV = "text/csv"
_LOG_SECONDS = 10.0


@dataclass(frozen=True)
class Unpriced:
    """A row that can't be priced and why."""

    errors: list[Problem]
    sentence: str


Row = Asked | Unpriced


@dataclass(frozen=True)
class Sent:
    """What was sent: how many rows, `read` for a slice of them, and all as a table to be given back."""

    rows: int
    read: Callable[[slice], list[Row]]
    table: Callable[[], pd.DataFrame]
    delimiter: str = ","


@dataclass(frozen=True)
class Slice:
    """The answers and the records of some rows."""

    answers: list[dict[str, Any]]
    predictions: list[Prediction]


def add_batch(app: FastAPI, services: Services) -> None:
    """POST /v1/predict/batch."""

    async def batch(request: Request) -> Response:
        """Price up to 10,000 listings: JSON, or a CSV file as a scraper writes it.

        A row that can't be priced says why; the others are priced all the same. With
        `Accept: text/csv` the answer is the rows that were sent, each with price, interval and problem.
        """
        serving = services.serving()
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
        if content_type not in (JSON, CSV):
            raise Refusal(
                415,
                f"a body of type {JSON} or {CSV} was expected, found "
                f"{shown(content_type) if content_type else 'no content type'}; name it in the header "
                "`Content-Type`",
            )
        content = await request.body()
        reader = from_json if content_type == JSON else from_csv
        sent = await services.work(lambda: reader(content))
        answers: list[dict[str, Any]] = []
        until = time.monotonic() + _LOG_SECONDS
        for first in range(0, sent.rows, SLICE_ROWS):
            part = slice(first, min(first + SLICE_ROWS, sent.rows))
            done = await services.work(lambda part=part: price_slice(serving, sent, part))  # type: ignore[misc]
            answers += done.answers
            await _record(services, done.predictions, until)
        priced = sum("price_mad" in answer for answer in answers)
        services.metrics.count_predictions(serving.version, serving.alias, "batch", priced)
        if CSV in request.headers.get("accept", ""):
            text = await services.work(lambda: as_csv(sent, answers))
            return Response(text, media_type=f"{CSV}; charset=utf-8")
        document = {"model": serving.named, "rows": sent.rows, "priced": priced, "predictions": answers}
        return await services.work(lambda: Json(document))

    examples = {"two": {"summary": "Two listings", "value": {"listings": [schemas.ENGLISH, schemas.FRENCH]}}}
    text = {
        "schema": {"type": "string"},
        "example": "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant\n"
        "Dacia;Logan;2015;120 000 - 129 999;Diesel\n",
    }
    direct(
        app, BATCH, batch, "POST", None, (400, 413, 415, 422, 503),
        summary="Price many listings", openapi_extra=body(schemas.BatchIn, examples, **{CSV: text}),
        answer={"model": schemas.Batch, "content": {CSV: {"schema": {"type": "string"}}}},
    )  # fmt: skip


async def _record(services: Services, predictions: list[Prediction], until: float) -> None:
    """Log a slice. Half of the queue is for singles: for room in the other half a batch waits, if that can
    help, until the moment `until`; after that what has no room there is lost and counted."""
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
        document = document.get("listings")
    if not isinstance(document, list):
        raise Refusal(
            422,
            'a list of listings was expected, bare or as {"listings": [...]}, found '
            f"{shown(document) if document is not None else 'none'}; /docs has an example",
            [Problem("listings", None if document is None else shown(document), "a list of listings")],
        )
    if len(document) > MOST_ROWS:
        raise _too_many(f"{len(document):,}")
    rows: list[Any] = document

    def table() -> pd.DataFrame:
        return pd.DataFrame([row if isinstance(row, dict) else {} for row in rows], dtype=object)

    return Sent(len(rows), lambda part: [_read(row) for row in rows[part]], table)


def from_csv(content: bytes) -> Sent:
    """The rows of a CSV body. Raises `Refusal`."""
    try:
        raw = reading.read_raw(content, "the body", most_rows=MOST_ROWS)
        found = headers.recognise(list(raw.table.columns), require_price=False)
        if found.missing:
            raise DataRefused(headers.missing_sentence(found, list(raw.table.columns)))
    except reading.TooManyRows as problem:
        raise _too_many("more") from problem
    except DataRefused as problem:
        sentence = str(problem).replace("land the file again", "send it again")
        raise Refusal(
            422, sentence.replace("land the new file", "send that").replace("land that file", "send that")
        ) from problem

    def read(part: slice) -> list[Row]:
        table = raw.table.iloc[part].reset_index(drop=True)
        faults = {row - part.start: why for row, why in raw.faults.items() if part.start <= row < part.stop}
        return list(_rows_of(table, faults))

    return Sent(len(raw.table), read, lambda: raw.table.reset_index(drop=True), raw.delimiter)


def _too_many(found: str) -> Refusal:
    return Refusal(
        413, f"at most {MOST_ROWS:,} listings were expected, found {found}; send them in several batches"
    )


def _read(row: Any) -> Row:
    if not isinstance(row, dict):
        return Unpriced([], f"a listing as a JSON object was expected, found {shown(row)}")
    read = read_one(row)
    if read.problems:
        return Unpriced(read.problems, row_problem(read.problems)["problem"])
    return asked_from(read)


def _rows_of(table: pd.DataFrame, faults: Mapping[int, str]) -> Iterator[Row]:
    """Read as `carprice predict` reads them; what is wrong with a row is told as for a single listing."""
    parsed = tables.parse(table, require_price=False, faults=faults)
    features = parsed.listings[list(FEATURES)].astype(object)
    listings = features.where(features.notna(), None).to_dict("records")
    prices = parsed.listings["price_mad"].to_numpy(dtype=float)
    words = table.to_dict("records")
    for row, problem in enumerate(parsed.problems):
        if problem is None:
            asking = float(prices[row]) if prices[row] > 0 else None
            yield Asked({name: listings[row][name] for name in FEATURES}, asking, [])
        else:
            errors = (
                []
                if row in faults
                else read_one({str(name): word for name, word in words[row].items()}).problems
            )
            yield Unpriced(errors, str(problem))


def price_slice(serving: Serving, sent: Sent, part: slice) -> Slice:
    """Price the rows of `part`; their answers and what is logged of them."""
    begun = time.perf_counter()
    rows = sent.read(part)
    good = [row for row in rows if isinstance(row, Asked)]
    prices = iter(price_records(serving.pipeline, [row.listing for row in good]))
    answers: list[dict[str, Any]] = []
    predictions: list[Prediction] = []
    for number, row in enumerate(rows, part.start + 1):
        if isinstance(row, Unpriced):
            answers.append({"row": number} | row_problem(row.errors) | {"problem": row.sentence})
            continue
        price, low, high = whole(next(prices))
        prediction_id = new_id()
        answer = {
            "row": number,
            "prediction_id": prediction_id,
            "price_mad": price,
            "low_mad": low,
            "high_mad": high,
            "warnings": caveats_of(serving, row),
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
            )
        )
    each = round(1000 * (time.perf_counter() - begun) / max(1, len(rows)), 3)
    return Slice(answers, [replace(prediction, latency_ms=each) for prediction in predictions])


def as_csv(sent: Sent, answers: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as they were sent, then price, interval and problem: as `carprice predict` writes them."""
    names = {
        prediction.PRICE: "price_mad",
        prediction.LOW: "low_mad",
        prediction.HIGH: "high_mad",
    }
    columns: dict[str, Any] = {
        name: pd.array([answer.get(key) for answer in answers], dtype="Int64") for name, key in names.items()
    }
    columns[prediction.PROBLEM] = [answer.get("problem", "") for answer in answers]
    table = pd.concat([sent.table(), pd.DataFrame(columns)], axis=1)
    text = io.StringIO()
    table.to_csv(text, index=False, sep=sent.delimiter)
    return text.getvalue().encode("utf-8", "replace")
