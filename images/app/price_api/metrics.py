"""The metrics of one API process, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

ReadValues = Callable[[], dict[str, tuple[str, float | None]]]
"""Returns for each metric its help text and its value now; a value that is None is left out."""


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._predictions = Counter(
            "carprice_predictions",
            "Listings that got a price.",
            ["version", "alias", "source"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "carprice_prediction_seconds",
            "Seconds from the body of a single prediction to its answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._requests = Counter(
            "carprice_requests", "Requests by path and status.", ["path", "status"], registry=self._registry
        )
        self._feedback = Counter("carprice_feedback", "Prices really paid.", registry=self._registry)
        self._shadow = Counter(
            "carprice_shadow", "Listings priced in the shadow of production.", registry=self._registry
        )
        self._refused = Counter(
            "carprice_model_refused", "Times a new version was refused.", registry=self._registry
        )

    def count_predictions(self, version: str, alias: str, source: str, count: int = 1) -> None:
        """Count priced listings."""
        self._predictions.labels(version, alias, source).inc(count)

    def observe_prediction(self, seconds: float) -> None:
        """Record how long a single prediction took."""
        self._seconds.observe(seconds)

    def count_request(self, path: str, status: int) -> None:
        """Count an answered request. Status 0 means that the client went away."""
        self._requests.labels(path, str(status)).inc()

    def count_feedback(self) -> None:
        """Count a price that was really paid."""
        self._feedback.inc()

    def count_shadow_predictions(self, count: int) -> None:
        """Count listings that staging priced beside production."""
        self._shadow.inc(count)

    def count_refused_model(self) -> None:
        """Count a version that was refused."""
        self._refused.inc()

    def add_values(self, read: ReadValues) -> None:
        """Call `read` at each scrape; a name that ends in `_total` is a counter, any other a gauge."""
        self._registry.register(_ValuesAtScrape(read))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _ValuesAtScrape(Collector):
    def __init__(self, read: ReadValues) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, (help_text, value) in self._read().items():
            if value is None:
                continue
            if name.endswith("_total"):
                yield CounterMetricFamily(name, help_text, value=value)
            else:
                yield GaugeMetricFamily(name, help_text, value=value)
