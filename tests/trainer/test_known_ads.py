"""The quality page of a file tells which of its ads were known, and what the file adds to them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from carprice.history import assembling, cuts, snapshots
from carprice.landing.content import sha256_of
from carprice.listings import sample
from carprice.params import Params, QualityParams
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot

PARAMS = Params(quality=QualityParams(min_rows=1))
FIRST = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance fiscale", "Prix"]


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    raw = sample.generate(120, seed=3).drop(columns=["", "Lien"]).drop_duplicates(ignore_index=True).head(90)
    return raw.assign(Prix=[str(40_000 + 137 * n) for n in range(len(raw))])


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


def page_after(root: DataRoot, name: str, table: pd.DataFrame) -> str:
    """The quality page of a file after it was assembled, as text."""
    root.write_text(f"raw/{name}", table.to_csv(index=False))
    sha = sha256_of(root, f"raw/{name}")
    check_data_quality(root, PARAMS, name, sha)
    assembling.assemble(root, PARAMS, [sha])
    page = root.read_bytes(f"reports/quality/{sha}.html").decode()
    return re.sub(r"\s+", " ", page)


def test_the_page_says_how_many_ads_were_known_and_what_the_file_adds(
    root: DataRoot, market: pd.DataFrame
) -> None:
    first = page_after(root, "a.csv", market[FIRST].head(60))
    assert "Ads that were known before" not in first
    page = page_after(root, "b.csv", market)
    assert "Of the 90 ads in this file, 30 are new." in page
    assert "0 have the id of an ad of an earlier file, and 60 are copies of one" in page
    assert "Ville of 60 known listings" in page
    assert "Copies, the least sure first" in page
    again = page_after(root, "c.csv", market.head(80))
    assert "Of the 80 ads in this file, 0 are new. 80 have the id of an ad of an earlier file" in again


def test_the_page_tells_of_a_link_that_a_person_cut(root: DataRoot, market: pd.DataFrame) -> None:
    page_after(root, "a.csv", market[FIRST].head(60))
    page_after(root, "b.csv", market.head(60))
    pair = snapshots.pairs(root, snapshots.manifest_of(root, "latest")).iloc[0]
    cuts.cut(root, pair["new"], pair["known"], "Nadia", "one is <white>")
    page = page_after(root, "c.csv", market.tail(50))
    assert "Links that people cut" in page
    assert pair["new"] in page
    assert "one is &lt;white&gt;" in page
