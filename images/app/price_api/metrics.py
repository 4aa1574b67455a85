"""What Prometheus can ask the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Gauges = Callable[[], dict[str, tuple[str, float | None]]]


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

    def prediction(self, version: str, alias: str, source: str, count: int = 1) -> None:
        """Count priced listings."""
        self._predictions.labels(version, alias, source).inc(count)

    def took(self, seconds: float) -> None:
        """Note how long a single prediction took."""
        self._seconds.observe(seconds)

    def request(self, path: str, status: int) -> None:
        """Count an answered request; status 0 is one whose client went away."""
        self._requests.labels(path, str(status)).inc()

    def feedback(self) -> None:
        """Count a price really paid."""
        self._feedback.inc()

    def shadow(self, count: int) -> None:
        """Count listings priced in the shadow."""
        self._shadow.inc(count)

    def model_refused(self) -> None:
        """Count a version that was refused."""
        self._refused.inc()

    def ask(self, gauges: Gauges) -> None:
        """Ask `gauges` at each scrape: name -> (help, value); a None is left out, `_total` is a counter."""
        self._registry.register(_Asked(gauges))

    def page(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)


class _Asked:
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for name, (help_, value) in self._gauges().items():
            if value is None:
                continue
            if name.endswith("_total"):
                yield CounterMetricFamily(name, help_, value=value)
            else:
                yield GaugeMetricFamily(name, help_, value=value)
