"""Saved searches: each is told once of each new good offer that fits it, and of no other."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carprice.alerts.record import all_alerts
from carprice.market import before, sample, watches
from carprice.market.offers import OFFERS
from carprice.market.watch_message import message
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_MARKET, market_table, told, watch

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    """A market that was made before any watch was saved."""
    root = DataRoot(str(tmp_path))
    sample.write_sample(root, 300, now=NOW)
    return root


def save(root: DataRoot, name: str = "w1", at: datetime = NOW, language: str = "en", **filters: Any) -> None:
    document = {
        "format_version": 1, "id": name, "secret_sha256": hashlib.sha256(b"x").hexdigest(),
        "created_at": at.isoformat(), "filters": filters, "key_name": None, "language": language,
    }  # fmt: skip
    root.write_json(watch(name), document)


def offers(root: DataRoot, *changes: dict[str, Any], seen: datetime = NOW + HOUR) -> Any:
    """The offers of the market, with one more for each of `changes`, a Dacia Logan at a good price."""
    table = root.read_table(market_table(root.read_json(LATEST_MARKET)["id"], "offers"))
    row = table.to_pylist()[0]
    new = [
        row
        | {
            "listing_id": f"new{number}", "url": f"https://a.example/{number}", "make": "Dacia",
            "model": "Logan", "city": "Fès", "fuel": "Diesel", "model_year": 2015.0,
            "mileage_km_min": 90_000.0, "mileage_km_max": 94_999.0, "price_mad": 50_000.0,
            "estimate_mad": 60_000.0,
            "label": "good_price", "not_rated": None, "suspicions": "", "status": "on_offer",
            "below_share": 1 / 6, "first_seen_at": seen, "last_seen_at": seen,
        }
        | change
        for number, change in enumerate(changes)
    ]  # fmt: skip
    import pyarrow as pa

    return pa.concat_tables([table, pa.Table.from_pylist(new, schema=OFFERS)])


def tell(root: DataRoot, table: Any, at: datetime = NOW + HOUR) -> list[str]:
    """Tell the watches of offers; the ids that watch w1 was told of, all in all."""
    watches.tell(root, table, before.read(root), at)
    return sorted(root.read_json(told("w1"))) if root.exists(told("w1")) else []


def messages(root: DataRoot) -> list[dict[str, Any]]:
    return [alert for alert in all_alerts(root) if alert["kind"] == "watch"]


def test_a_new_good_offer_is_told_once(root: DataRoot) -> None:
    save(root, make="Dacia", model="Logan")
    table = offers(root, {})

    assert tell(root, table) == ["new0"]
    assert tell(root, table, NOW + 2 * HOUR) == ["new0"]

    (alert,) = messages(root)
    assert "Dacia Logan 2015" in alert["subject"]
    assert "https://a.example/0" in alert["text"]
    assert root.read_json(told("w1"))["new0"] == {
        "at": "2026-05-01T13:00:00+00:00", "price_mad": 50_000.0, "estimate_mad": 60_000.0,
        "label": "good_price",
    }  # fmt: skip


def test_a_run_that_died_before_it_wrote_down_what_it_told_sends_no_second_message(root: DataRoot) -> None:
    save(root, make="Dacia", model="Logan")
    table = offers(root, {})
    tell(root, table)
    root.remove(told("w1"))

    tell(root, table)

    (alert,) = messages(root)
    assert alert["count"] == 2


def test_offers_that_were_there_when_the_search_was_saved_are_not_told(root: DataRoot) -> None:
    save(root)

    assert tell(root, offers(root)) == []
    assert tell(root, offers(root, {}, seen=NOW - HOUR)) == ["new0"]  # labelled for the first time now


def test_an_offer_whose_label_becomes_good_is_told(root: DataRoot) -> None:
    save(root)
    table = offers(root)
    rows = table.to_pylist()
    fair = next(row for row in rows if row["label"] == "fair_price" and row["status"] == "on_offer")
    fair |= {"label": "good_price", "suspicions": ""}
    import pyarrow as pa

    assert tell(root, pa.Table.from_pylist(rows, schema=OFFERS)) == [fair["listing_id"]]


@pytest.mark.parametrize(
    "change",
    [
        {"label": "fair_price"},
        {"label": "not_rated", "not_rated": "partial"},
        {"suspicions": "far_below"},
        {"status": "gone"},
        {"model": "Sandero"},
        {"city": "Rabat"},
        {"fuel": None},
        {"model_year": 2013.0},
        {"model_year": 2019.0},
        {"mileage_km_max": 120_000.0},
        {"mileage_km_min": None, "mileage_km_max": None},
        {"price_mad": 70_000.0},
        {"price_mad": 30_000.0},
    ],
    ids=lambda change: ",".join(f"{name}={value}" for name, value in change.items()),
)
def test_what_does_not_fit_a_search_is_not_told(root: DataRoot, change: dict[str, Any]) -> None:
    save(
        root, make="dacia", model="LOGAN", city="fes", fuel="diesel", year_from=2014, year_to=2018,
        mileage_to=100_000, price_from=40_000, price_to=60_000,
    )  # fmt: skip

    assert tell(root, offers(root, {}, change)) == ["new0"]


def test_a_search_may_ask_for_other_labels(root: DataRoot) -> None:
    save(root, make="Dacia", model="Logan", labels=["fair_price"])

    assert tell(root, offers(root, {}, {"label": "fair_price"})) == ["new1"]


def test_a_search_that_can_not_be_read_does_not_keep_others_from_being_told(root: DataRoot) -> None:
    root.write_text(watch("a0"), "{")
    root.write_json(watch("a1"), {"format_version": 99})
    root.write_json(watch("a2"), {"format_version": 1, "id": "a2", "created_at": "yesterday", "filters": {}})
    root.write_json(watch("a3"), {"format_version": 1, "id": "w1", "created_at": NOW.isoformat()})
    save(root, make="Dacia", model="Logan")

    assert tell(root, offers(root, {})) == ["new0"]


def test_what_a_removed_search_was_told_goes_with_it(root: DataRoot) -> None:
    save(root, make="Dacia", model="Logan")
    tell(root, offers(root, {}))
    root.remove(watch("w1"))

    assert tell(root, offers(root, {})) == []


def test_the_message_is_in_the_language_of_the_search(root: DataRoot) -> None:
    (row,) = [row for row in offers(root, {}).to_pylist() if row["listing_id"] == "new0"]

    subjects = {language: message([row, row], language)[0] for language in ("fr", "en", "ar", "??")}
    assert subjects["fr"] == subjects["??"] == "2 nouvelles annonces, dont Dacia Logan 2015"
    assert subjects["en"] == "2 new offers, among them Dacia Logan 2015"
    assert "Dacia Logan 2015" in subjects["ar"]
    assert "et 5 de plus" in message([row] * 15, "fr")[1]


def test_a_whole_run_sends_what_it_told(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    save(root, make="Dacia", model="Logan")
    tell(root, offers(root, {}, {}))

    (alert,) = messages(root)
    assert json.dumps(alert)
    assert alert["cause"].startswith("watch:w1:")
    assert alert["subject"].startswith("2 new offers")


def test_a_watch_whose_told_offers_can_t_be_read_is_told_nothing_twice_and_keeps_no_other_from_it(
    root: DataRoot,
) -> None:
    save(root, "w1")
    save(root, "w2")
    root.write_text(told("w2"), "[")
    assert tell(root, offers(root, {})) == ["new0"]
    assert len(messages(root)) == 1
    assert root.read_bytes(told("w2")) == b"["
