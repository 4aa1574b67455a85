"""The prediction log: what was asked and answered, and what was really paid.

A prediction only puts a record in a bounded queue; one thread writes the queue to the database.
"""

from __future__ import annotations

import logging
import math
import numbers
import re
import statistics
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from carprice.listings.schema import COLUMNS, FEATURES
from price_api.database import (
    DatabaseAway,
    DatabaseRefused,
    engine_of,
    feedback,
    insert_into,
    migrate_engine,
    predictions,
    reading,
    said,
    utc,
    writing,
)

log = logging.getLogger(__name__)

LONGEST_TEXT = 60
COMPARED_ROWS = 50_000
_BATCH_ROWS = 500
_GATHER_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_FEEDBACK_WAIT_SECONDS = 2.0
_EXPIRE_EVERY_SECONDS = 3600.0
_EXPIRE_AGAIN_SECONDS = 60.0
_CHUNK_ROWS = 1_000


@dataclass(frozen=True)
class Prediction:
    """One answer: `listing` is over FEATURES, prices are in MAD, `source` is `predict` or `batch`.

    `shadow_price_mad` is what version `shadow_version` said of the same listing, unseen by the caller.
    """

    prediction_id: str
    at: datetime
    listing: Mapping[str, Any]
    asking_price_mad: float | None
    price_mad: float
    low_mad: float
    high_mad: float
    version: str
    alias: str
    source: str
    latency_ms: float
    shadow_version: str | None = None
    shadow_price_mad: float | None = None


@dataclass(frozen=True)
class Logged(Prediction):
    """A prediction as the log holds it, with the price really paid where it was told.

    `listing` has every feature, None where unknown or not kept. Whole amounts are int.
    """

    price_paid_mad: float | None = None
    feedback_at: datetime | None = None


