"""The staging version beside production: it does nothing, prices in the shadow, or answers a share."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING

from carprice.model.price_model import price_records
from price_api.metrics import Metrics
from price_api.production import Follower
from price_api.serving import Serving
from price_api.settings import Settings
from price_contract.answers import StagingState

if TYPE_CHECKING:
    from price_api.prediction_log.log import PredictionLog
    from price_api.prediction_log.records import Prediction

log = logging.getLogger(__name__)

_MOST_WAITING = 2_000
_AT_ONCE = 64


class Staging:
    """Chooses the version that answers, and prices in the shadow afterwards. Lives on the event loop."""

    def __init__(
        self,
        settings: Settings,
        follower: Follower,
        predictions: PredictionLog,
        metrics: Metrics,
        executor: Executor,
    ) -> None:
        self.mode = settings.staging
        self.share = settings.staging_share
        self._follower = follower
        self._log = predictions
        self._metrics = metrics
        self._executor = executor
        self._waiting: list[tuple[Serving, Prediction]] = []
        self._task: asyncio.Task[None] | None = None

    def answers(self, production: Serving, sticky_key: str | None) -> Serving:
        """The version that answers: the same one for the same key, until a version changes."""
        staged = self._follower.staging
        if self.mode != "share" or staged is None or staged.key == production.key:
            return production
        if sticky_key:
            digest = hashlib.sha256(sticky_key.encode("utf-8", "replace")).digest()
            place = int.from_bytes(digest[:8], "big") / 2**64
        else:
            place = random.random()
        return staged if place < self.share else production

    def record(self, prediction: Prediction) -> None:
        """Log a single prediction, with the price of the shadow if there is one. Returns at once."""
        staged = self._follower.staging
        if self.mode != "shadow" or staged is None or staged.version == prediction.version:
            self._log.record(prediction)
            return
        if len(self._waiting) >= _MOST_WAITING:  # too busy for shadows
            self._log.record(prediction)
            return
        self._waiting.append((staged, prediction))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def finish(self, seconds: float) -> None:
        """Price and log what waits. After `seconds`, the rest is logged without the price of the shadow."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
        self._log.record_many([prediction for _, prediction in self._waiting])
        self._waiting = []

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                self._log.record_many(await loop.run_in_executor(self._executor, _shadowed, batch))
                self._metrics.count_shadow_predictions(len(batch))
        finally:
            self._task = None

    def state(self) -> StagingState:
        """The staging version as `/v1/model` describes it."""
        staged, refused = self._follower.staging, self._follower.staging_refused
        return {
            "mode": self.mode,
            "version": staged.version if staged and self.mode != "off" else None,
            "share": self.share if self.mode == "share" else None,
            "refused": refused.record() if refused else None,
        }


def _shadowed(batch: list[tuple[Serving, Prediction]]) -> list[Prediction]:
    """The predictions with the prices of the shadow, or without them where it can't price."""
    done: list[Prediction] = []
    for serving in {id(s): s for s, _ in batch}.values():
        mine = [prediction for s, prediction in batch if s is serving]
        try:
            prices = price_records(serving.pipeline, [prediction.listing for prediction in mine])
        except Exception as error:  # noqa: BLE001 - a failing shadow must not lose a record
            log.warning("staging version %s can't price in the shadow: %s", serving.version, error)
            done += mine
            continue
        done += [
            replace(prediction, shadow_version=serving.version, shadow_price_mad=float(round(price)))
            for prediction, price in zip(mine, prices[:, 0], strict=True)
        ]
    return done
