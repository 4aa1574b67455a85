"""A file of the collector: the pipeline understands every column of it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carprice import cli
from carprice.history import collected
from carprice.store import DataRoot

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


@pytest.mark.parametrize("arabic", [0, 0.3])
def test_every_column_of_a_collected_file_is_taken_for_what_it_is(
    arabic: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    ads = Market(size=200, arabic=arabic).ads(5)
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


class Collected:
    """Runs of the collector in a data root: `cars` maps the numbers of ads to their prices."""

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(str(folder))
        self.runs = 0

    def run(self, cars: Mapping[int, int | None], complete: bool = True, first_page: str = "/all") -> None:
        self.runs += 1
        name, at = f"avito-{self.runs}", f"2026-11-{self.runs:02}T01:00:00+00:00"
        rows = io.StringIO(newline="")
        writer = csv.DictWriter(rows, COLUMNS)
        writer.writeheader()
        for number, price in cars.items():
            ad = Ad(str(number), f"https://www.avito.ma/x_{number}.htm", price_mad=price)
            writer.writerow(row(ad, "avito", datetime.fromisoformat(at)))
        self.root.write_text(f"raw/{name}.csv", rows.getvalue())
        manifest = {
            "run": name,
            "source": "avito",
            "file": f"{name}.csv",
            "scope": {"first_page": first_page, "most_pages": 0},
            "started_at": at,
            "complete": complete,
        }
        self.root.write_json(f"collected/{name}.json", manifest)

    def gone_now(self) -> dict[str, str]:
        return {ad["listing_id"]: ad["gone_since"][:10] for ad in collected.gone(self.root)}


def test_an_ad_is_gone_since_the_first_complete_run_of_its_scope_that_lacks_it(tmp_path: Path) -> None:
    site = Collected(tmp_path)
    site.run({1: 100, 2: 200, 3: None})
    site.run({1: 90}, complete=False)
    assert site.gone_now() == {}, "a run that is not complete covers nothing"
    site.run({9: 1}, first_page="/another")
    assert site.gone_now() == {}, "a run of another part of the market says nothing of this one"
    site.run({1: 95, 4: 400})
    assert site.gone_now() == {"2": "2026-11-04", "3": "2026-11-04"}
    site.run({1: 95, 3: 300, 4: 410})
    assert site.gone_now() == {"2": "2026-11-04"}
    site.run({2: 200}, first_page="/another")
    assert site.gone_now() == {"9": "2026-11-06"}

    told = collected.changes(site.root)

    counts = [(c["new"], c["back"], c["cheaper"], c["dearer"], len(c["gone"])) for c in told]
    assert counts == [(0, 0, 1, 0, 0), (1, 0, 0, 1, 2), (0, 1, 0, 1, 0), (1, 0, 0, 0, 1)]
    assert told[1]["gone"][0] == {
        "listing_id": "2",
        "url": "https://www.avito.ma/x_2.htm",
        "price_mad": 200,
        "last_seen_at": "2026-11-01T01:00:00+00:00",
    }


def test_a_data_root_without_collected_runs_has_nothing_to_tell(tmp_path: Path) -> None:
    assert collected.changes(DataRoot(str(tmp_path))) == collected.gone(DataRoot(str(tmp_path))) == []
