"""Every problem of a value, a row or a file has a code and the parameters that a translation needs."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest

from carprice.errors import DataRefused
from carprice.listings import problems, schema, tables, values
from carprice.listings.headers import HEADERS
from carprice.listings.reading import read_raw
from carprice.listings.records import read_one
from carprice.params import QualityParams
from carprice.quality.outcome import opened

GOOD: dict[str, Any] = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage": 120_000,
    "fuel": "Diesel",
}
HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix;Nombre de portes;Première main\n"
NEWEST = schema.newest_year()
YEARS = {"expected": "year", "low": 1950, "high": NEWEST}
KILOMETRES = {"low": 0, "high": 2_000_000}


@pytest.mark.parametrize(
    ("change", "code", "params"),
    [
        ({"model_year": "soon"}, "not_a_year", YEARS),
        ({"model_year": 1900}, "out_of_range", YEARS),
        ({"model_year": None}, "unknown_or_empty", YEARS),
        ({"mileage": "far"}, "not_a_mileage", {"expected": "mileage", **KILOMETRES}),
        ({"mileage": -1}, "out_of_range", {"expected": "mileage", **KILOMETRES}),
        ({"mileage": 3_000_000}, "out_of_range", {"expected": "mileage", **KILOMETRES}),
        (
            {"mileage": None, "mileage_km_min": 9, "mileage_km_max": 5},
            "mileage_bounds_reversed",
            {"expected": "kilometres", **KILOMETRES},
        ),
        (
            {"mileage": None, "mileage_km_min": "x"},
            "not_kilometres",
            {"expected": "kilometres", **KILOMETRES},
        ),
        ({"price_mad": "cheap"}, "not_an_amount", {"expected": "amount"}),
        ({"price_mad": 0}, "not_positive", {"expected": "amount"}),
        ({"doors": "many"}, "not_a_number_of_doors", {"expected": "number_of_doors", "low": 1, "high": 9}),
        ({"fiscal_power_cv": "x"}, "not_a_fiscal_power", {"expected": "fiscal_power", "low": 1, "high": 200}),
        ({"gps": "maybe"}, "not_a_yes_or_no", {"expected": "yes_or_no"}),
        ({"make": "x" * 201}, "too_long", {"expected": "text", "longest": 200}),
        ({"make": ["Dacia"]}, "not_text", {"expected": "text", "longest": 200}),
        ({"make": "--"}, "unknown_or_empty", {"expected": "text", "longest": 200}),
    ],
)
def test_a_problem_of_a_record_has_a_code_and_its_parameters(
    change: dict[str, Any], code: str, params: dict[str, Any]
) -> None:
    (problem,) = read_one(GOOD | change).problems
    assert (problem.code, dict(problem.params)) == (code, params)
    assert json.loads(json.dumps(params)) == params


def test_the_problems_of_a_row_have_the_codes_of_those_of_a_record() -> None:
    rows = [
        "Dacia;Logan;soon;120000;Diesel;60000;5;oui",
        "Dacia;Logan;1900;120000;Diesel;-5;50;maybe",
        "Dacia;;2015;far;Diesel;cheap;5;oui",
        "Dacia;Logan;2015;120000;Diesel;60000;5;oui",
        "Dacia;Logan",
        '"Dacia;Logan;2015;120000;Diesel;60000;5;oui',
        "Dacia;Logan;2016;120000;Diesel;60000;5;oui",
    ]
    raw = read_raw((HEADER + "\n".join(rows) + "\n").encode())
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    found = {row: {(p.column, p.code) for p in each} for row, each in parsed.row_problems.items()}
    assert found == {
        0: {("Année-Modèle", "not_a_year")},
        1: {("Année-Modèle", "out_of_range"), ("Prix", "not_positive")},
        2: {("Modèle", "unknown_or_empty"), ("Prix", "not_an_amount")},
        4: {(None, "wrong_number_of_values")},
        5: {(None, "unclosed_quote")},
    }
    unread = {(each.problem.column, each.problem.code) for each in parsed.unreadable}
    assert unread == {
        ("Nombre de portes", "out_of_range"),
        ("Première main", "not_a_yes_or_no"),
        ("Kilométrage", "not_a_mileage"),
    }
    for row, each in parsed.row_problems.items():
        assert parsed.problems[row] == "; ".join(problem.sentence() for problem in each)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"PK\x03\x04 and more", "other_format"),
        (b"\x00\x01\xff" * 900, "not_text_file"),
        (HEADER.encode(), "no_rows"),
        (b";;;\n;;\n", "no_header"),
        (b"Marque;Prx\nDacia;1\n", "missing_columns"),
        ((HEADER + "Dacia;Logan;2015;1;Diesel;x;5;oui\n").encode(), "too_many_refused_rows"),
        ((HEADER + "Dacia;Logan;2015;1;Diesel;50000;5;oui\n").encode(), "too_few_rows"),
        (
            (HEADER + "".join(f"Dacia;Logan;2015;1;Diesel;{n};5;oui\n" for n in range(5001, 5060))).encode(),
            "too_few_listings",
        ),
    ],
)
def test_a_refused_file_has_a_code_and_its_parameters(content: bytes, code: str) -> None:
    outcome = opened(content, "cars.csv", QualityParams())
    outcome.read()
    outcome.close(QualityParams())
    refusal = outcome.refusal
    assert isinstance(refusal, DataRefused)
    assert refusal.code == code
    assert tuple(refusal.params) == problems.FILE_CODES[code]
    json.dumps(refusal.params, allow_nan=False)


def test_every_field_has_an_expectation_with_the_parameters_of_its_words() -> None:
    for name in HEADERS:
        params = values.expectation(name, NEWEST)
        assert "{" not in problems.accepted(params)
        assert params["expected"] in problems.UNREADABLE
    assert set(problems.UNREADABLE) == set(problems.EXPECTED)
    assert set(problems.UNREADABLE.values()) <= set(problems.VALUE_CODES)


def test_the_limits_of_a_record_are_those_of_the_schema_of_a_table() -> None:
    checked = schema.listing_schema().columns
    for name, column in schema.COLUMNS.items():
        ranges = [c.statistics for c in checked[name].checks if "min_value" in (c.statistics or {})]
        limits = schema.limits_of(name, NEWEST)
        assert [(r["min_value"], r["max_value"]) for r in ranges] == (
            [] if limits is None else [(limits.low, limits.high)]
        )
        assert checked[name].nullable is not column.required


def test_a_template_names_only_parameters_that_its_problems_have() -> None:
    known = {"low", "high", "longest", "values", "columns", "found", "key", "belongs", "other", "least"}
    for template in (
        *problems.EXPECTED.values(),
        *problems.VALUE_CODES.values(),
        *problems.ROW_CODES.values(),
        *problems.TITLE_CODES.values(),
        *problems.ASIDE_CODES.values(),
    ):
        assert {name for _, name, _, _ in string.Formatter().parse(template) if name} <= known
