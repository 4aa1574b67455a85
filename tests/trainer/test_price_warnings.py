"""Each price has the warnings that follow from what the model has learned, one by one and in a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline
from test_model import distinct

from carprice.lifecycle import training
from carprice.listings import sample
from carprice.listings.records import read_one
from carprice.listings.schema import FEATURES, TEXT_FEATURES
from carprice.listings.words import is_for_parts
from carprice.model.features import (
    COLUMNS,
    NO_FUEL,
    NO_MILEAGE,
    UNSAID,
    ListingFeatures,
    features_of,
)
from carprice.model.plain_values import CORE_CATEGORIES, EXTRA_CATEGORIES, plain
from carprice.model.price_evidence import evidence_of
from carprice.model.price_warnings import LEAST_LISTINGS, MESSAGES, warnings_of, warnings_of_table
from carprice.params import Params

WORDS = (
    "Dacia", "DACIA", "Logan", "Zorglub", "داسيا", "--", "Diesel", "Manuelle", "Très bon", "Pour Pièces", "?",
    "5",
)  # fmt: skip


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> training.Pipeline:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 400, 5)
    return training.fit(distinct(path.read_bytes()), Params())


def listings() -> st.SearchStrategy[dict[str, Any]]:
    """Values of FEATURES as a record or a table holds them, most of them known to nobody."""
    words = st.none() | st.sampled_from(WORDS) | st.text(max_size=80)
    km = st.none() | st.floats(0, 2e6) | st.sampled_from([0.0, 10.0, 5000.0])
    return st.fixed_dictionaries(
        dict.fromkeys(TEXT_FEATURES, words)
        | {
            "make": st.sampled_from(WORDS) | st.text(min_size=1, max_size=80),
            "model": st.sampled_from(WORDS) | st.text(min_size=1, max_size=80),
            "model_year": st.integers(1950, 2027).map(float),
            "mileage_km_min": km,
            "mileage_km_max": km,
            "fiscal_power_cv": st.none() | st.floats(1, 200),
            "doors": st.none() | st.floats(1, 9),
        }
    ).map(lambda known: dict.fromkeys(FEATURES) | known)


@given(listing=listings())
@settings(max_examples=300, deadline=None)
def test_warnings_are_those_that_the_model_calls_for(
    pipeline: training.Pipeline, listing: dict[str, Any]
) -> None:
    features = pipeline.named_steps["features"]
    row = dict(zip(COLUMNS, features.transform_records([listing])[0], strict=True))
    found = warnings_of(pipeline, listing)
    fields = {(warning["code"], warning["field"]) for warning in found}
    codes = {code for code, _ in fields}
    assert len(fields) == len(found)
    for warning in found:
        assert warning["message"] == MESSAGES[warning["code"]].format(**warning["params"])

    knows_make = plain(listing["make"]) != "" and row["make"] >= 0
    assert ("unknown_make" in codes) == (not knows_make)
    knows_model = plain(listing["model"]) != "" and row["model"] >= 0
    assert ("unknown_model" in codes) == (knows_make and not knows_model)
    for column in CORE_CATEGORIES:
        word = listing[column]
        if column in TEXT_FEATURES:
            seen = word is None or plain(word) in set(features.codes_[column]) - {""}
            seen |= column == "condition" and is_for_parts(word)
            assert (("unknown_value", column) in fields) == (not seen)

    partial = int(row["partial"])
    assert ("unknown_mileage" in codes) == bool(partial & NO_MILEAGE)
    told_fuel = "unknown_fuel" in codes or ("unknown_value", "fuel") in fields
    assert told_fuel >= bool(partial & NO_FUEL)
    assert ("unknown_fuel" in codes) == (listing["fuel"] is None or ("unknown_value", "fuel") in fields)
    assert ("doubtful_mileage" in codes) == (row["km_doubt"] == UNSAID)
    assert ("low_mileage" in codes) == (row["km_doubt"] == 1)
    few = knows_make and knows_model and math.exp(row["rarity"]) - 1 < LEAST_LISTINGS - 0.5
    assert ("few_listings" in codes) == few
    assert ("for_parts" in codes) == is_for_parts(listing["condition"])
    few_with_fuel = (
        not few and codes.isdisjoint({"unknown_make", "unknown_model", "unknown_fuel"})
    ) and math.exp(row["with_fuel"]) - 1 < LEAST_LISTINGS - 0.5
    assert ("few_with_fuel" in codes) == few_with_fuel
    for column in ("district", *EXTRA_CATEGORIES):
        unused = column not in features.codes_ and listing[column] is not None
        assert (("not_used_by_model", column) in fields) == unused
    evidence = evidence_of(found)
    assert (evidence == "none") >= bool(codes & {"unknown_make", "unknown_model", "for_parts"})
    assert (evidence == "little") <= (few or few_with_fuel)
    assert (evidence == "none") >= (few_with_fuel and row["with_fuel"] < math.log(1.5))
    for warning in found:
        if warning["code"] == "outside_training_range":
            name = {"model_year": "year", "mileage": "km", "fiscal_power_cv": "power"}[warning["field"]]
            assert warning["params"]["bound"] in features.range_[name]


@given(some=st.lists(listings(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_table_gets_the_warnings_of_its_rows(
    pipeline: training.Pipeline, some: list[dict[str, Any]]
) -> None:
    together = list(warnings_of_table(pipeline, pd.DataFrame(some)))
    assert together == [warnings_of(pipeline, listing) for listing in some]


def test_a_complete_and_usual_listing_has_none(pipeline: training.Pipeline) -> None:
    read = read_one(
        {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120_000, "fuel": "Diesel"}
    )
    assert warnings_of(pipeline, read.values) == []


def test_fields_that_nobody_knows_are_named_and_only_some_of_them(pipeline: training.Pipeline) -> None:
    read = read_one({"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 9e4, "fuel": "Diesel"})
    found = warnings_of(pipeline, read.values, [f"field {i}" for i in range(50)])
    assert [warning["code"] for warning in found] == ["ignored_field"] * 20


@pytest.mark.parametrize(
    ("electric_dusters", "evidence"),
    [(0, "none"), (1, "little"), (LEAST_LISTINGS - 1, "little"), (LEAST_LISTINGS, "usual")],
)
def test_a_fuel_that_was_hardly_learned_with_the_model_makes_the_evidence_little_or_none(
    electric_dusters: int, evidence: str
) -> None:
    listings = distinct(sample.to_csv(sample.generate(600, 5)).encode())
    dusters = listings.index[listings["model"] == "Duster"]
    listings.loc[listings["model"] == "Clio", "fuel"] = "Electrique"
    listings.loc[dusters, "fuel"] = ["Electrique"] * electric_dusters + ["Diesel"] * (
        len(dusters) - electric_dusters
    )
    learned = Pipeline([("features", ListingFeatures().fit(features_of(listings)))])
    for fuel, expected in (("Electrique", evidence), ("electric", evidence), ("Diesel", "usual")):
        car = read_one(
            {"make": "Dacia", "model": "Duster", "model_year": 2017, "mileage": 1e5, "fuel": fuel}
        ).values
        found = warnings_of(learned, car)
        assert evidence_of(found) == expected
        if expected != "usual":
            (warning,) = found
            assert (warning["code"], warning["field"]) == ("few_with_fuel", "fuel")
            assert warning["params"] == {
                "value": "Electrique", "model": "Duster", "count": electric_dusters
            }  # fmt: skip
    learned.named_steps["features"].fuel_count_ = None  # as an earlier release saved it
    assert warnings_of(learned, car | {"fuel": "Electrique"}) == []


@pytest.mark.parametrize("condition", ["Pour Pièces", "for parts", "spare parts", "قطع غيار"])
def test_a_car_for_parts_has_one_warning_in_any_language(pipeline: training.Pipeline, condition: str) -> None:
    read = read_one(
        {
            "make": "Dacia",
            "model": "Logan",
            "model_year": 2015,
            "mileage": 9e4,
            "fuel": "Diesel",
            "condition": condition,
        }
    )
    assert [warning["code"] for warning in warnings_of(pipeline, read.values)] == ["for_parts"]


@pytest.mark.parametrize("condition", ["Pour Pièces", "pour pieces", "Épave", "for parts"])
def test_ads_of_cars_for_parts_are_not_learned(condition: str, tmp_path: Path) -> None:
    path = tmp_path / "synthetic.csv"
    sample.write_sample(str(path), 200, 5)
    listings = distinct(path.read_bytes())
    parts = listings.index[::4]
    listings.loc[parts, "condition"] = condition
    learned = training.rows_to_learn(listings, Params().training)
    assert set(learned["listing_id"]) == set(listings.drop(parts)["listing_id"])
    assert training.rows_to_learn(listings.drop(parts), Params().training).equals(learned)
