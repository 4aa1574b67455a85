"""The predictions that wait to be written: a bounded queue between the requests and the writing thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice

from price_api.prediction_log.records import Prediction

BATCH_ROWS = 500
# The writer waits this long for more rows, so that one transaction writes many.
GATHER_SECONDS = 0.1
_RETRY_AT_THE_END_SECONDS = 0.2


class PredictionQueue:
    """At most `room` predictions, and how many were written or lost so far.

    `put` and `put_many` never wait and never raise: the queue counts a prediction without room in
    `dropped`. A prediction stays in the queue until `remove`, so a failed write loses nothing.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._predictions: deque[Prediction] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._accepted = 0
        self._finished = 0
        self._written = 0
        self._dropped = 0
        self._hurry = False
        self._stopping = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Predictions that are not written yet."""
        return len(self._predictions)

    @property
    def written(self) -> int:
        """Predictions that were written since the start."""
        return self._written

    @property
    def dropped(self) -> int:
        """Predictions that were lost since the start: no room, refused by the database, left at the end."""
        return self._dropped

    @property
    def stopping(self) -> bool:
        """Whether the end was announced."""
        return self._stopping

    def put(self, prediction: Prediction) -> None:
        """Add a prediction."""
        with self._lock:
            if self._closed or len(self._predictions) >= self._room:
                self._dropped += 1
                return
            self._predictions.append(prediction)
            self._accepted += 1
            if len(self._predictions) in (1, BATCH_ROWS):
                self._work.notify()

    def put_many(self, several: Sequence[Prediction], most_waiting: int | None = None) -> None:
        """Add predictions. If there is not enough room, the queue keeps the first of them.

        With `most_waiting`, the queue takes only as many as leave no more than that number waiting.
        """
        most = self._room if most_waiting is None else most_waiting
        with self._lock:
            room = 0 if self._closed else max(0, most - len(self._predictions))
            kept = several[:room]
            self._predictions.extend(kept)
            self._accepted += len(kept)
            self._dropped += len(several) - len(kept)
            self._work.notify()

    def flush(self, timeout: float) -> bool:
        """Wait until everything added before this call is settled; whether that happened in time."""
        with self._lock:
            target = self._accepted
            self._hurry = True
            self._work.notify()
            return self._settled.wait_for(lambda: self._finished >= target, timeout)

    def wait_for_work(self, pause: float, idle: float) -> bool:
        """Wait until there is something to write; False at the end.

        After a failure wait at least `pause` seconds, without one at most `idle` seconds.
        """
        with self._lock:
            if pause:
                # While the service stops, the writer tries again often, until `close`.
                if self._stopping:
                    self._work.wait_for(lambda: self._closed, min(pause, _RETRY_AT_THE_END_SECONDS))
                else:
                    self._work.wait_for(lambda: self._stopping, pause)
            else:
                self._work.wait_for(lambda: bool(self._predictions) or self._stopping, idle)
                self._work.wait_for(
                    lambda: self._hurry or self._stopping or len(self._predictions) >= BATCH_ROWS,
                    GATHER_SECONDS if self._predictions else 0,
                )
            return not self._closed and (bool(self._predictions) or not self._stopping)

    def head(self) -> list[Prediction]:
        """The oldest predictions, at most BATCH_ROWS of them; they stay in the queue."""
        with self._lock:
            return list(islice(self._predictions, BATCH_ROWS))

    def remove(self, count: int, written: bool) -> None:
        """Take the `count` oldest predictions out: written, or refused by the database."""
        with self._lock:
            count = min(count, len(self._predictions))  # `close` may have emptied the queue meanwhile
            for _ in range(count):
                self._predictions.popleft()
            self._finished += count
            if written:
                self._written += count
            else:
                self._dropped += count
            if not self._predictions:
                self._hurry = False
            self._settled.notify_all()

    def stop(self) -> None:
        """Announce the end: `wait_for_work` no longer waits for more rows."""
        with self._lock:
            self._stopping = True
            self._work.notify_all()

    def close(self) -> int:
        """Take nothing more. The predictions that are left count as dropped; returns their number."""
        with self._lock:
            self._closed = True
            left = len(self._predictions)
            # A commit may be under way at this moment: then fewer are lost than this says, never more.
            self._dropped += left
            self._finished += left
            self._predictions.clear()
            self._work.notify_all()
            self._settled.notify_all()
        return left