@dataclass(frozen=True)
class Feedback:
    """The price that was really paid for what a prediction was about."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: datetime


@dataclass(frozen=True)
class Filters:
    """Which predictions: all that fit every filter that is not None.

    `make` and `model` count without case and accents; `since` is included, `until` is not;
    `with_feedback` True asks for those with a price paid, False for those without.
    """

    make: str | None = None
    model: str | None = None
    version: str | None = None
    alias: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_feedback: bool | None = None


@dataclass(frozen=True)
class Page:
    """One page of predictions, newest first, and how many there are on all pages."""

    total: int
    predictions: list[Logged]


class PredictionLog:
    """Predictions and feedback in the database of `url`.

    `record` and `record_many` never wait and never raise: what does not fit into the queue of
    `queue_size` is lost and counted in `dropped`. While the database is away the queue holds. The other
    methods raise `DatabaseAway` when the database does not answer.
    """

    def __init__(self, url: str, queue_size: int = 10_000, retention_days: float = 365) -> None:
        if queue_size < 1 or not retention_days > 0:
            raise ValueError(
                "the prediction log needs room for at least 1 prediction and more than 0 days of retention, "
                f"found queue_size={queue_size} and retention_days={retention_days}"
            )
        self._engine = engine_of(url)
        self._room = queue_size
        self._retention = timedelta(days=retention_days)
        # Records stay in the queue until they are committed, so that it is all there is to keep.
        self._queue: deque[Prediction] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._accepted = 0
        self._finished = 0
        self._written = 0
        self._dropped = 0
        self._last_error: str | None = None
        self._hurry = False
        self._stopping = False
        self._closed = False
        self._migrated = False
        self._expire_at = 0.0
        self._thread: threading.Thread | None = None

    # Writing

    def start(self) -> None:
        """Bring the schema up to date and begin to write.

        A database that is away is tried again later, by the thread that writes. Raises
        `DatabaseRefused` when its schema is of a later release.
        """
        if self._thread is not None:
            return
        try:
            self._migrate()
        except DatabaseAway as error:
            self._failed(error)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Write all that waits, for at most `timeout` seconds, and end; what is left is counted as dropped.

        Returns whether all was written.
        """
        with self._lock:
            self._stopping = True
            self._work.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._lock:
            self._closed = True
            left = len(self._queue)
            if left:
                # A commit may be under way at this moment: then the loss is less than said, never more.
                self._dropped += left
                self._finished += left
                self._queue.clear()
                log.error("%d predictions were not logged: %s", left, self._last_error)
            self._work.notify_all()
            self._settled.notify_all()
        self._engine.dispose()
        return not left

    def record(self, prediction: Prediction) -> None:
        """Log a prediction later on. Never waits and never raises."""
        with self._lock:
            if self._closed or len(self._queue) >= self._room:
                self._dropped += 1
                return
            self._queue.append(prediction)
            self._accepted += 1
            if len(self._queue) in (1, _BATCH_ROWS):
                self._work.notify()

    def record_many(self, several: Sequence[Prediction], most_waiting: int | None = None) -> None:
        """As `record`; where not all fit, the first of them are kept.

        With `most_waiting`, only as many fit as leave no more than that waiting.
        """
        most = self._room if most_waiting is None else most_waiting
        with self._lock:
            room = 0 if self._closed else max(0, most - len(self._queue))
            kept = several[:room]
            self._queue.extend(kept)
            self._accepted += len(kept)
            self._dropped += len(several) - len(kept)
            self._work.notify()

    def flush(self, timeout: float) -> bool:
        """Wait until what was recorded before this call is written; whether that was so in time."""
        with self._lock:
            target = self._accepted
            self._hurry = True
            self._work.notify()
            return self._settled.wait_for(lambda: self._finished >= target, timeout)

    @property
    def written(self) -> int:
        """Predictions written to the database since the start."""
        return self._written

    @property
    def dropped(self) -> int:
        """Predictions lost since the start: no room, refused by the database, or left at the end."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Predictions that are not written yet."""
        return len(self._queue)

    @property
    def last_error(self) -> str | None:
        """Why the database could not be written to, a sentence; None once it can again."""
        return self._last_error

    def _run(self) -> None:
        pause = 0.0
        while self._wait_for_work(pause):
            try:
                self._migrate()
                batch = self._next_batch()
                if batch:
                    self._write(batch)
                if not self._stopping and time.monotonic() >= self._expire_at:
                    self._expire()
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue holds and it is tried again
                self._failed(error)
                pause = min(max(2 * pause, _GATHER_SECONDS), _LONGEST_PAUSE_SECONDS)
            else:
                pause = 0.0
                if self._last_error is not None:
                    log.info("the prediction log is written again")
                    self._last_error = None

    def _wait_for_work(self, pause: float) -> bool:
        """Wait until there is something to do, after a failure at least `pause` seconds; False at the end."""
        with self._lock:
            if pause:
                # The end is not slept through: the last tries come often, until `stop` gives up.
                if self._stopping:
                    self._work.wait_for(lambda: self._closed, min(pause, 0.2))
                else:
                    self._work.wait_for(lambda: self._stopping, pause)
            else:
                idle = max(0.0, min(self._expire_at - time.monotonic(), _EXPIRE_EVERY_SECONDS))
                self._work.wait_for(lambda: bool(self._queue) or self._stopping, idle)
                self._work.wait_for(
                    lambda: self._hurry or self._stopping or len(self._queue) >= _BATCH_ROWS,
                    _GATHER_SECONDS if self._queue else 0,
                )
            return not self._closed and (bool(self._queue) or not self._stopping)

    def _next_batch(self) -> list[Prediction]:
        with self._lock:
            return list(islice(self._queue, _BATCH_ROWS))

    def _migrate(self) -> None:
        if not self._migrated:
            migrate_engine(self._engine)
            self._migrated = True

    def _write(self, batch: list[Prediction]) -> None:
        """Write `batch`, which is the head of the queue, and take it out."""
        try:
            self._insert([_row(prediction) for prediction in batch])
        except DatabaseAway:
            raise
        except Exception:  # noqa: BLE001 - at least one of them can't be stored: the others are
            for prediction in batch:
                self._write_alone(prediction)
            return
        self._finish(len(batch), written=True)

    def _write_alone(self, prediction: Prediction) -> None:
        try:
            self._insert([_row(prediction)])
        except DatabaseAway:
            raise
        except Exception as error:  # noqa: BLE001 - see `_write`
            log.error("a prediction was not logged: the database refused it: %s", said(error))
            self._finish(1, written=False)
        else:
            self._finish(1, written=True)

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        statement = insert_into(predictions, self._engine.dialect.name).on_conflict_do_nothing(
            # A commit whose answer was lost is repeated without harm.
            index_elements=[predictions.c.prediction_id]
        )
        with writing(self._engine) as connection:
            connection.execute(statement, rows)

    def _finish(self, count: int, written: bool) -> None:
        with self._lock:
            count = min(count, len(self._queue))  # `stop` may have given up meanwhile
            for _ in range(count):
                self._queue.popleft()
            self._finished += count
            if written:
                self._written += count
            else:
                self._dropped += count
            if not self._queue:
                self._hurry = False
            self._settled.notify_all()

    def _failed(self, error: BaseException) -> None:
        sentence = str(error) if isinstance(error, DatabaseAway | DatabaseRefused) else said(error)
        if self._last_error is None:
            log.warning("the prediction log waits with %d predictions: %s", len(self._queue), sentence)
        self._last_error = sentence

    def _expire(self) -> None:
        """Remove one chunk of what is older than the retention; the next is due at once where it was full."""
        oldest = datetime.now(UTC) - self._retention
        chunk = (
            sa.select(predictions.c.prediction_id)
            .where(predictions.c.at < oldest)
            .order_by(predictions.c.at)
            .limit(_CHUNK_ROWS)
        )
        # Should this fail, writing goes on at its usual pace.
        self._expire_at = time.monotonic() + _EXPIRE_AGAIN_SECONDS
        with writing(self._engine) as connection:
            found = connection.scalars(chunk).all()
            if found:  # feedback goes with it: ON DELETE CASCADE
                connection.execute(sa.delete(predictions).where(predictions.c.prediction_id.in_(found)))
        full = len(found) == _CHUNK_ROWS
        self._expire_at = time.monotonic() + (0 if full else _EXPIRE_EVERY_SECONDS)

    # Feedback

    def feedback(self, prediction_id: str, price_paid_mad: float) -> Feedback | None:
        """Keep the price really paid, in place of one told before; None when there is no such prediction.

        A prediction that still waits to be written is waited for. Raises ValueError for a price that
        is not a positive number, and `DatabaseAway`.
        """
        if not (math.isfinite(price_paid_mad) and price_paid_mad > 0):
            raise ValueError(f"the price paid must be more than 0 MAD, found {price_paid_mad}")
        if not _can_be_an_id(prediction_id):
            return None
        found = self._keep(prediction_id, price_paid_mad)
        if found is None:
            self._catch_up()
            found = self._keep(prediction_id, price_paid_mad)
        return found

    def _keep(self, prediction_id: str, price_paid_mad: float) -> Feedback | None:
        now = datetime.now(UTC)
        statement = insert_into(feedback, self._engine.dialect.name).values(
            prediction_id=prediction_id, price_paid_mad=float(price_paid_mad), recorded_at=now
        )
        statement = statement.on_conflict_do_update(
            index_elements=[feedback.c.prediction_id],
            set_={
                "price_paid_mad": statement.excluded.price_paid_mad,
                "recorded_at": statement.excluded.recorded_at,
            },
        )
        try:
            with writing(self._engine) as connection:
                connection.execute(statement)
        except sa.exc.IntegrityError:  # the foreign key: there is no such prediction
            return None
        return Feedback(prediction_id, _amount(price_paid_mad), now)

    def _catch_up(self) -> None:
        """Wait for what is in the queue. Raises `DatabaseAway` when it takes too long."""
        if self.waiting and not self.flush(_FEEDBACK_WAIT_SECONDS):
            raise DatabaseAway(
                "the prediction was expected in the log by now, found the log behind; try again in a moment"
            )

    # Reading

    def one(self, prediction_id: str) -> Logged | None:
        """The prediction of this id, waited for as in `feedback`; None when there is none."""
        if not _can_be_an_id(prediction_id):
            return None
        statement = _with_feedback(sa.select(predictions).where(predictions.c.prediction_id == prediction_id))
        for last_look in (False, True):
            with reading(self._engine) as connection:
                row = connection.execute(statement).one_or_none()
            if row is not None:
                return _logged(row)
            if not last_look:
                self._catch_up()
        return None

    def page(self, filters: Filters, page: int = 1, page_size: int = 50) -> Page:
        """Page number `page` (from 1) of the predictions that fit, newest first."""
        conditions = _conditions(filters)
        counted = sa.select(sa.func.count()).where(*conditions)
        counted = counted.select_from(predictions if filters.with_feedback is None else _joined())
        first = (max(page, 1) - 1) * page_size
        with reading(self._engine) as connection:
            total = connection.scalar(counted) or 0
            if first >= total:
                return Page(total, [])
            rows = connection.execute(_chosen(filters, conditions, page_size, first)).all()
        return Page(total, [_logged(row) for row in rows])

    def stream(self, filters: Filters) -> Iterator[Logged]:
        """All predictions that fit, newest first, read a chunk at a time.

        Each chunk is a query of its own that goes on where the one before ended: a slow reader holds no
        transaction open and one that leaves in the middle leaves nothing behind.
        """
        conditions = _conditions(filters)
        older: list[sa.ColumnElement[bool]] = []
        while True:
            chunk = _chosen(filters, [*conditions, *older], _CHUNK_ROWS)
            with reading(self._engine) as connection:
                rows = connection.execute(chunk).all()
            yield from map(_logged, rows)
            if len(rows) < _CHUNK_ROWS:
                return
            last = sa.tuple_(
                sa.literal(rows[-1].at, predictions.c.at.type), sa.literal(rows[-1].prediction_id, sa.String)
            )
            older = [sa.tuple_(predictions.c.at, predictions.c.prediction_id) < last]

    def comparison(
        self, production_version: str | None, staging_version: str | None
    ) -> dict[str, dict[str, Any]]:
        """How two versions did: on the prices really paid, and against each other on the same listings.

        A version's predictions are those it answered and those it made in the shadow of another.
        Errors and differences are shares (0.1 is 10 %), None where there is nothing to compare. They
        are of the newest 50,000 predictions that have what is compared.
        """
        with reading(self._engine) as connection:
            return {
                "production": _against_paid(connection, production_version),
                "staging": _against_paid(connection, staging_version),
                "agreement": _agreement(connection, production_version, staging_version),
            }


