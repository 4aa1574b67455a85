"""One listing at a time, without pandas: the same rules and the same prices as for a table."""

from __future__ import annotations

import datetime
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from carprice.lifecycle import training
from carprice.lifecycle.saved_models import TRUSTED_TYPES
from carprice.listings import header_names, reading, sample, tables
from carprice.listings.records import read_one
from carprice.listings.schema import FEATURES
from carprice.model.features import features_of
from carprice.model.price_model import price_records
from carprice.params import Params

GOOD = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage": "90 000 - 94 999",
    "fuel": "Diesel",
}
Record = dict[str, Any]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 900, 5)
    return reading.read_raw(path.read_bytes()).table


@pytest.fixture(scope="module")
def listings(raw: pd.DataFrame) -> pd.DataFrame:
    parsed = tables.parse(raw, require_price=True)
    return parsed.listings[parsed.good].drop_duplicates("listing_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(listings: pd.DataFrame) -> training.Pipeline:
    return training.fit(listings, Params())


def records_of(listings: pd.DataFrame) -> list[Record]:
    """Rows of canonical columns as `read_one` gives them."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in listings[list(FEATURES)].to_dict("records")
    ]


def assert_read_as_a_table(row: Record) -> None:
    """One row of text has the same values and the same faults, read alone and as a table of one row.

    Read alone, an optional value that can't be used is a problem of the caller. In a table it is unknown.
    Only the cells of a table can have moved.
    """
    parsed = tables.parse(pd.DataFrame([row]).astype("str"), require_price=False)
    reasons = [*parsed.row_problems.get(0, []), *(each.problem for each in parsed.unreadable)]
    if any(reason.code in ("moved_cells", "moved_value") for reason in reasons):
        return
    alone = read_one(row)
    problems = {_one_end(p.field) for p in alone.problems if p.field not in ("Prix", "price_mad")}
    faults = {_one_end(str(each.column)) for each in parsed.row_problems.get(0, [])}
    unread = {_one_end(str(each.problem.column)) for each in parsed.unreadable} - {"Prix", "price_mad"}
    assert faults <= problems <= faults | unread
    assert bool(faults) == (not parsed.good.iloc[0])
    if not faults:
        expected = records_of(parsed.listings)[0]
        assert {name: alone.values[name] for name in FEATURES} == expected


def _one_end(field: str) -> str:
    # a table names one field for both ends of a mileage
    return {"mileage_km_max": "mileage_km_min"}.get(field, field)


def test_every_row_of_a_file_is_read_alone_as_in_its_table(raw: pd.DataFrame) -> None:
    parsed = tables.parse(raw, require_price=False)
    assert parsed.unreadable == []
    in_table = records_of(parsed.listings)
    for place, row in enumerate(raw.to_dict("records")):
        alone = read_one({str(name): value for name, value in row.items()})
        faults = {each.column for each in parsed.row_problems.get(place, [])}
        assert {problem.field for problem in alone.problems} == faults
        if not faults:
            assert {name: alone.values[name] for name in FEATURES} == in_table[place]


# fmt: off
WORDS = st.sampled_from([
    "", "--", "N/A", "Dacia", "2015", "2015.0", "1949", "2999", "60 000", "60.000 km", "-5", "3 000 000",
    "6 CV", "Plus de 41 CV", "Plus de 500 000", "0 - 4 999", "9 - 3", "Oui", "false", "5 portes", "1e5", "12",
    "x" * 201, "nan", "inf", "\u0000", "٣", "1 000 - ", "moins de 5000", "0", "10 portes", "201", "6.5",
])
# fmt: on
CHANGED = (*GOOD, "fiscal_power_cv", "doors", "gps", "first_owner", "city", "mileage_km_max", "Prix")


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(CHANGED, WORDS)), st.booleans())
def test_broken_rows_have_the_same_faults_alone_as_in_a_table(changes: Record, two: bool) -> None:
    row = {name: str(value) for name, value in GOOD.items()} | changes
    if two:  # a field for each end of the mileage
        row["mileage_km_min"] = row.pop("mileage")
    assert_read_as_a_table(row)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("model_year", 2015.0, 2015.0),
        ("Année-Modèle", "2015", 2015.0),
        ("model", 208, "208"),
        ("model", 2.5, "2.5"),
        ("fiscal_power_cv", 6.125, 6.125),
        ("gps", True, 1.0),
        ("gps", False, 0.0),
        ("gps", 1, 1.0),
        ("first_owner", "non", 0.0),
        ("doors", None, None),
        ("Prix", "99 000 DH", 99_000.0),
    ],
)
def test_a_json_value_is_read_as_people_would_write_it(field: str, value: object, read: object) -> None:
    name = header_names.field_of(field)
    assert name is not None
    found = read_one({key: v for key, v in GOOD.items() if key != name} | {field: value})
    assert found.problems == []
    assert found.values[name] == read


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({"mileage": 120_000}, (120_000, 120_000)),
        ({"mileage": 120.125}, (120.125, 120.125)),
        ({"mileage": "120 000 - 129 999"}, (120_000, 129_999)),
        ({"mileage": "Plus de 500 000"}, (500_000, None)),
        ({"mileage_km_min": 120_000}, (120_000, 120_000)),
        ({"mileage_km_min": 120_000, "mileage_km_max": 129_999}, (120_000, 129_999)),
        ({"mileage_km_min": 500_000, "mileage_km_max": None}, (500_000, None)),
        ({"mileage": None, "mileage_km_min": 7}, (7, 7)),
    ],
)
def test_a_mileage_is_a_number_a_bracket_or_two_ends(given: Record, bounds: tuple[object, object]) -> None:
    found = read_one({key: value for key, value in GOOD.items() if key != "mileage"} | given)
    assert found.problems == []
    assert (found.values["mileage_km_min"], found.values["mileage_km_max"]) == bounds


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "model_year",
            3000,
            "model_year: a year such as 2015 (from 1950 to {newest}) was expected, found '3000'",
        ),
        (
            "model_year",
            math.nan,
            "model_year: a year such as 2015 (from 1950 to {newest}) was expected, found 'nan'",
        ),
        ("make", None, "make: text of at most 200 characters was expected, found nothing"),
        ("make", "--", "make: text of at most 200 characters was expected, found '--'"),
        ("make", "\ud800", "make: text of at most 200 characters was expected, found '?'"),
        ("fuel", ["Diesel"], "fuel: text of at most 200 characters was expected, found 'a list'"),
        ("fuel", {"a": 1}, "fuel: text of at most 200 characters was expected, found 'an object'"),
        ("gearbox", True, "gearbox: text of at most 200 characters was expected, found 'true'"),
        ("gps", "perhaps", "gps: a yes or no was expected, found 'perhaps'"),
        ("doors", 12, "doors: a number of doors such as 5 (from 1 to 9) was expected, found '12'"),
        (
            "Prix",
            0,
            "Prix: an amount in dirhams such as 60000 or '60 000 DH' (more than 0 dirhams) "
            "was expected, found '0'",
        ),
        (
            "mileage",
            -1,
            "mileage: a mileage such as '200 000 - 249 999' or '173 000 km' (from 0 to 2\u202f000\u202f000) "
            "was expected, found '-1'",
        ),
    ],
)
def test_a_value_that_can_not_be_used_is_named_with_what_is_accepted(
    field: str, value: object, sentence: str
) -> None:
    newest = datetime.datetime.now(datetime.UTC).year + 1
    (problem,) = read_one(GOOD | {field: value}).problems
    assert problem.sentence() == sentence.format(newest=newest)


def test_a_long_value_is_shown_short() -> None:
    (problem,) = read_one(GOOD | {"city": "x" * 5000}).problems
    assert problem.value is not None
    assert len(problem.value) <= 80


def test_every_required_field_that_is_missing_is_named() -> None:
    assert [p.field for p in read_one({}).problems] == ["make", "model", "model_year"]


def test_a_field_that_nobody_knows_and_a_second_one_for_the_same_thing_are_reported() -> None:
    found = read_one(GOOD | {"Marque": "dacia ", "colour": "red", "mileage_km_max": 5, "url": "x", "": 1})
    assert found.problems == []
    assert found.values["make"] == "Dacia"
    assert found.unknown_fields == ["colour"]
    assert found.unused_fields == ["url"]
    assert found.repeated_fields == [("Marque", "make"), ("mileage_km_max", "mileage")]


def test_two_fields_for_the_same_thing_that_differ_are_a_problem() -> None:
    (problem,) = read_one(GOOD | {"Marque": "Fiat"}).problems
    assert (problem.field, problem.value, problem.code) == ("Marque", "Fiat", "given_twice")
    assert problem.params["other"] == "make"
    assert "make" in problem.sentence()
    for year in (2017.0, "2017", "2017.0"):
        found = read_one(GOOD | {"model_year": 2017, "Année-Modèle": year})
        assert (found.problems, found.repeated_fields) == ([], [("Année-Modèle", "model_year")])


def test_a_second_day_is_a_repeated_field_like_any_other() -> None:
    found = read_one(GOOD | {"asked_on": "2026-05-14", "Asked on": "14/05/2026"})
    assert (found.asked_on, found.problems) == ("2026-05-14", [])
    assert (found.unknown_fields, found.repeated_fields) == ([], [("Asked on", "asked_on")])
    (problem,) = read_one(GOOD | {"asked_on": "2026-05-14", "Asked on": "2026-05-15"}).problems
    assert (problem.field, problem.code) == ("Asked on", "given_twice")
    assert problem.params == {"expected": "date", "other": "asked_on"}
    assert read_one(GOOD | {"asked_on": None, "Asked on": "2026-05-15"}).asked_on == "2026-05-15"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from([*FEATURES, "mileage", "Prix", "url", "asked_on"]) | st.text(), JSON, max_size=12
    )
)
def test_no_json_object_makes_reading_fail_and_all_it_says_can_be_sent(record: Record) -> None:
    found = read_one(record)
    assert list(found.values) == [*FEATURES, "price_mad"]
    said = [problem.sentence() for problem in found.problems] + found.unknown_fields
    json.dumps([said, found.values], allow_nan=False, ensure_ascii=False).encode()


def test_reading_one_listing_loads_no_table_checks() -> None:
    code = (
        "import sys; from carprice.listings.records import read_one; read_one({'make': 'Dacia'}); "
        "assert not {m for m in sys.modules if m.startswith('pandera')}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_records_get_the_prices_of_a_table(listings: pd.DataFrame, fitted: training.Pipeline) -> None:
    expected = fitted.predict(features_of(listings), return_interval=True)
    records = records_of(listings)
    np.testing.assert_allclose(price_records(fitted, records), expected, rtol=1e-9)
    alone = np.vstack([price_records(fitted, [record]) for record in records[:100]])
    np.testing.assert_allclose(alone, expected[:100], rtol=1e-9)
    assert price_records(fitted, []).shape == (0, 3)


def test_a_record_with_gaps_and_strange_words_gets_the_price_of_a_table(fitted: training.Pipeline) -> None:
    records: list[Record] = [
        {},
        {"make": "Zorglub", "model": None, "doors": 5.0},
        {"make": "DACIA ", "model": "lôgan", "model_year": 2015, "gps": 1, "mileage_km_max": 5000.0},
        {"make": "Dacia", "model": "x" * 1000, "fiscal_power_cv": 1e9, "first_owner": 0.0, "city": "x"},
    ]
    expected = fitted.predict(features_of(pd.DataFrame(records)), return_interval=True)
    np.testing.assert_allclose(price_records(fitted, records), expected, rtol=1e-9)


def test_predicting_adds_nothing_to_what_is_saved(
    listings: pd.DataFrame, fitted: training.Pipeline, tmp_path: Path
) -> None:
    fresh = training.fit(listings.head(300), Params())
    skops.io.dump(fresh, tmp_path / "before.skops")
    expected = price_records(fresh, records_of(listings.head(3)))
    skops.io.dump(fresh, tmp_path / "after.skops")
    before, after = (
        skops.io.load(tmp_path / name, trusted=TRUSTED_TYPES) for name in ("before.skops", "after.skops")
    )
    for step in ("features", "price"):
        assert vars(before[step]).keys() == vars(after[step]).keys()
    assert vars(before["price"].level_).keys() == vars(after["price"].level_).keys()
    np.testing.assert_array_equal(price_records(after, records_of(listings.head(3))), expected)


def test_a_model_fitted_again_forgets_the_prices_of_before(listings: pd.DataFrame) -> None:
    pipeline = training.fit(listings.head(300), Params())
    records = records_of(listings.head(3))
    first = price_records(pipeline, records)
    dearer = listings.head(300)["price_mad"].to_numpy() * 2
    pipeline.fit(features_of(listings.head(300)), dearer)
    np.testing.assert_allclose(price_records(pipeline, records), 2 * first, rtol=0.02)
