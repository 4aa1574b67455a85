"""Listings without mileage or fuel are learned and priced, and no complete listing suffers from them."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from test_model import distinct, prices, real_listings  # noqa: F401 - a fixture

from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.listings import sample
from carprice.model.comparables import Comparables
from carprice.model.explanation import Explainer
from carprice.model.features import COLUMNS, ListingFeatures, features_of, partial_of
from carprice.model.form_options import form_options_of
from carprice.model.metrics import slice_metrics
from carprice.model.price_model import (
    expected_in_training,
    flagged_in_training,
    looks_mistyped,
    price_records,
)
from carprice.model.typing_errors import typing_errors
from carprice.monitoring.accuracy import assess, score
from carprice.monitoring.compared_columns import compared_columns
from carprice.params import Params, TrainingParams

MILEAGE = ["mileage_km_min", "mileage_km_max"]


def without(listings: pd.DataFrame, *names: str) -> pd.DataFrame:
    hidden = listings.copy()
    if "mileage" in names:
        hidden[MILEAGE] = np.nan
    if "fuel" in names:
        hidden["fuel"] = None
    return hidden


def partly(listings: pd.DataFrame, share: float, seed: int = 0) -> pd.DataFrame:
    """The listings, of which `share` have no mileage, no fuel, or neither."""
    random = np.random.default_rng(seed)
    state = np.where(random.random(len(listings)) < share, random.integers(1, 4, len(listings)), 0)
    hidden = listings.copy()
    hidden.loc[state & 1 > 0, MILEAGE] = np.nan
    hidden.loc[state & 2 > 0, "fuel"] = None
    return hidden


def mean_error(pipeline: training.Pipeline, listings: pd.DataFrame) -> float:
    asked = listings["price_mad"].to_numpy()
    return float(np.mean(np.abs(prices(pipeline, listings)[:, 0] - asked) / asked))


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 1500, 5)
    found = distinct(path.read_bytes())
    return found[partial_of(found) == 0].reset_index(drop=True)


@pytest.fixture(scope="module")
def split(listings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    chosen = is_test(listings["listing_id"], 0.2, 0)
    return listings[~chosen].reset_index(drop=True), listings[chosen].reset_index(drop=True)


@pytest.fixture(scope="module")
def on_complete(split: tuple[pd.DataFrame, pd.DataFrame]) -> training.Pipeline:
    return training.fit(split[0], Params())


@pytest.fixture(scope="module")
def on_partial(split: tuple[pd.DataFrame, pd.DataFrame]) -> training.Pipeline:
    return training.fit(partly(split[0], 0.3), Params())


def test_partial_is_what_a_listing_does_not_say(listings: pd.DataFrame) -> None:
    four = [listings.head(1), *(without(listings.head(1), *n) for n in (["mileage"], ["fuel"]))]
    together = pd.concat([*four, without(listings.head(1), "mileage", "fuel")])
    np.testing.assert_array_equal(partial_of(together), [0, 1, 2, 3])
    matrix = ListingFeatures().fit(features_of(listings)).transform(features_of(together))
    np.testing.assert_array_equal(matrix[:, COLUMNS.index("partial")], [0, 1, 2, 3])
    open_bracket = listings.head(1).assign(mileage_km_max=np.nan)
    np.testing.assert_array_equal(partial_of(open_bracket), [0])


def test_prices_of_complete_listings_gain_from_partial_ones(
    split: tuple[pd.DataFrame, pd.DataFrame], on_partial: training.Pipeline, on_complete: training.Pipeline
) -> None:
    learned, test = split
    test = test[~looks_mistyped(on_complete, features_of(test), test["price_mad"].to_numpy())]
    some = partly(learned, 0.3)
    dropped = training.fit(some[partial_of(some) == 0].reset_index(drop=True), Params())
    assert mean_error(on_partial, test) <= 1.002 * mean_error(dropped, test)
    assert mean_error(on_partial, test) <= 1.05 * mean_error(on_complete, test)


def test_prices_of_complete_real_listings_gain_from_partial_ones(real_listings: pd.DataFrame) -> None:  # noqa: F811
    few = real_listings.sample(2500, random_state=0)
    chosen = is_test(few["listing_id"], 0.3, 0)
    learned, test = few[~chosen].reset_index(drop=True), few[chosen].reset_index(drop=True)
    some = partly(learned, 0.4)
    dropped = training.fit(some[partial_of(some) == 0].reset_index(drop=True), Params())
    test = test[~looks_mistyped(dropped, features_of(test), test["price_mad"].to_numpy())]
    assert mean_error(training.fit(some, Params()), test) < mean_error(dropped, test)


@pytest.mark.parametrize("hidden", [["mileage"], ["fuel"], ["mileage", "fuel"]])
@pytest.mark.parametrize("model", ["on_complete", "on_partial"])
def test_a_partial_listing_is_priced_sensibly_and_less_surely(
    model: str, hidden: list[str], split: tuple[pd.DataFrame, pd.DataFrame], request: pytest.FixtureRequest
) -> None:
    pipeline, test = request.getfixturevalue(model), split[1]
    asked = test["price_mad"].to_numpy()
    usual = ~looks_mistyped(pipeline, features_of(test), asked)
    price, low, high = prices(pipeline, without(test, *hidden)).T
    _, whole_low, whole_high = prices(pipeline, test).T
    # A fuel that is rare with its model makes the interval wide; where it is not said, it can't be rare.
    assert np.median(np.log(high / low) / np.log(whole_high / whole_low)) > 1.04
    assert 0.85 < ((low <= asked) & (asked <= high))[usual].mean() < 0.97
    assert abs(np.median(np.log(price / asked)[usual])) < 0.05


def test_an_unknown_mileage_is_that_of_the_year_and_not_the_smallest(
    on_complete: training.Pipeline, split: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    old = split[1][split[1]["model_year"] <= 2012]
    unknown = prices(on_complete, without(old, "mileage"))[:, 0]
    hardly_driven = prices(on_complete, old.assign(mileage_km_min=6000.0, mileage_km_max=6000.0))[:, 0]
    assert np.mean(unknown / hardly_driven) < 0.97
    matrix = on_complete["features"].transform(features_of(without(split[1], "mileage")))
    year, km = (matrix[:, COLUMNS.index(column)] for column in ("year", "km"))
    assert np.corrcoef(year, km)[0, 1] < -0.7


def test_an_unknown_fuel_is_that_of_such_cars_and_not_the_first_one() -> None:
    cars = [("Diesel", 8, 2015)] * 3 + [("Essence", 6, 2015)] * 4 + [("Essence", 8, 2001)] * 2
    rows = pd.DataFrame(
        [
            {"make": "Dacia", "model": "Logan", "fuel": fuel, "fiscal_power_cv": power, "model_year": year}
            for fuel, power, year in cars
        ]
        + [{"make": "Fiat", "model": "500", "fuel": "Hybride", "fiscal_power_cv": 4, "model_year": 2020}]
    )
    features = ListingFeatures().fit(features_of(rows))
    codes = features.codes_["fuel"]

    def likely(**car: object) -> int:
        row = features.transform_records([{"make": "Dacia", "model": "Logan", "model_year": 2015} | car])
        return int(row[0, COLUMNS.index("fuel")])

    assert likely(fiscal_power_cv=8) == codes["diesel"]
    assert likely(fiscal_power_cv=6) == codes["essence"]
    assert likely(fiscal_power_cv=8, model_year=2002) == codes["essence"]
    assert likely(fiscal_power_cv=77) == codes["essence"]
    assert likely(make="Fiat", model="Tipo") == codes["hybride"]
    # a training row does not tell its own fuel
    own = ListingFeatures().fit_transform(features_of(rows))[:, COLUMNS.index("usual_fuel")]
    assert own[0] == codes["diesel"]
    assert own[-1] == codes["essence"]


def test_a_table_and_records_give_one_price(
    on_partial: training.Pipeline, split: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    features = features_of(partly(split[1].head(60), 0.8))
    records = features.astype(object).where(features.notna(), None).to_dict("records")
    np.testing.assert_allclose(
        price_records(on_partial, records), on_partial.predict(features, return_interval=True), rtol=1e-9
    )


def test_what_a_fit_says_of_hidden_values_is_what_a_fit_without_that_row_says(
    split: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    few = split[0].head(60)
    settings = Params().training.model_copy(update={"rounds": 1})
    pipeline = training.fit(few, Params().model_copy(update={"training": settings}))
    features, model = pipeline["features"], pipeline["price"]
    rows = features.fit_transform(features_of(few))
    level = model.level_
    for left_out in (0, 31, 59):
        changed = rows[[left_out]].copy()
        changed[0, COLUMNS.index("km")] = rows[left_out, COLUMNS.index("usual_km")]
        changed[0, COLUMNS.index("km_doubt")] = 3
        kept = np.arange(len(few)) != left_out
        part = copy.deepcopy(level)
        target = np.log(few["price_mad"].to_numpy())
        part.fit(rows[kept], target[kept])
        said = part.predict(changed)[0] - part.center_ + level.center_
        assert abs(said - level.altered_leave_one_out_[left_out, 0]) < 0.02


def test_partial_listings_only_take_the_room_that_complete_ones_leave(listings: pd.DataFrame) -> None:
    complete, partial = listings.head(110), without(listings.iloc[110:150], "mileage")
    together = pd.concat([complete, partial], ignore_index=True)

    def learned(**settings: float) -> pd.DataFrame:
        return training.rows_to_learn(together, TrainingParams(**settings))

    def ids(rows: pd.DataFrame) -> set[str]:
        return set(rows["listing_id"])

    assert len(learned()) == 150
    assert ids(learned(max_rows=120)) > ids(complete)
    assert len(learned(max_rows=120)) == 120
    assert len(learned(max_rows=100)) == 100
    assert ids(learned(max_rows=100)) < ids(complete)
    assert ids(learned(partial_weight=0)) == ids(complete)


def test_nothing_but_partial_listings_can_be_learned(listings: pd.DataFrame) -> None:
    pipeline = training.fit(without(listings.head(200), "mileage", "fuel"), Params())
    for rows in (listings, without(listings, "mileage")):
        price, low, high = prices(pipeline, rows.head(50)).T
        assert (np.isfinite(price) & (low < price) & (price < high)).all()


def test_a_model_of_an_earlier_release_prices_partial_listings(
    on_complete: training.Pipeline, split: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    earlier = copy.deepcopy(on_complete)
    features, model = earlier["features"], earlier["price"]
    # it knew nothing of fuels that are rare with their model
    model.edge_factors_ = model.edge_factors_[:4]
    expected = prices(copy.deepcopy(earlier), split[1])
    known = split[0].groupby(["make", "model"])[MILEAGE[0]].median()
    features.usual_number_["km"] = {"": float(known.median())}
    features.usual_word_["fuel"] = {"": "diesel"}
    for fitted, names in ((features, ("usual_km_", "likely_fuel_")), (model, ("partial_factor_",))):
        for name in names:
            del fitted.__dict__[name]
    old = len(COLUMNS) - 3
    model.level_.columns = COLUMNS[:old]
    rows = features.fit_transform(features_of(split[0]))
    # the interval knew the price as the column after these
    model.spread_.columns = (*COLUMNS[:old], "price")
    model.spread_.levels_ = [*model.spread_.levels_[:old], model.spread_.levels_[-1]]
    assert rows.shape[1] == len(COLUMNS)
    np.testing.assert_allclose(prices(earlier, split[1]), expected, rtol=1e-9)
    price, low, high = prices(earlier, without(split[1], "mileage", "fuel")).T
    assert (np.isfinite(price) & (low < price) & (price < high)).all()


def test_what_surrounds_a_price_takes_partial_listings(
    listings: pd.DataFrame, on_partial: training.Pipeline
) -> None:
    some = partly(listings, 0.5)
    car = {"make": "Dacia", "model": "Logan", "model_year": 2015}
    assert len(Comparables(on_partial, some).nearest(car, 5)) == 5
    explained = Explainer(on_partial, features_of(some).head(50)).explain(car)
    total = explained.base_mad + sum(each.mad for each in explained.contributions)
    assert total == pytest.approx(explained.price_mad)
    options = form_options_of(some)
    assert None not in options["fuels"]
    assert all(low is not None for low, _ in options["mileage_brackets"])
    assert len(typing_errors(some.head(3), np.full(3, 1e5), 0.6)) == 3
    mileage = next(c for c in compared_columns(listings, some) if c.name == "mileage_km")
    assert mileage.empty[0] == 0
    assert mileage.empty[1] == pytest.approx(float((partial_of(some) & 1 > 0).mean()))
    assert flagged_in_training(on_partial).mean() < 0.03
    assert np.isfinite(expected_in_training(on_partial)).all()


def test_errors_of_partial_listings_are_reported_apart(listings: pd.DataFrame) -> None:
    asked = listings["price_mad"].to_numpy()
    assert not any("without" in name for name in slice_metrics(listings, asked, 5, 2026))
    found = slice_metrics(without(listings, "fuel"), asked, 5, 2026)
    assert found["without=fuel"]["rows"] == len(listings)
    mixed = slice_metrics(partly(listings, 0.5), asked, 5, 2026)
    assert {name for name in mixed if "without" in name} == {
        "without=neither missing",
        "without=mileage",
        "without=fuel",
        "without=mileage and fuel",
    }


def test_a_file_of_partial_listings_makes_no_model_worse(
    split: tuple[pd.DataFrame, pd.DataFrame], on_complete: training.Pipeline
) -> None:
    test = split[1]
    live = score(on_complete, pd.concat([test, without(test, "mileage", "fuel")], ignore_index=True))
    assert len(live.complete().listings) == len(test)
    promised = score(on_complete, test)
    found = assess(live.complete(), promised.complete(), Params().live)
    assert found.live["mape"] == pytest.approx(found.promised["mape"])
    none = score(on_complete, without(test, "mileage")).complete()
    assert assess(none, promised, Params().live).verdict == "too little data"
