"""A file of the collector: the pipeline understands every column of it."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carprice import cli

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "images/collector/src")]

from demo.replica.market import Market, MarketAd

from carprice_collector.ads import COLUMNS, Ad, row

ASIDE = {"source": "unknown", "seller_kind": "unknown", "old_price_mad": "second", "posted_at": "second"}
"""What the pipeline keeps in the file and does not use."""


def as_collected(ad: MarketAd) -> Ad:
    """An ad as Avito's search pages tell it: make and model are in the title alone."""
    return Ad(
        listing_id=str(ad.number),
        url=f"https://www.avito.ma/fr/x/voitures_d_occasion/x_{ad.number}.htm",
        title=ad.title,
        model_year=ad.year,
        mileage_km_min=ad.km,
        mileage_km_max=ad.km,
        fuel=ad.fuel,
        gearbox=ad.gearbox,
        city=ad.city,
        district=ad.district,
        price_mad=ad.price,
        old_price_mad=ad.old_price,
        seller_kind="shop" if ad.is_shop else "private",
        category="Location de voitures" if ad.is_rental else "Voitures d'occasion",
        posted_at="2026-11-26T10:30+01:00",
    )


def test_every_column_of_a_collected_file_is_taken_for_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    ads = Market(size=200, arabic=0).ads(5)
    file = tmp_path / "avito-20261127T010000Z.csv"
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, COLUMNS)
        writer.writeheader()
        read_at = datetime(2026, 11, 27, 1, tzinfo=UTC)
        writer.writerows(row(as_collected(ad).cleaned(), "avito", read_at) for ad in ads)

    assert cli.main(["check", "--json", str(file)]) == 0
    said = json.loads(capsys.readouterr().out)

    assert said["columns"] == {name: name for name in COLUMNS} | ASIDE
    cars = [ad for ad in ads if not ad.is_rental]
    assert said["rows_not_used_cars"] == len(ads) - len(cars)
    assert said["rows_unpriced"] == sum(ad.price is None for ad in cars)
    assert said["rows_accepted"] == sum(ad.price is not None for ad in cars)
    assert said["rows_quarantined"] == 0
