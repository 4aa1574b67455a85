"""The parts of the service that requests need, built once per process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from carprice.errors import StoreAway, StoreRefused
from carprice.store import DataRoot
from carprice_contract.data_root import COLLECTOR_GAUGES, GAUGES
from price_api.api_keys import ApiKeys
from price_api.listing_export import ListingExport
from price_api.market.following import MarketFollower
from price_api.metrics import Metrics
from price_api.model_cache import ModelCache
from price_api.prediction_log.log import PredictionLog
from price_api.predictor import Predictor
from price_api.problems import Refusal
from price_api.production import Follower
from price_api.readiness import why_unavailable
from price_api.serving import NoSnapshot, Serving
from price_api.settings import Settings
from price_api.staging import Staging

log = logging.getLogger(__name__)

# An orderly stop: first the requests end, then the service writes what waits, the log first. Docker kills
# after 10 s unless it is told to wait longer, `make demo` after 12 s.
REQUEST_SECONDS = 3
STOP_SECONDS = 6.0
_SHADOW_SECONDS = 1.0
_EXPORT_SECONDS = 2.0

Result = TypeVar("Result")


class Services:
    """The parts of one API process; `start` and `stop` belong to its event loop."""

    def __init__(self, settings: Settings) -> None:
        os.makedirs(settings.state_folder, exist_ok=True)
        self.settings = settings
        self.root = DataRoot(settings.data_root)
        self.metrics = Metrics()
        self.follower = Follower(
            self.root,
            ModelCache(os.path.join(settings.state_folder, "models"), self.root),
            self.metrics,
            settings.poll_seconds,
            settings.staging != "off",
        )
        self.market = MarketFollower(self.root, settings.poll_seconds)
        # Two: while one computes for seconds, the other answers short requests.
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="work")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="read")
        self.predictions = PredictionLog(settings.log_url, settings.log_queue, settings.retention_days)
        self.listing_export = ListingExport(self.predictions, self.root, settings.retention_days)
        self.keys = ApiKeys(settings.log_url)
        self.predictor = Predictor()
        self.staging = Staging(settings, self.follower, self.predictions, self.metrics, self._readers)
        self.metrics.add_values(self._gauges)

    def start(self) -> None:
        """Begin to follow and to log."""
        self.predictions.start()
        self.listing_export.start()
        self.follower.start()
        self.market.start()

    async def stop(self) -> None:
        """Price and write what waits, then end every thread, all within STOP_SECONDS."""
        until = time.monotonic() + STOP_SECONDS
        await self.staging.finish(_SHADOW_SECONDS)
        await asyncio.get_running_loop().run_in_executor(None, self._stop, until)

    def _stop(self, until: float) -> None:
        def left() -> float:
            return max(0.0, until - time.monotonic())

        self._workers.shutdown(wait=False, cancel_futures=True)
        self.predictions.stop(max(0.0, left() - _EXPORT_SECONDS))
        self.listing_export.stop(left())
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.follower.stop(left())
        self.market.stop(left())

    def serving(self) -> Serving:
        """The model in production. Raises `Refusal` (503) where none is loaded."""
        serving = self.follower.production
        if serving is None:
            raise why_unavailable(self.follower)
        return serving

    async def work(self, task: Callable[[], Result]) -> Result:
        """Run a long task in a thread. Raises `Refusal` (409) where the training listings are missing."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, task)
        except NoSnapshot as problem:
            raise Refusal("listings-gone", {"reason": str(problem)}) from problem

    async def read(self, task: Callable[[], Result]) -> Result:
        """Run a task that waits for the database or for files in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, task)

    async def stored(self, task: Callable[[], Result]) -> Result:
        """Run a task that uses files of the data root in a thread.

        Raises `Refusal` (503) while the object store of the data root can't be used.
        """
        try:
            return await self.read(task)
        except (StoreAway, StoreRefused) as problem:
            log.warning("%s", problem)
            raise Refusal("store-away") from problem

    def metrics_page(self) -> bytes:
        """The metrics of this process, and those that pipeline and collector wrote to the data root."""
        page = self.metrics.exposition()
        for name in (GAUGES, COLLECTOR_GAUGES):
            with contextlib.suppress(OSError):
                page += self.root.read_bytes(name)
        return page

    def _gauges(self) -> dict[str, tuple[str, float | None]]:
        serving = self.follower.production
        predictions, market = self.predictions, self.market.market
        trained_at = serving.about["training"].get("trained_at") if serving else None
        return {
            "carprice_production_version": (
                "The version that serves.",
                _number(serving.version) if serving else None,
            ),
            "carprice_production_loaded_timestamp_seconds": (
                "When it was loaded.",
                serving.loaded_at.timestamp() if serving else None,
            ),
            "carprice_production_trained_timestamp_seconds": (
                "When it was trained.",
                datetime.fromisoformat(trained_at).timestamp() if trained_at else None,
            ),
            "carprice_mlflow_up": (
                "Whether MLflow answered when last asked.",
                float(self.follower.mlflow_answers is True),
            ),
            "carprice_production_refused": (
                "Whether the version that should be in production is refused.",
                float(self.follower.refused is not None),
            ),
            "carprice_market_listings": (
                "Listings of the market that serves.",
                float(market.offers.count) if market else None,
            ),
            "carprice_market_made_timestamp_seconds": (
                "When they were rated.",
                datetime.fromisoformat(market.made_at).timestamp() if market else None,
            ),
            "carprice_market_refused": (
                "Whether the newest market is refused.",
                float(self.market.refused is not None),
            ),
            "carprice_prediction_log_queue": (
                "Predictions that wait to be written.",
                float(predictions.waiting),
            ),
            "carprice_prediction_log_dropped_total": (
                "Predictions that were lost because the log could not keep up.",
                float(predictions.dropped),
            ),
            "carprice_prediction_log_written_total": (
                "Predictions that were written.",
                float(predictions.written),
            ),
        }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def log_state(predictions: PredictionLog) -> dict[str, Any]:
    """The log as `/readyz` describes it."""
    error = predictions.last_error
    return {
        "waiting": predictions.waiting,
        "written": predictions.written,
        "dropped": predictions.dropped,
        "last_error": str(error) if error else None,
    }
