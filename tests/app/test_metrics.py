"""The API's own metrics, as Prometheus reads them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from carprice.store import DataRoot
from carprice_contract.data_root import COLLECTOR_GAUGES, GAUGES
from price_api.metrics import Metrics, ReadValues
from price_api.services import Services


def scraped(metrics: Metrics) -> dict[str, tuple[str, float]]:
    """Type and value of each metric without labels, by name."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        sample.name: (family.type, sample.value)
        for family in families
        for sample in family.samples
        if not sample.labels
    }


def values(queue: float | None) -> ReadValues:
    return lambda: {
        "carprice_prediction_log_queue": ("Predictions that wait.", queue),
        "carprice_prediction_log_written_total": ("Predictions that were written.", 7.0),
    }


def test_values_are_gauges_or_counters_by_their_name_and_an_unknown_one_is_left_out() -> None:
    metrics = Metrics()
    metrics.add_values(values(3))
    found = scraped(metrics)
    assert found["carprice_prediction_log_queue"] == ("gauge", 3)
    assert found["carprice_prediction_log_written_total"] == ("counter", 7)
    unknown = Metrics()
    unknown.add_values(values(None))
    assert "carprice_prediction_log_queue" not in scraped(unknown)


def test_each_api_process_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.count_feedback()
    one.count_shadow_predictions(5)
    one.observe_prediction(0.02)
    found = scraped(one)
    assert found["carprice_feedback_total"] == ("counter", 1)
    assert found["carprice_shadow_total"] == ("counter", 5)
    assert found["carprice_prediction_seconds_count"] == ("histogram", 1)
    assert scraped(other)["carprice_feedback_total"] == ("counter", 0)


def test_what_pipeline_and_collector_left_is_on_the_page_and_may_be_absent(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    services = SimpleNamespace(root=root, metrics=Metrics())
    alone = Services.metrics_page(services)  # type: ignore[arg-type]
    root.write_text(COLLECTOR_GAUGES, 'carprice_collect_ads{source="avito"} 35\n')
    collected = Services.metrics_page(services)  # type: ignore[arg-type]
    assert collected == alone + b'carprice_collect_ads{source="avito"} 35\n'
    root.write_text(GAUGES, "carprice_drifted 0\n")
    assert Services.metrics_page(services).splitlines()[-2:] == [  # type: ignore[arg-type]
        b"carprice_drifted 0",
        b'carprice_collect_ads{source="avito"} 35',
    ]
