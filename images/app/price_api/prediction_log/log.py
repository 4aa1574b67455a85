"""The log that the service uses: a prediction goes into a bounded queue, and one thread writes the queue."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from price_api.database import (
    DatabaseAway,
    DatabaseRefused,
    engine_of,
    first_line_of,
    insert_into,
    migrate_engine,
    predictions,
    writing,
)
from price_api.prediction_log import queries
from price_api.prediction_log.comparison import comparison_of
from price_api.prediction_log.queue import GATHER_SECONDS, PredictionQueue
from price_api.prediction_log.records import Cursor, Feedback, Filters, Logged, Page, Prediction
from price_api.prediction_log.rows import row_of
from price_contract.answers import Comparison

log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 2.0
_FEEDBACK_WAIT_SECONDS = 2.0
_EXPIRE_EVERY_SECONDS = 3600.0
_EXPIRE_AGAIN_SECONDS = 60.0
_EXPIRED_ROWS = 1_000


class PredictionLog:
    """Predictions and feedback in the database of `url`.

    `record` and `record_many` never wait and never raise: a prediction that does not fit into the queue
    of `queue_size` is lost and counted in `dropped`. While the database is away the queue keeps what it
    holds. The methods that read and `feedback` raise `DatabaseAway` when the database does not answer.
    """

    def __init__(self, url: str, queue_size: int = 10_000, retention_days: float = 365) -> None:
        if queue_size < 1 or not retention_days > 0:
            raise ValueError(
                "the prediction log needs room for at least 1 prediction and more than 0 days of retention, "
                f"found queue_size={queue_size} and retention_days={retention_days}"
            )
        self._engine = engine_of(url)
        self._queue = PredictionQueue(queue_size)
        self._retention = timedelta(days=retention_days)
        self._last_error: str | None = None
        self._migrated = False
        self._expire_at = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bring the schema up to date and begin to write.

        If the database is away, the writing thread tries again later. Raises `DatabaseRefused` when the
        schema is of a later release.
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
        """Write everything that waits, for at most `timeout` seconds, and end.

        What is left then is counted as dropped. Returns whether everything was written.
        """
        self._queue.stop()
        if self._thread is not None:
            self._thread.join(timeout)
        left = self._queue.close()
        if left:
            log.error("%d predictions were not logged: %s", left, self._last_error)
        self._engine.dispose()
        return not left

    def record(self, prediction: Prediction) -> None:
        """Log a prediction later on."""
        self._queue.put(prediction)

    def record_many(self, several: Sequence[Prediction], most_waiting: int | None = None) -> None:
        """Log predictions later on; see `PredictionQueue.put_many`."""
        self._queue.put_many(several, most_waiting)

    def flush(self, timeout: float) -> bool:
        """Wait until everything recorded before this call is written; whether that happened in time."""
        return self._queue.flush(timeout)

    @property
    def written(self) -> int:
        """Predictions written to the database since the start."""
        return self._queue.written

    @property
    def dropped(self) -> int:
        """Predictions lost since the start: no room, refused by the database, or left at the end."""
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """Predictions that are not written yet."""
        return self._queue.waiting

    @property
    def last_error(self) -> str | None:
        """Why the database could not be written to, one sentence; None once it can again."""
        return self._last_error

    def feedback(
        self, prediction_id: str, price_paid_mad: float, key: str | None = None, unlikely: bool = False
    ) -> Feedback | None:
        """Keep the price paid, in place of an earlier one; None when there is no such prediction.

        Waits for a prediction that is still in the queue. `key` is the name of the caller's API key. Raises
        `FeedbackOfAnother` when the earlier one came with another key, and ValueError for a price that is not
        a positive number.
        """
        if not (math.isfinite(price_paid_mad) and price_paid_mad > 0):
            raise ValueError(f"the price paid must be more than 0 MAD, found {price_paid_mad}")
        if not queries.can_be_an_id(prediction_id):
            return None
        found = queries.write_feedback(self._engine, prediction_id, price_paid_mad, key, unlikely)
        if found is None:
            self._catch_up()
            found = queries.write_feedback(self._engine, prediction_id, price_paid_mad, key, unlikely)
        return found

    def withdraw(self, prediction_id: str, key: str | None = None) -> bool:
        """Remove the price paid for the car of a prediction; whether there was one.

        Raises `FeedbackOfAnother` when it came with another key than the caller's.
        """
        if not queries.can_be_an_id(prediction_id):
            return False
        return queries.remove_feedback(self._engine, prediction_id, key)

    def one(self, prediction_id: str, key_name: str | None = None) -> Logged | None:
        """The prediction of this id, waited for as in `feedback`; None when there is none.

        With `key_name`, only a prediction that this key asked for.
        """
        if not queries.can_be_an_id(prediction_id):
            return None
        found = queries.prediction_of(self._engine, prediction_id, key_name)
        if found is None:
            self._catch_up()
            found = queries.prediction_of(self._engine, prediction_id, key_name)
        return found

    def page(self, filters: Filters, page: int = 1, page_size: int = 50, after: Cursor | None = None) -> Page:
        """Page number `page` (from 1) of the predictions that fit, or the page `after` one; newest first."""
        return queries.page_of(self._engine, filters, page, page_size, after)

    def stream(self, filters: Filters) -> Iterator[Logged]:
        """All predictions that fit, newest first; see `queries.stream_of`."""
        return queries.stream_of(self._engine, filters)

    def comparison(self, production_version: str | None, staging_version: str | None) -> Comparison:
        """How two versions did; see `comparison.comparison_of`."""
        return comparison_of(self._engine, production_version, staging_version)

    def _run(self) -> None:
        pause = 0.0
        while self._queue.wait_for_work(pause, self._seconds_to_expiry()):
            try:
                self._migrate()
                batch = self._queue.head()
                if batch:
                    self._write(batch)
                if not self._queue.stopping and time.monotonic() >= self._expire_at:
                    self._expire()
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue keeps it all for the next try
                self._failed(error)
                pause = min(max(2 * pause, GATHER_SECONDS), _LONGEST_PAUSE_SECONDS)
            else:
                pause = 0.0
                if self._last_error is not None:
                    log.info("the prediction log can be written again")
                    self._last_error = None

    def _seconds_to_expiry(self) -> float:
        return max(0.0, min(self._expire_at - time.monotonic(), _EXPIRE_EVERY_SECONDS))

    def _migrate(self) -> None:
        if not self._migrated:
            migrate_engine(self._engine)
            self._migrated = True

    def _write(self, batch: list[Prediction]) -> None:
        """Write `batch`, which is the head of the queue, and take it out."""
        try:
            self._insert(batch)
        except DatabaseAway:
            raise
        except Exception:  # noqa: BLE001 - one of them can't be stored; the others can
            for prediction in batch:
                self._write_alone(prediction)
            return
        self._queue.remove(len(batch), written=True)

    def _write_alone(self, prediction: Prediction) -> None:
        try:
            self._insert([prediction])
        except DatabaseAway:
            raise
        except Exception as error:  # noqa: BLE001 - see `_write`
            log.error("a prediction was not logged because the database refused it: %s", first_line_of(error))
            self._queue.remove(1, written=False)
        else:
            self._queue.remove(1, written=True)

    def _insert(self, batch: list[Prediction]) -> None:
        statement = insert_into(predictions, self._engine.dialect.name).on_conflict_do_nothing(
            # If the answer to a commit is lost, the same rows are inserted again without harm.
            index_elements=[predictions.c.prediction_id]
        )
        rows = [row_of(prediction) for prediction in batch]
        with writing(self._engine) as connection:
            connection.execute(statement, rows)

    def _failed(self, error: BaseException) -> None:
        sentence = str(error) if isinstance(error, DatabaseAway | DatabaseRefused) else first_line_of(error)
        if self._last_error is None:
            log.warning("the prediction log waits with %d predictions: %s", self.waiting, sentence)
        self._last_error = sentence

    def _expire(self) -> None:
        """Remove one chunk of the predictions older than the retention; after a full chunk, the next."""
        oldest = datetime.now(UTC) - self._retention
        chunk = (
            sa.select(predictions.c.prediction_id)
            .where(predictions.c.at < oldest)
            .order_by(predictions.c.at)
            .limit(_EXPIRED_ROWS)
        )
        # If this fails, writing continues at its usual pace.
        self._expire_at = time.monotonic() + _EXPIRE_AGAIN_SECONDS
        with writing(self._engine) as connection:
            found = connection.scalars(chunk).all()
            if found:  # feedback goes with it: ON DELETE CASCADE
                connection.execute(sa.delete(predictions).where(predictions.c.prediction_id.in_(found)))
        full = len(found) == _EXPIRED_ROWS
        self._expire_at = time.monotonic() + (0 if full else _EXPIRE_EVERY_SECONDS)

    def _catch_up(self) -> None:
        """Wait for the queue. Raises `DatabaseAway` when that takes too long."""
        if self.waiting and not self.flush(_FEEDBACK_WAIT_SECONDS):
            raise DatabaseAway(
                "expected the prediction in the log by now, but the log is behind; try again in a moment"
            )
