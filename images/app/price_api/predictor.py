"""Prices requests together that wait at the same time: one call for many costs little more than for one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from carprice.model.price_model import price_records
from price_api.serving import Serving

MOST_AT_ONCE = 64

Prices = npt.NDArray[np.float64]
_Waiting = tuple[Serving, Mapping[str, Any], "asyncio.Future[Prices]"]


class Predictor:
    """Collects the listings of one turn of the event loop and prices them in one call.

    Lives on one event loop. Each listing gets its price from the version that its request began with.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._scheduled = False

    def price(self, serving: Serving, listing: Mapping[str, Any]) -> asyncio.Future[Prices]:
        """Price, low and high in MAD of one listing (a dict over FEATURES): an array of shape (3,)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prices] = loop.create_future()
        self._waiting.append((serving, listing, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._drain, loop)
        return future

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._drain, loop)
        by_version: dict[int, list[_Waiting]] = {}
        for each in batch:
            by_version.setdefault(id(each[0].pipeline), []).append(each)
        for group in by_version.values():
            try:
                prices = price_records(group[0][0].pipeline, [listing for _, listing, _ in group])
            except Exception as error:  # noqa: BLE001 - the waiting requests get the error
                _fail(group, error)
                continue
            for (_, _, future), price in zip(group, prices, strict=True):
                if not future.done():  # a client that went away
                    future.set_result(price)


def _fail(group: list[_Waiting], error: Exception) -> None:
    """Price each listing alone, and give the error only to the listing that causes it."""
    for serving, listing, future in group:
        if future.done():
            continue
        if len(group) == 1:
            future.set_exception(error)
            return
        try:
            future.set_result(price_records(serving.pipeline, [listing])[0])
        except Exception as own:  # noqa: BLE001
            future.set_exception(own)
