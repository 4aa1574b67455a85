"""The synthetic sample: the same for the same seed, plausible, and as dirty as the real thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carprice.errors import UsageProblem
from carprice.listings import columns, sample, schema, tables


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return sample.generate(8000, 7)


@pytest.fixture(scope="module")
def listings(raw: pd.DataFrame) -> pd.DataFrame:
    parsed = tables.parse(raw, require_price=True)
    return parsed.listings[parsed.good].drop_duplicates("listing_id")


def test_the_same_rows_and_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        sample.write_sample(str(tmp_path / name), 300, 5)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_another_seed_gives_other_cars_under_other_links() -> None:
    one, other = sample.generate(300, 5), sample.generate(300, 6)
    assert not set(one["Lien"]) & set(other["Lien"])
    assert one["Prix"].tolist() != other["Prix"].tolist()


@pytest.mark.parametrize("rows", [1, 2, 9, 1000])
def test_it_has_as_many_rows_as_asked_for_repeated_ones_included(rows: int) -> None:
    table = sample.generate(rows, 0)
    assert len(table) == rows
    assert table.iloc[:, 1:].duplicated().sum() == round(rows * sample.REPEATED_SHARE)


def test_it_has_the_32_columns_of_the_scraper(raw: pd.DataFrame) -> None:
    assert len(raw.columns) == 32
    found = columns.recognise(raw)
    assert (found.unused, found.missing) == ([], ())
    assert {use.code for use in found.uses} == {"header", "row_numbers"}
    assert raw.columns[0] == ""


def test_every_link_and_the_file_name_say_that_it_is_synthetic(raw: pd.DataFrame) -> None:
    assert raw["Lien"].str.match(r"https://www\.example\.invalid/.*synthetic").all()
    assert "synthetic" in sample.file_name(10, 0)


def test_it_is_dirty(raw: pd.DataFrame) -> None:
    assert (raw["Boite de vitesses"] == "--").mean() == pytest.approx(0.12, abs=0.03)
    for column in ("Première main", "État"):
        assert (raw[column] == "").mean() == pytest.approx(0.25, abs=0.03)
    parsed = tables.parse(raw, require_price=True)
    assert 0.002 < parsed.problems.notna().mean() < 0.015


def test_mileages_are_the_site_s_brackets(raw: pd.DataFrame) -> None:
    shape = r"\d{1,3}( \d{3})? - \d{1,3}( \d{3})?|Plus de 500 000|--"
    assert raw["Kilométrage"].str.fullmatch(shape).all()
    assert [sample.bracket(km) for km in (0, 4_999, 97_000, 123_456, 230_000, 600_000)] == [
        "0 - 4 999",
        "0 - 4 999",
        "95 000 - 99 999",
        "120 000 - 129 999",
        "200 000 - 249 999",
        "Plus de 500 000",
    ]


def test_prices_fall_with_age_and_differ_between_makes(listings: pd.DataFrame) -> None:
    log_price = np.log(listings["price_mad"])
    assert log_price.corr(listings["model_year"]) > 0.3
    logan = listings[listings["model"] == "Logan"]
    old, young = logan[logan["model_year"] <= 2010], logan[logan["model_year"] >= 2018]
    assert young["price_mad"].median() > 1.7 * old["price_mad"].median()
    medians = listings.groupby("make")["price_mad"].median()
    assert medians["Mercedes-Benz"] > 2 * medians["Dacia"]


def test_equipment_goes_with_price_and_year(listings: pd.DataFrame) -> None:
    count = listings[list(schema.EQUIPMENT)].sum(axis=1)
    assert count.corr(np.log(listings["price_mad"])) > 0.3


def test_less_than_one_price_in_a_hundred_has_one_zero_too_many(listings: pd.DataFrame) -> None:
    usual = listings.groupby(["make", "model", "model_year"])["price_mad"].transform("median")
    enough = listings.groupby(["make", "model", "model_year"])["price_mad"].transform("size") >= 5
    share = (listings["price_mad"] > 5 * usual)[enough].mean()
    assert 0.002 < share < 0.015


@pytest.mark.parametrize(("rows", "seed"), [(0, 0), (-1, 0), (10, -1), (10**9, 0)])
def test_numbers_out_of_range_are_refused(rows: int, seed: int) -> None:
    with pytest.raises(UsageProblem, match="was expected, found"):
        sample.generate(rows, seed)
