"""The model: deterministic, honest about what it has not seen, sane where a car is newer or less driven."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.listings import reading, sample, tables
from carprice.model.features import features_of
from carprice.model.kernel_regression import KernelRegressor
from carprice.model.price_model import expected_in_training, flagged_in_training, looks_mistyped
from carprice.model.typing_errors import suggestion, typing_errors
from carprice.params import Params

REAL_DATA = Path(
    os.environ.get("CARPRICE_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared/data/avito_cars.csv"
)


def distinct(content: bytes) -> pd.DataFrame:
    raw = reading.read_raw(content)
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()]
    return good.drop_duplicates("listing_id", keep="last").reset_index(drop=True)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 1200, 3)
    return distinct(path.read_bytes())


@pytest.fixture(scope="module")
def real_listings() -> pd.DataFrame:
    if not REAL_DATA.exists():
        pytest.skip(f"real listings are not at {REAL_DATA}; CARPRICE_REAL_DATA names another place")
    return distinct(REAL_DATA.read_bytes())


@pytest.fixture(scope="module")
def fitted(listings: pd.DataFrame) -> training.Pipeline:
    return training.fit(listings, Params())


@pytest.fixture(scope="module")
def fitted_on_real(real_listings: pd.DataFrame) -> training.Pipeline:
    return training.fit(real_listings, Params())


def prices(pipeline: training.Pipeline, listings: pd.DataFrame) -> np.ndarray:
    return pipeline.predict(features_of(listings), return_interval=True)


def test_the_same_rows_give_the_same_model(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    again = training.fit(listings, Params())
    np.testing.assert_array_equal(prices(again, listings), prices(fitted, listings))


def test_one_and_two_threads_give_the_same_model(listings: pd.DataFrame) -> None:
    with threadpool_limits(1):
        one = training.fit(listings.head(500), Params())
    with threadpool_limits(2):
        two = training.fit(listings.head(500), Params())
    np.testing.assert_array_equal(one["price"].expected_mad_, two["price"].expected_mad_)
    np.testing.assert_allclose(prices(one, listings), prices(two, listings), rtol=1e-12)


def test_a_row_costs_the_same_alone_and_in_a_batch(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    batch = prices(fitted, listings.head(80))
    alone = np.vstack([prices(fitted, listings.iloc[[i]]) for i in range(80)])
    np.testing.assert_allclose(alone, batch, rtol=1e-9)


def test_the_price_lies_inside_its_interval(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    price, low, high = prices(fitted, listings).T
    assert (low < price).all()
    assert (price < high).all()


@pytest.mark.parametrize(
    "car",
    [
        {"make": "Zorglub", "model": "One"},
        {"make": "Dacia", "model": "Zorglub"},
        {"make": "Dacia", "model": "Logan", "model_year": 1950, "mileage_km_min": 9e9, "mileage_km_max": 9e9},
        {"make": "Dacia", "model": "Logan", "model_year": 3000, "fiscal_power_cv": 1e6},
        {"make": "Dacia", "model": "Logan", "model_year": 2015, "fiscal_power_cv": 0, "mileage_km_min": 0},
        {"make": "Dacia", "model": "Logan"},
        {},
        {"make": "'; DROP TABLE cars; --", "model": "<b>x</b>\u0000é😀", "fuel": " " * 1000},
    ],
)
def test_any_car_gets_a_finite_plausible_price(car: dict[str, object], fitted: training.Pipeline) -> None:
    price, low, high = prices(fitted, pd.DataFrame([car]))[0]
    assert 1_000 < low < price < high < 10_000_000


def test_an_unknown_model_is_priced_from_its_make(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    car = {"model_year": 2015, "mileage_km_min": 100_000, "mileage_km_max": 100_000, "fuel": "Diesel"}
    cheap, dear = (
        prices(fitted, pd.DataFrame([car | {"make": make, "model": "Zorglub"}]))[0, 0]
        for make in ("Dacia", "Mercedes-Benz")
    )
    assert dear > 1.3 * cheap


def test_a_rare_car_has_a_wider_interval_than_a_common_one(
    real_listings: pd.DataFrame, fitted_on_real: training.Pipeline
) -> None:
    _, low, high = prices(fitted_on_real, real_listings).T
    count = real_listings.groupby(["make", "model"])["listing_id"].transform("size")
    width = np.log(high / low)
    assert width[count < 5].mean() > 1.15 * width[count > 100].mean()


def test_case_accents_and_spaces_do_not_make_another_car(fitted: training.Pipeline) -> None:
    car = {"model_year": 2015, "mileage_km_min": 100_000, "mileage_km_max": 100_000, "fiscal_power_cv": 7}
    spellings = [
        car | {"make": "Citroën", "model": "C4", "fuel": "Diesel"},
        car | {"make": "CITROEN ", "model": " c4", "fuel": "diesel"},
    ]
    first, second = prices(fitted, pd.DataFrame(spellings))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("data", ["listings", "real_listings"])
def test_newer_is_not_cheaper_on_average(data: str, request: pytest.FixtureRequest) -> None:
    rows = request.getfixturevalue(data)
    pipeline = request.getfixturevalue("fitted" if data == "listings" else "fitted_on_real")
    newer = rows.assign(model_year=np.minimum(rows["model_year"] + 2, rows["model_year"].max()))
    assert np.mean(prices(pipeline, newer)[:, 0] / prices(pipeline, rows)[:, 0]) > 1.03


@pytest.mark.parametrize("data", ["listings", "real_listings"])
def test_less_driven_is_not_cheaper_on_average(data: str, request: pytest.FixtureRequest) -> None:
    rows = request.getfixturevalue(data)
    pipeline = request.getfixturevalue("fitted" if data == "listings" else "fitted_on_real")
    rows = rows[rows["mileage_km_min"] > 120_000]
    fewer = rows.assign(
        mileage_km_min=rows["mileage_km_min"] - 50_000, mileage_km_max=rows["mileage_km_max"] - 50_000
    )
    assert np.mean(prices(pipeline, fewer)[:, 0] / prices(pipeline, rows)[:, 0]) > 1.0


def test_no_listing_is_both_trained_and_tested_on(listings: pd.DataFrame) -> None:
    twice = pd.concat([listings, listings.assign(price_mad=listings["price_mad"] * 1.1)])
    chosen = is_test(twice["listing_id"], 0.2, 0)
    assert not set(twice["listing_id"][chosen]) & set(twice["listing_id"][~chosen])
    assert 0.1 < chosen.mean() < 0.3


def test_a_test_row_stays_one_when_listings_are_added(listings: pd.DataFrame) -> None:
    few = listings.head(200)
    np.testing.assert_array_equal(
        is_test(few["listing_id"], 0.2, 5), is_test(listings["listing_id"], 0.2, 5)[:200]
    )


def test_leave_one_out_is_what_a_model_without_that_row_says() -> None:
    random = np.random.default_rng(0)
    rows = np.column_stack([random.normal(size=40), random.integers(0, 4, 40)]).astype(float)
    target = np.sin(rows[:, 0]) + 0.3 * rows[:, 1] + 0.1 * random.normal(size=40)
    terms = [
        {"sd": 1.0, "same": [], "near": {"x": 0.5}},
        {"sd": 0.5, "same": ["kind"], "near": {}},
    ]
    whole = KernelRegressor(terms, ("x", "kind"), ("x",), noise=0.2).fit(rows, target)
    for left_out in (0, 7, 39):
        kept = np.arange(40) != left_out
        part = KernelRegressor(terms, ("x", "kind"), ("x",), noise=0.2)
        part.fit(rows[kept], target[kept] - np.median(target) + np.median(target[kept]))
        said = part.predict(rows[[left_out]])[0] - np.median(target[kept]) + np.median(target)
        # the median that is taken away differs by the row left out, nothing else does
        assert abs(said - whole.leave_one_out_[left_out]) < 0.02


def test_contributions_add_up_to_the_prediction(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    rows = fitted["features"].transform(features_of(listings.head(20)))
    level = fitted["price"].level_
    np.testing.assert_allclose(
        level.center_ + level.contributions(rows).sum(axis=1), np.log(prices(fitted, listings.head(20))[:, 0])
    )


def test_a_zero_too_many_is_found_and_has_no_say(listings: pd.DataFrame) -> None:
    random = np.random.default_rng(1)
    clean = listings[~flagged_in_training(training.fit(listings, Params()))].reset_index(drop=True)
    wrong = random.choice(len(clean), 20, replace=False)
    price = clean["price_mad"].to_numpy(copy=True)
    price[wrong] *= np.where(np.arange(20) % 2, 10, 0.1)
    mistyped = clean.assign(price_mad=price)
    pipeline = training.fit(mistyped, Params())
    flagged = flagged_in_training(pipeline)
    assert flagged[wrong].mean() >= 0.95
    assert flagged[np.setdiff1d(np.arange(len(clean)), wrong)].mean() <= 0.01
    before, after = (prices(p, clean)[:, 0] for p in (training.fit(clean, Params()), pipeline))
    assert np.median(np.abs(after / before - 1)) < 0.01
    told = typing_errors(mistyped[flagged], expected_in_training(pipeline)[flagged], 0.6)
    assert len(told) == flagged.sum()
    assert told["suggestion"].str.contains("looks like").mean() > 0.9
    assert looks_mistyped(pipeline, features_of(mistyped.iloc[wrong]), price[wrong]).mean() >= 0.9


def test_a_suggestion_names_the_price_and_its_likely_reading() -> None:
    assert suggestion(730_000, 70_000, 0.6) == "730\u202f000 looks like 73\u202f000"
    assert suggestion(7_500, 70_000, 0.6) == "7\u202f500 looks like 75\u202f000"
    assert suggestion(350_000, 100_000, 0.3) == ""


def test_intervals_of_real_listings_cover_as_promised(real_listings: pd.DataFrame) -> None:
    chosen = is_test(real_listings["listing_id"], 0.2, 11)
    pipeline = training.fit(real_listings[~chosen].reset_index(drop=True), Params())
    test = real_listings[chosen]
    price = test["price_mad"].to_numpy()
    kept = ~looks_mistyped(pipeline, features_of(test), price)
    _, low, high = prices(pipeline, test).T
    assert 0.86 < ((low <= price) & (price <= high))[kept].mean() < 0.94
