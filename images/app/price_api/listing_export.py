"""Writes the listings that people asked prices for to the data root, where the drift step reads them."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from itertools import islice

import pandas as pd

from carprice.listings.schema import FEATURES
from carprice.model.features import features_of
from carprice.store import DataRoot
from carprice_contract.data_root import QUESTIONS
from price_api.prediction_log.log import PredictionLog
from price_api.prediction_log.records import Filters

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
# Drift compares samples, so the newest rows of a busy day are enough.
ROWS_A_DAY = 20_000


def write_day(predictions: PredictionLog, root: DataRoot, day: datetime) -> int:
    """Write `asked/<day>.parquet` (the columns a model is given, and `at`); returns its number of rows.

    It holds single requests only: a batch says what a dealer has, not what people look for. A day
    without requests gets no file.
    """
    begin = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    chosen = Filters(source="predict", since=begin, until=begin + timedelta(days=1))
    newest = list(islice(predictions.stream(chosen), ROWS_A_DAY))
    if newest:
        table = features_of(pd.DataFrame([each.listing for each in newest]))[list(FEATURES)]
        table["at"] = pd.to_datetime([each.at for each in newest], utc=True)
        root.write_parquet(f"{QUESTIONS}/{begin:%Y-%m-%d}.parquet", table)
    return len(newest)


def remove_old(root: DataRoot, retention_days: float, today: datetime) -> None:
    """Remove the days that the prediction log no longer holds."""
    oldest = f"{today.astimezone(UTC) - timedelta(days=retention_days):%Y-%m-%d}.parquet"
    for name in root.names(QUESTIONS, ".parquet"):
        if name < oldest:
            root.remove(f"{QUESTIONS}/{name}")


class ListingExport:
    """A thread that writes today's file every five minutes, and once more at the end.

    After midnight it writes the day that has ended once more and removes files older than
    `retention_days`.
    """

    def __init__(self, predictions: PredictionLog, root: DataRoot, retention_days: float) -> None:
        self._predictions = predictions
        self._root = root
        self._retention_days = retention_days
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listing-export", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Write once more and end."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        before = datetime.now(UTC) - timedelta(days=1)
        last = False
        while not last:
            last = self._ended.wait(EVERY_SECONDS)
            now = datetime.now(UTC)
            try:
                if before.date() != now.date():
                    write_day(self._predictions, self._root, before)
                write_day(self._predictions, self._root, now)
                if before.date() != now.date():
                    remove_old(self._root, self._retention_days, now)
                before = now
            except Exception as problem:  # noqa: BLE001 - prices do not depend on this file
                log.warning("the requested listings of %s were not written: %s", f"{now:%Y-%m-%d}", problem)
