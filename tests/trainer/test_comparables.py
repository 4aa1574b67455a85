"""The listings most like a car: the model's own idea of likeness, each ad once, no mistyped price."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carprice.history.assembling import keep
from carprice.history.state import Terms, empty_state, with_file
from carprice.lifecycle import training
from carprice.listings import reading, sample, tables
from carprice.listings.records import read_one
from carprice.listings.schema import FEATURES
from carprice.model.comparables import SHOWN, Comparables, largest, most_comparable
from carprice.model.features import COLUMNS, NUMBERS, features_of
from carprice.model.price_model import looks_mistyped
from carprice.params import Params
from carprice.store import DataRoot


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 900, 11)
    parsed = tables.parse(reading.read_raw(path.read_bytes()).table, require_price=True)
    return parsed.listings[parsed.good].drop_duplicates("listing_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(listings: pd.DataFrame) -> training.Pipeline:
    return training.fit(listings, Params())


def car(**changes: object) -> dict[str, Any]:
    said = {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120_000, "fuel": "Diesel"}
    return read_one(said | {"fiscal_power_cv": 6, "gearbox": "Manuelle"} | changes).values


def record_of(row: pd.Series) -> dict[str, Any]:
    return {name: None if pd.isna(row[name]) else row[name] for name in FEATURES}


def test_the_most_similar_come_first_and_all_is_told(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    found = Comparables(fitted, listings).nearest(car(), 12)
    assert list(found.columns) == [*SHOWN, "similarity"]
    assert len(found) == 12
    assert found["similarity"].is_monotonic_decreasing
    assert found["similarity"].between(0, 1).all()
    assert (found["make"] == "Dacia").all()
    assert (found["model"].head(3) == "Logan").all()


def test_similarity_is_the_correlation_of_the_prior(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    level, rows = fitted["price"].level_, fitted["features"].transform(features_of(listings.head(40)))
    embedded = level.embed(rows)
    covariance = level.prior_covariance(embedded, embedded)
    expected = np.zeros_like(covariance)
    for term in level.terms:
        part = np.full_like(expected, term["sd"] ** 2)
        for name in term["same"]:
            column = rows[:, [COLUMNS.index(name)]]
            part *= column == column.T
        for name, weight in term["near"].items():
            column = rows[:, [COLUMNS.index(name)]]
            distance = (column - column.T) ** 2 if name in NUMBERS else column != column.T
            part *= np.exp(-weight * distance)
        expected += part
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    each = np.sqrt(np.diag(covariance))
    found = Comparables(fitted, listings.head(40)).nearest(record_of(listings.iloc[3]), 40)
    similarity = dict(zip(found["url"], found["similarity"], strict=True))
    for i, url in enumerate(listings["url"].head(40)):
        if url in similarity:
            assert similarity[url] == pytest.approx(covariance[3, i] / each[3] / each[i])


def test_a_listing_is_most_like_itself(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    comparables = Comparables(fitted, listings)
    mistyped = looks_mistyped(fitted, features_of(listings), listings["price_mad"].to_numpy())
    for _, row in listings[~mistyped].head(20).iterrows():
        found = comparables.nearest(record_of(row), 5)
        assert found["similarity"].iloc[0] == pytest.approx(1)
        assert row["url"] in found.loc[found["similarity"] > 1 - 1e-9, "url"].to_list()


@pytest.mark.parametrize("count", [1, 7, 60])
def test_the_few_nearest_are_those_of_all(
    listings: pd.DataFrame, fitted: training.Pipeline, count: int
) -> None:
    comparables = Comparables(fitted, listings)
    cars = [record_of(row) for _, row in listings.iloc[::45].iterrows()]
    cars += [car(make="Zorglub", model="One"), car(model="Nobody's"), car(fuel=None, model_year=1985)]
    for one in cars:
        everything = comparables.nearest(one, len(listings))
        pd.testing.assert_frame_equal(comparables.nearest(one, count), everything.head(count))


def test_a_price_that_looks_mistyped_is_left_out(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    url = Comparables(fitted, listings).nearest(car(), 1)["url"].iloc[0]
    wrong = listings["price_mad"].where(listings["url"] != url, listings["price_mad"] * 10)
    found = Comparables(fitted, listings.assign(price_mad=wrong)).nearest(car(), len(listings))
    assert url not in set(found["url"])


def test_an_ad_that_was_landed_twice_is_shown_once_as_last_seen(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    later = listings.assign(price_mad=listings["price_mad"] * 0.99)
    found = Comparables(fitted, pd.concat([listings, later])).nearest(car(), 10_000)
    assert not found["url"].duplicated().any()
    price = dict(zip(later["url"], later["price_mad"], strict=True))
    assert all(price[url] == mad for url, mad in zip(found["url"], found["price_mad"], strict=True))


def test_equal_cars_are_shown_newest_first(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    same = pd.concat([Comparables(fitted, listings).nearest(car(), 1)] * 4, ignore_index=True)
    days = pd.to_datetime(["2023-01-02", "2023-01-04", None, "2023-01-03"], utc=True)
    same = same.assign(url=["second", "fourth", "unknown", "third"], scraped_at=days)
    found = Comparables(fitted, same).nearest(car(), 4)
    assert found["url"].to_list() == ["fourth", "third", "second", "unknown"]


def test_a_car_of_a_make_that_nobody_knows_is_like_none_of_another_unknown_make(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    row = listings.iloc[[0]].assign(make="Zorglub", model="One", url="unknown to the model")
    comparables = Comparables(fitted, pd.concat([listings, row]))
    itself = comparables.nearest(record_of(row.iloc[0]), 1)
    assert itself["url"].to_list() == ["unknown to the model"]
    assert itself["similarity"].iloc[0] == pytest.approx(1)
    other = comparables.nearest(record_of(row.iloc[0]) | {"make": "Blorg", "model": "Two"}, 10_000)
    shown = other.loc[other["url"] == "unknown to the model", "similarity"].iloc[0]
    assert shown < 0.95


def test_no_listings_and_no_count_give_no_rows(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    none = Comparables(fitted, listings.head(0)).nearest(car(), 5)
    assert list(none.columns) == [*SHOWN, "similarity"]
    assert none.empty
    assert Comparables(fitted, listings).nearest(car(), 0).empty


def test_of_very_many_listings_the_newest_of_every_model_are_compared(
    listings: pd.DataFrame, tmp_path: Path
) -> None:
    root = DataRoot(str(tmp_path))
    seen = pd.date_range("2026-01-01", periods=len(listings), freq="h", tz="UTC").as_unit("us")
    rows = listings.assign(scraped_at=seen, source_sha256="a" * 64)
    state = with_file(empty_state(), rows, datetime(2026, 6, 1, tzinfo=UTC), Terms(0.2, 0))
    keep(root, state, [], {"rules": 1, "split": {}, "cuts": [], "reference": {"rows": 9, "seed": 0}})
    snapshot_id = root.folders("snapshots")[0]
    models = state.listings[["make", "model"]].drop_duplicates()
    found = most_comparable(root, snapshot_id, 2 * len(models))
    assert len(found) == 2 * len(models)
    assert len(found[["make", "model"]].drop_duplicates()) == len(models)
    common = state.listings.groupby(["make", "model"])["scraped_at"]
    oldest_taken = found.groupby(["make", "model"])["scraped_at"].min()
    assert (common.nlargest(1).groupby(level=[0, 1]).max() >= oldest_taken).all()
    for key, taken in found.groupby(["make", "model"])["scraped_at"]:
        assert set(taken) == set(common.get_group(key).nlargest(len(taken)))
    everything = most_comparable(root, snapshot_id, len(state))
    pd.testing.assert_frame_equal(everything, state.listings)


@pytest.mark.parametrize("count", [0, 1, 10, 199, 200, 300])
def test_the_largest_values_are_those_of_a_stable_sort(count: int) -> None:
    values = np.round(np.random.default_rng(0).random(200), 1)
    assert largest(values, count).tolist() == np.argsort(-values, kind="stable")[:count].tolist()