# What is kept -------------------------------------------------------------------------------------------

# Spaces, dots and dashes of any script between the digits of a telephone or identity number.
_LONG_NUMBER = re.compile(r"\d(?:[\s.\-\u00ad\u2010-\u2015\u2212\u00b7]*\d){5}")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


@lru_cache(maxsize=4096)
def without_personal_data(text: str) -> str | None:
    """`text`, or None when it may be about a person and not a car.

    That is when it is long, holds an @ or a number of six digits or more (spaces, dots and dashes
    between them do not count), or characters that nobody sees.
    """
    if len(text) > LONGEST_TEXT:
        return None
    plain = unicodedata.normalize("NFKC", text)
    if "@" in plain or _LONG_NUMBER.search(plain):
        return None
    return None if any(unicodedata.category(character) in _INVISIBLE for character in text) else text


def _row(prediction: Prediction) -> dict[str, Any]:
    """What is stored of a prediction: only the features, and of these only what is about a car."""
    listing = {
        name: value for name in FEATURES if (value := _kept(name, prediction.listing.get(name))) is not None
    }
    # A version is no shadow of itself, and one without a price is none at all.
    shadowed = (
        prediction.shadow_version not in (None, prediction.version)
        and _number(prediction.shadow_price_mad) is not None
    )
    return {
        "prediction_id": str(prediction.prediction_id),
        "at": utc(prediction.at),
        "listing": listing,
        "make": _folded(listing["make"]) if "make" in listing else None,
        "model": _folded(listing["model"]) if "model" in listing else None,
        "asking_price_mad": _number(prediction.asking_price_mad),
        "price_mad": _required(prediction.price_mad),
        "low_mad": _required(prediction.low_mad),
        "high_mad": _required(prediction.high_mad),
        "version": str(prediction.version),
        "alias": str(prediction.alias),
        "source": str(prediction.source),
        "latency_ms": _required(prediction.latency_ms),
        "shadow_version": str(prediction.shadow_version) if shadowed else None,
        "shadow_price_mad": _number(prediction.shadow_price_mad) if shadowed else None,
    }


