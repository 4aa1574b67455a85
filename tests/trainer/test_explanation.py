"""What each part of a listing adds to its price: Shapley's own definition, worked out the long way."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carprice.lifecycle import training
from carprice.listings import reading, sample, schema, tables
from carprice.listings.records import read_one
from carprice.listings.schema import FEATURES
from carprice.model.explanation import PLAYERS, Explainer, shapley_values
from carprice.model.features import COLUMNS, features_of
from carprice.model.price_model import price_records
from carprice.params import Params

CAR: dict[str, Any] = read_one(
    {
        "make": "Dacia",
        "model": "Logan",
        "model_year": 2015,
        "mileage": "120 000 - 129 999",
        "fuel": "Diesel",
        "fiscal_power_cv": 6,
        "gearbox": "Manuelle",
        "city": "Rabat",
        "gps": True,
        "condition": "Bon",
    }
).values


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 700, 7)
    parsed = tables.parse(reading.read_raw(path.read_bytes()).table, require_price=True)
    return parsed.listings[parsed.good].drop_duplicates("listing_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(listings: pd.DataFrame) -> training.Pipeline:
    return training.fit(listings, Params())


@pytest.fixture(scope="module")
def background(listings: pd.DataFrame) -> pd.DataFrame:
    return features_of(listings.sample(60, random_state=0))


def strange_cars(listings: pd.DataFrame) -> list[dict[str, Any]]:
    unknown = dict.fromkeys(FEATURES)
    rows = features_of(listings.sample(10, random_state=1)).to_dict("records")
    cars = [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in rows]
    return [*cars, unknown, CAR | {"make": "Zorglub"}, CAR | {"model": "Zorglub", "fuel": None}]


def by_predicting(fitted: training.Pipeline, car: dict[str, Any], background: pd.DataFrame) -> np.ndarray:
    """What every coalition of all players is worth, from the model's own predictions."""
    features, level = fitted["features"], fitted["price"].level_
    row, others = features.transform_records([car]), features.transform(background)
    hybrids = []
    for coalition in range(2 ** len(PLAYERS)):
        mixed = others.copy()
        for player, (_, columns) in enumerate(PLAYERS.values()):
            if coalition >> player & 1:
                at = [COLUMNS.index(column) for column in columns]
                mixed[:, at] = row[:, at]
        hybrids.append(mixed)
    predicted: np.ndarray = level.predict(np.vstack(hybrids)).reshape(len(hybrids), len(others)).mean(axis=1)
    return predicted


def over_permutations(worth: np.ndarray, players: int) -> np.ndarray:
    """Shapley's definition: what a player adds on joining, over all orders in which they may join."""
    added = np.zeros(players)
    for order in permutations(range(players)):
        coalition = 0
        for player in order:
            added[player] += worth[coalition | 1 << player] - worth[coalition]
            coalition |= 1 << player
    return added / math.factorial(players)


def test_a_shapley_value_is_the_mean_over_all_orders_of_joining() -> None:
    worth = np.random.default_rng(0).normal(size=2**5)
    np.testing.assert_allclose(shapley_values(worth), over_permutations(worth, 5), atol=1e-12)
    assert shapley_values(np.array([3.0])).shape == (0,)


@pytest.mark.parametrize("changes", [{}, {"model": "Zorglub", "city": None}])
def test_the_values_are_those_of_the_game_of_all_players_played_with_predictions(
    changes: dict[str, Any], fitted: training.Pipeline, background: pd.DataFrame
) -> None:
    few = background.head(4)
    worth = by_predicting(fitted, CAR | changes, few)
    found = Explainer(fitted, few).explain(CAR | changes)
    assert [c.group for c in found.contributions] == list(PLAYERS)
    np.testing.assert_allclose([c.log for c in found.contributions], shapley_values(worth), atol=1e-9)
    assert found.base_mad == pytest.approx(math.exp(worth[0]), rel=1e-9)
    assert found.price_mad == pytest.approx(math.exp(worth[-1]), rel=1e-9)


def test_base_and_contributions_add_up_to_the_price_of_the_model(
    listings: pd.DataFrame, fitted: training.Pipeline, background: pd.DataFrame
) -> None:
    explainer = Explainer(fitted, background)
    for car in strange_cars(listings):
        found = explainer.explain(car)
        assert found.price_mad == pytest.approx(price_records(fitted, [car])[0, 0], rel=1e-9)
        assert abs(found.base_mad + sum(c.mad for c in found.contributions) - found.price_mad) < 0.01


def test_an_explanation_is_the_same_each_time(fitted: training.Pipeline, background: pd.DataFrame) -> None:
    explainer = Explainer(fitted, background)
    assert explainer.explain(CAR) == explainer.explain(CAR) == Explainer(fitted, background).explain(CAR)


def test_what_does_not_differ_from_the_background_adds_nothing(
    fitted: training.Pipeline, background: pd.DataFrame
) -> None:
    alike = background.assign(fuel=CAR["fuel"], gearbox=CAR["gearbox"], city=CAR["city"])
    found = {c.group: c.mad for c in Explainer(fitted, alike).explain(CAR).contributions}
    for group in ("fuel", "gearbox", "city"):
        assert abs(found[group]) < 1e-6
    assert abs(found["make_model"]) > 100


def test_a_column_that_no_effect_looks_at_adds_nothing(background: pd.DataFrame) -> None:
    bare = background.drop(columns=["city", "origin", "doors", *schema.EQUIPMENT])
    fitted = training.fit(bare.assign(price_mad=np.linspace(50e3, 90e3, len(bare))), Params())
    found = {c.group: c.mad for c in Explainer(fitted, background).explain(CAR).contributions}
    assert found["city"] == found["equipment"] == 0


def test_a_car_against_itself_costs_its_base(fitted: training.Pipeline) -> None:
    found = Explainer(fitted, features_of(pd.DataFrame([CAR]))).explain(CAR)
    assert found.base_mad == pytest.approx(found.price_mad, rel=1e-12)
    assert max(abs(c.mad) for c in found.contributions) < 0.01


def test_more_kilometres_take_from_the_price(fitted: training.Pipeline, background: pd.DataFrame) -> None:
    explainer = Explainer(fitted, background)
    few, many = (
        {
            c.group: c.mad
            for c in explainer.explain(CAR | {"mileage_km_min": km, "mileage_km_max": km}).contributions
        }
        for km in (40_000.0, 300_000.0)
    )
    assert few["mileage"] > many["mileage"]
