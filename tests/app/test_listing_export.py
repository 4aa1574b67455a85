"""The listings that people ask prices for reach the data root in the form that the drift step reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import wait_until

from carprice.listings.schema import FEATURES
from carprice.store import DataRoot
from price_api import listing_export
from price_api.listing_export import ListingExport, write_day
from price_api.prediction_log.log import PredictionLog
from price_api.prediction_log.records import Filters, Prediction

NOW = datetime.now(UTC)


def prediction(number: int, at: datetime, source: str = "predict") -> Prediction:
    listing = dict.fromkeys(FEATURES) | {"make": "Dacia", "model": "Logan", "model_year": 2010.0 + number}
    return Prediction(
        prediction_id=f"{number:032x}", at=at, listing=listing, asking_price_mad=None, price_mad=9e4,
        low_mad=8e4, high_mad=1e5, version="1", alias="production", source=source, latency_ms=1.0,
        shadow_version=None, shadow_price_mad=None,
    )  # fmt: skip


def a_log(folder: Path) -> PredictionLog:
    log = PredictionLog(f"sqlite:///{folder / 'predictions.db'}")
    log.start()
    return log


def test_a_days_single_questions_become_one_file_of_features(tmp_path: Path) -> None:
    log, root = a_log(tmp_path), DataRoot(str(tmp_path / "data"))
    log.record_many(
        [prediction(1, NOW), prediction(2, NOW - timedelta(days=1)), prediction(3, NOW, source="batch")]
    )
    assert log.flush(10)
    assert write_day(log, root, NOW) == 1
    found = root.read_parquet(f"asked/{NOW:%Y-%m-%d}.parquet")
    assert list(found.columns) == [*FEATURES, "at"]
    assert found["model_year"].tolist() == [2011.0]
    assert found["at"].tolist() == [NOW]
    log.stop()


def test_a_day_without_questions_has_no_file(tmp_path: Path) -> None:
    log, root = a_log(tmp_path), DataRoot(str(tmp_path / "data"))
    assert write_day(log, root, NOW) == 0
    assert root.names("asked") == []
    log.stop()


def test_what_was_asked_is_written_when_the_api_ends(tmp_path: Path) -> None:
    log, root = a_log(tmp_path), DataRoot(str(tmp_path / "data"))
    export = ListingExport(log, root, retention_days=365)
    export.start()
    log.record(prediction(1, NOW))
    assert log.flush(10)
    export.stop()
    assert len(root.read_parquet(f"asked/{NOW:%Y-%m-%d}.parquet")) == 1
    log.stop()


def test_what_is_asked_is_there_within_five_minutes_and_not_only_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listing_export.EVERY_SECONDS <= 300
    monkeypatch.setattr(listing_export, "EVERY_SECONDS", 0.05)
    log, root = a_log(tmp_path), DataRoot(str(tmp_path / "data"))
    export = ListingExport(log, root, retention_days=365)
    export.start()
    for number in (1, 2):
        log.record(prediction(number, datetime.now(UTC)))
        wait_until(lambda number=number: rows_of(root) == number, "the question is in the data root")
    export.stop()
    log.stop()


def rows_of(root: DataRoot) -> int:
    # A file that is still being written has a hidden name.
    there = [name for name in root.names("asked") if not name.startswith(".")]
    return sum(len(root.read_parquet(f"asked/{name}")) for name in there)


def test_days_older_than_the_logs_retention_are_removed(tmp_path: Path) -> None:
    log, root = a_log(tmp_path), DataRoot(str(tmp_path / "data"))
    days = [f"{NOW - timedelta(days=ago):%Y-%m-%d}.parquet" for ago in (400, 32, 28, 1)]
    for day in days:
        root.write_bytes(f"asked/{day}", b"a day's questions")
    export = ListingExport(log, root, retention_days=30)
    export.start()
    export.stop()
    assert root.names("asked") == days[2:]
    log.stop()


def test_a_data_root_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    (tmp_path / "data").write_text("a file where a folder should be")
    export = ListingExport(log, DataRoot(str(tmp_path / "data")), retention_days=365)
    export.start()
    log.record(prediction(1, NOW))
    assert log.flush(10)
    export.stop()
    assert log.page(Filters()).total == 1
    log.stop()
