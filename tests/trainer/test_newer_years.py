"""A model year beyond all that were learned continues the yearly change of price, and says so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_model import distinct

from carprice.lifecycle import training
from carprice.listings import sample
from carprice.listings.records import read_one
from carprice.model.explanation import Explainer
from carprice.model.features import features_of
from carprice.model.price_evidence import evidence_of
from carprice.model.price_model import looks_mistyped, price_records
from carprice.model.price_warnings import warnings_of
from carprice.params import Params

NEWEST = 2019


@pytest.fixture(scope="module")
def listings() -> pd.DataFrame:
    return distinct(sample.to_csv(sample.generate(1600, 8)).encode())


@pytest.fixture(scope="module")
def fitted(listings: pd.DataFrame) -> training.Pipeline:
    """A model that has seen no car newer than NEWEST."""
    return training.fit(listings[listings["model_year"] <= NEWEST].reset_index(drop=True), Params())


def car(year: float, **more: Any) -> dict[str, Any]:
    record = {"make": "Dacia", "model": "Duster", "mileage": 40_000, "fuel": "Diesel"}
    return read_one(record | {"model_year": year} | more).values


def price(pipeline: training.Pipeline, year: float) -> float:
    return float(price_records(pipeline, [car(year)])[0, 0])


def test_each_year_beyond_adds_what_the_newest_learned_years_differ_by(fitted: training.Pipeline) -> None:
    newest = price(fitted, NEWEST)
    yearly = (math.log(newest) - math.log(price(fitted, NEWEST - 3))) / 3
    assert 0.02 < yearly < 0.15
    for years in (1, 2, 3):
        assert math.log(price(fitted, NEWEST + years) / newest) == pytest.approx(years * yearly, abs=1e-9)


def test_newer_cars_are_priced_better_than_with_the_price_of_the_newest_learned_year(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    newer = listings[listings["model_year"] > NEWEST]
    asked = newer["price_mad"].to_numpy()
    rows = features_of(newer)
    usual = ~looks_mistyped(fitted, rows, asked)
    continued = np.log(fitted.predict(rows) / asked)[usual]
    flat = np.log(fitted.predict(rows.assign(model_year=float(NEWEST))) / asked)[usual]
    assert np.abs(continued).mean() < np.abs(flat).mean()
    assert abs(np.median(continued)) < abs(np.median(flat))


def test_a_car_that_is_newer_than_all_learned_has_a_warning(fitted: training.Pipeline) -> None:
    (warning,) = warnings_of(fitted, car(NEWEST + 1))
    assert (warning["code"], warning["field"]) == ("newer_than_learned", "model_year")
    assert warning["params"] == {"value": NEWEST + 1, "bound": NEWEST}
    assert evidence_of([warning]) == "none"
    assert warnings_of(fitted, car(NEWEST)) == []


def test_the_explanation_counts_the_years_beyond_to_the_model_year(
    listings: pd.DataFrame, fitted: training.Pipeline
) -> None:
    explainer = Explainer(fitted, features_of(listings.head(30)))
    of_newest, found = (explainer.explain(car(year)) for year in (NEWEST, NEWEST + 2))
    assert found.price_mad == pytest.approx(price(fitted, NEWEST + 2), rel=1e-9)
    assert abs(found.base_mad + sum(c.mad for c in found.contributions) - found.price_mad) < 0.01
    logs = [{c.group: c.log for c in each.contributions} for each in (of_newest, found)]
    assert logs[1]["model_year"] > logs[0]["model_year"]
    assert logs[1]["mileage"] == pytest.approx(logs[0]["mileage"])


def test_a_table_gets_the_prices_of_its_records(fitted: training.Pipeline) -> None:
    cars = [car(NEWEST + years) for years in (0, 2, 1)]
    np.testing.assert_allclose(
        fitted.predict(features_of(pd.DataFrame(cars)), return_interval=True),
        price_records(fitted, cars),
        rtol=1e-9,
    )