def _kept(name: str, value: Any) -> Any:
    column = COLUMNS[name]
    if column.kind == "text":
        return without_personal_data(value) if isinstance(value, str) else None
    if isinstance(value, bool):
        return value
    number = _number(value)
    # A number out of all bounds is no fact about a car; it may be one about a person.
    if number is None or not (column.low or 0) <= number <= (column.high or 9999):
        return None
    return _amount(number)


def _number(value: Any) -> float | None:
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        return None
    return float(value)


def _required(value: Any) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"a finite number was expected, found {type(value).__name__} {value!r:.20}")
    return number


def _amount(value: float) -> float:
    return int(value) if float(value).is_integer() else value


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    """Without case, accents and doubled spaces, as filters compare makes and models."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(bare.split())[:LONGEST_TEXT]


# Queries ------------------------------------------------------------------------------------------------

_NEWEST_FIRST = (predictions.c.at.desc(), predictions.c.prediction_id.desc())


def _joined() -> sa.FromClause:
    return predictions.outerjoin(feedback, predictions.c.prediction_id == feedback.c.prediction_id)


def _chosen(
    filters: Filters, conditions: list[sa.ColumnElement[bool]], limit: int, offset: int = 0
) -> sa.Select[Any]:
    """At most `limit` of the predictions that fit, newest first, with their feedback."""
    chosen = sa.select(predictions).where(*conditions)
    if filters.with_feedback is not None:
        chosen = chosen.select_from(_joined())
    # Feedback is looked up for the few that are shown, not for the whole table.
    return _with_feedback(chosen.order_by(*_NEWEST_FIRST).limit(limit).offset(offset))


def _with_feedback(chosen: sa.Select[Any]) -> sa.Select[Any]:
    found = chosen.subquery()
    return (
        sa.select(found, feedback.c.price_paid_mad, feedback.c.recorded_at.label("feedback_at"))
        .select_from(found.outerjoin(feedback, found.c.prediction_id == feedback.c.prediction_id))
        .order_by(found.c.at.desc(), found.c.prediction_id.desc())
    )


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (predictions.c.make, None if filters.make is None else _folded(filters.make)),
        (predictions.c.model, None if filters.model is None else _folded(filters.model)),
        (predictions.c.version, filters.version),
        (predictions.c.alias, filters.alias),
        (predictions.c.source, filters.source),
    ):
        if value is not None:
            # PostgreSQL refuses to be asked for what it can't store
            wanted.append(column == value if _can_be_stored(value) else sa.false())
    if filters.since is not None:
        wanted.append(predictions.c.at >= filters.since)
    if filters.until is not None:
        wanted.append(predictions.c.at < filters.until)
    if filters.with_feedback is not None:
        paid = feedback.c.prediction_id
        wanted.append(paid.is_not(None) if filters.with_feedback else paid.is_(None))
    return wanted


def _can_be_stored(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _can_be_an_id(text: str) -> bool:
    return 0 < len(text) <= 32 and text.isascii() and text.isprintable()


def _logged(row: sa.Row[Any]) -> Logged:
    values = row._asdict()
    del values["make"], values["model"]
    values["listing"] = {name: values["listing"].get(name) for name in FEATURES}
    for name, value in values.items():
        if name.endswith("_mad") and value is not None:
            values[name] = _amount(value)
    values["at"] = utc(values["at"])
    return Logged(**values)


def _against_paid(connection: sa.Connection, version: str | None) -> dict[str, Any]:
    """One version's predictions, and its errors on those whose price paid is known."""
    found: dict[str, Any] = {
        "version": version, "predictions": 0, "feedback": 0, "mape": None, "median_ape": None
    }  # fmt: skip
    if version is None or not _can_be_stored(version):
        return found
    paid = feedback.c.price_paid_mad
    both = feedback.join(predictions, feedback.c.prediction_id == predictions.c.prediction_id)
    pairs: list[tuple[datetime, float, float]] = []
    # One query each: a database finds one or the other by an index, but not both at once.
    for made, price in (
        (predictions.c.version == version, predictions.c.price_mad),
        (predictions.c.shadow_version == version, predictions.c.shadow_price_mad),
    ):
        counted = sa.select(sa.func.count()).where(made)
        found["predictions"] += connection.scalar(counted.select_from(predictions)) or 0
        found["feedback"] += connection.scalar(counted.select_from(both)) or 0
        newest = sa.select(feedback.c.recorded_at, price, paid).select_from(both).where(made)
        newest = newest.order_by(feedback.c.recorded_at.desc()).limit(COMPARED_ROWS)
        pairs += [(row[0], row[1], row[2]) for row in connection.execute(newest)]
    pairs.sort(reverse=True)
    errors = [abs(said_mad - paid_mad) / paid_mad for _, said_mad, paid_mad in pairs[:COMPARED_ROWS]]
    if errors:
        found |= {"mape": statistics.fmean(errors), "median_ape": statistics.median(errors)}
    return found


