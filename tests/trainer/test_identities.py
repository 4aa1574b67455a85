"""Links and ids that stand in rows of several cars tell no ad; their rows are known by their content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carprice import cli
from carprice.listings import tables
from carprice.quality.check import check_data_quality
from carprice.quality.identities import Identities, RowIds
from carprice.store import DataRoot

HEADER = "Lien;Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"


def car(n: int, link: str = "", price: int = 85_000) -> str:
    return f"{link};{'Dacia' if n % 2 else 'Fiat'};Prototype {n};2015;90 000 - 94 999;Diesel;{price}\n"


def check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[str]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The JSON of `carprice check` and the rows that it lists."""
    (tmp_path / "cars.csv").write_text(HEADER + "".join(rows))
    cli.main(["check", "--json", str(tmp_path / "cars.csv"), "--rows", str(tmp_path / "rows.csv")])
    listed = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
    return json.loads(capsys.readouterr().out), listed


@pytest.mark.parametrize(
    "link",
    [
        "https://www.avito.ma/fr/maroc/voitures?o=1",
        "https://x.ma/annonces.php?ref=2023",
        "https://www.avito.ma/fr/rabat/Clio_49097845.htm",
    ],
)
def test_an_address_in_every_row_is_no_identity(
    link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, listed = check(tmp_path, capsys, [car(n, link) for n in range(60)])
    assert (said["status"], said["rows_accepted"], said["distinct_listings"]) == ("accepted", 60, 60)
    assert said["identity"] == {"rules": {"content": 60}, "shared": {"ids": 1, "rows": 60}}
    assert listed["listing_id"].nunique() == 60


def test_only_the_rows_of_a_shared_address_lose_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [car(n, f"https://x.ma/{n}" if n >= 3 else "https://x.ma/garage") for n in range(60)]
    said, listed = check(tmp_path, capsys, rows)
    assert said["identity"] == {"rules": {"address": 57, "content": 3}, "shared": {"ids": 1, "rows": 3}}
    assert listed["listing_id"].str.startswith("row-").tolist() == [True] * 3 + [False] * 57


def test_an_ad_that_was_edited_keeps_its_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [car(n, f"https://x.ma/{n}", price) for n in range(60) for price in (85_000, 80_000)]
    said, _ = check(tmp_path, capsys, rows)
    assert (said["rows_accepted"], said["distinct_listings"]) == (120, 60)
    assert said["identity"]["shared"] == {"ids": 0, "rows": 0}


def test_accepted_rows_on_disk_have_the_ids_that_the_receipt_counts(
    tmp_path: Path, with_params: Callable[[str], Any]
) -> None:
    root = DataRoot(str(tmp_path))
    (tmp_path / "raw").mkdir()
    rows = [car(n, "https://x.ma/garage") for n in range(60)]
    (tmp_path / "raw/cars.csv").write_text(HEADER + "".join(rows))
    receipt = check_data_quality(root, with_params("{}"), "cars.csv")
    accepted = root.read_parquet(f"listings/{receipt['sha256']}.parquet")
    assert len(accepted) == accepted["listing_id"].nunique() == receipt["distinct_listings"] == 60
    page = (tmp_path / receipt["quality_page"]).read_text()
    assert "60 rows have a link or id that stands for several cars" in page


def test_a_file_whose_rows_differ_only_in_the_price_is_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [car(n, "", price) for n in range(55) for price in (85_000, 90_000, 95_000)]
    said, _ = check(tmp_path, capsys, rows)
    assert (said["status"], said["distinct_listings"]) == ("held", 55)
    assert [(reason["code"], reason["params"]["merged"]) for reason in said["hold"]] == [("ads_alike", 110)]


def test_the_summary_says_by_which_rule_ads_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cars.csv").write_text(HEADER + "".join(car(n, "https://x.ma/garage") for n in range(60)))
    cli.main(["check", str(tmp_path / "cars.csv")])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "60 told by what the row says of the car" in lines
    assert "60 rows have a link or id that stands for several cars and tells no ad" in lines


def test_parts_of_a_file_give_the_same_shared_ids_as_the_whole() -> None:
    raw = pd.DataFrame(
        [line.strip().split(";") for n in range(40) for line in [car(n, f"https://x.ma/{n % 10}")]],
        columns=HEADER.strip().split(";"),
    )
    listings = tables.parse(raw, require_price=True).listings
    whole, parts = Identities(), Identities()
    whole.add(RowIds.of(listings))
    for part in np.array_split(np.arange(40), 7):
        parts.add(RowIds.of(listings.iloc[part]))
    assert len(whole.shared()) == 10
    assert sorted(whole.shared()) == sorted(parts.shared())
