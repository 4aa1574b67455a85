"""The rate limit: how often one client may send a request."""

from __future__ import annotations

from collections import OrderedDict

_REMEMBERED_CLIENTS = 10_000


class TokenBuckets:
    """A token bucket for each client: `rate` tokens a second, at most `burst` of them.

    The client that sent nothing for the longest time is forgotten first, so memory stays bounded.
    """

    def __init__(self, rate: float, burst: float, most: int = _REMEMBERED_CLIENTS) -> None:
        self.rate = rate
        self.burst = burst
        self.most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Take a token of `client`; returns 0, or the seconds until there is one."""
        tokens, at = self._buckets.pop(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - at) * self.rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self.most:
            self._buckets.popitem(last=False)
        return wait

    def left(self, client: str) -> float:
        """The tokens of `client` after its last request."""
        return self._buckets.get(client, (self.burst, 0.0))[0]
