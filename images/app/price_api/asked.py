"""What people asked about, as files under the data root that the drift step compares with the market."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from itertools import islice

import pandas as pd

from carprice.model.features import features_of
from carprice.store import DataRoot
from price_api.prediction_log import Filters, PredictionLog

log = logging.getLogger(__name__)

FOLDER = "asked"
EVERY_SECONDS = 300.0
# Drift compares samples; a day with more is told well enough by its newest ones.
ROWS_A_DAY = 20_000


def write_day(predictions: PredictionLog, root: DataRoot, day: datetime) -> int:
    """Write `asked/<day>.parquet` (the columns a model is given, and `at`); returns how many rows.

    Single questions only: a batch says what a dealer has, not what people look for. No file is made
    for a day on which nobody asked.
    """
    begin = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    chosen = Filters(source="predict", since=begin, until=begin + timedelta(days=1))
    asked = list(islice(predictions.stream(chosen), ROWS_A_DAY))
    if asked:
        table = features_of(pd.DataFrame([each.listing for each in asked]))
        table["at"] = pd.to_datetime([each.at for each in asked], utc=True)
        root.write_parquet(f"{FOLDER}/{begin:%Y-%m-%d}.parquet", table)
    return len(asked)


def remove_old(root: DataRoot, retention_days: float, today: datetime) -> None:
    """Remove the days of which the prediction log has nothing any more."""
    oldest = f"{today.astimezone(UTC) - timedelta(days=retention_days):%Y-%m-%d}.parquet"
    for name in root.names(FOLDER, ".parquet"):
        if name < oldest:
            root.remove(f"{FOLDER}/{name}")


class AskedExport:
    """A thread that writes today's file every five minutes, and once more at the end.

    A day that has ended is written once more; files older than `retention_days` are removed.
    """

    def __init__(self, predictions: PredictionLog, root: DataRoot, retention_days: float) -> None:
        self._predictions = predictions
        self._root = root
        self._retention_days = retention_days
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asked", daemon=True)

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
            except Exception as problem:  # noqa: BLE001 - prices are given whatever becomes of this
                log.warning("what was asked on %s was not written: %s", f"{now:%Y-%m-%d}", problem)
