"""Follows the newest market of the data root, and keeps serving the last good one."""

from __future__ import annotations

import logging
import time

from carprice.errors import StoreAway, StoreRefused
from carprice.store import DataRoot
from price_api.market.files import Market, Newest, load_market, newest_of
from price_api.problems import Refusal
from price_api.regular_look import RegularLook

log = logging.getLogger(__name__)

RETRY_SECONDS = 20.0


class MarketFollower:
    """A thread that looks which market is the newest and loads it.

    One assignment replaces `market` as a whole: a request takes it at its beginning and keeps it. A market
    that can't be read is tried again after a while, and never replaces a good one.
    """

    def __init__(self, root: DataRoot, poll_seconds: float) -> None:
        self.market: Market | None = None
        self.refused: str | None = None
        self._root = root
        self._loaded: Newest | None = None
        self._retry: tuple[Newest | None, float] = (None, 0.0)
        self._following = RegularLook("market", self.poll, poll_seconds)

    def start(self) -> None:
        """Begin to follow."""
        self._following.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread, waiting at most `timeout` seconds for what it is doing."""
        self._following.stop(timeout)

    def current(self) -> Market:
        """The market that serves. Raises `Refusal` (503) where there is none yet."""
        market = self.market
        if market is None:
            raise Refusal("market-missing")
        return market

    def poll(self) -> None:
        """Look once, and load the newest market if it is another than the one in memory."""
        newest: Newest | None = None
        try:
            newest = newest_of(self._root)
            if newest is None or newest == self._loaded:
                self.refused = None
                return
            refused, until = self._retry
            if refused == newest and time.monotonic() < until:
                return
            self.market = load_market(self._root, newest.id)
            self._loaded, self.refused = newest, None
            log.info("the market %s serves: %d listings", newest.id, self.market.offers.count)
        except (StoreAway, StoreRefused) as problem:
            self._say(str(problem))
        except Exception as problem:  # noqa: BLE001 - a file may be broken in any way
            self._retry = (newest, time.monotonic() + RETRY_SECONDS)
            self._say(str(problem) or type(problem).__name__)

    def _say(self, problem: str) -> None:
        if problem != self.refused:
            serving = f"the market {self.market.id} continues to serve" if self.market else "no market serves"
            log.warning("%s: %s", serving, problem)
        self.refused = problem