def _agreement(
    connection: sa.Connection, production_version: str | None, staging_version: str | None
) -> dict[str, Any]:
    """How close two versions are on the listings that both of them priced."""
    found: dict[str, Any] = {"pairs": 0, "median_abs_difference_share": None, "within_5_percent": None}
    if production_version is None or staging_version is None:
        return found
    if not (_can_be_stored(production_version) and _can_be_stored(staging_version)):
        return found
    pairs: list[tuple[datetime, float, float]] = []
    for answering, shadow in (
        (production_version, staging_version),
        (staging_version, production_version),
    ):
        newest = (
            sa.select(predictions.c.at, predictions.c.price_mad, predictions.c.shadow_price_mad)
            .where(predictions.c.version == answering, predictions.c.shadow_version == shadow)
            .where(predictions.c.price_mad > 0)
            .order_by(predictions.c.at.desc())
            .limit(COMPARED_ROWS)
        )
        pairs += [(row[0], row[1], row[2]) for row in connection.execute(newest)]
    pairs.sort(reverse=True)
    differences = [abs(shadow_mad - mad) / mad for _, mad, shadow_mad in pairs[:COMPARED_ROWS]]
    if differences:
        found = {
            "pairs": len(differences),
            "median_abs_difference_share": statistics.median(differences),
            "within_5_percent": sum(d <= 0.05 for d in differences) / len(differences),
        }
    return found
