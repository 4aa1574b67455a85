"""One listing gets one price and one set of warnings in a call, a batch, a file and the command line."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

from conftest import LOGAN, Api, carprice

from carprice.lifecycle.prediction import sentences_of
from carprice.listings.schema import EQUIPMENT

PRICES = {"price_mad": "predicted_price_mad", "low_mad": "low_mad", "high_mad": "high_mad"}
ODD: dict[str, list[Any]] = {
    "make": ["dacia", "DACIA ", "Renault", "Zorglub", "Škoda", "日産", "x" * 150, "=1+1", "BMW;\"'"],
    "model": ["Logan", "logan", "Clio", "Zorglub", "208", "208.0", "?", "Série 3", "a,b", "x\u200bx"],
    "model_year": [1950, 1999, 2015, 2027, "2015", "2015.0"],
    "mileage": [None, 0, 3, 120_000, 2_000_000, "120 000 - 129 999", "173.000 km", "Plus de 500 000"],
    "fuel": [None, "", "--", "Essence", "petrol", "Charbon", "日", "ديزل"],
    "fiscal_power_cv": [None, 1, 6, "8 CV", 200],
    "gearbox": [None, "BVA", "Manuelle", "Zorglub"],
    "condition": [None, "Très bon", "Zorglub"],
    "first_owner": [None, True, False],
    "city": [None, "Casablanca", "Nowhere"],
    "doors": [None, 5, 9],
    EQUIPMENT[0]: [None, True, False],
}


def records() -> list[dict[str, Any]]:
    """Each odd value in a usual listing, and random mixes of them."""
    chance = random.Random(0)
    single = [LOGAN | {name: value} for name, values in ODD.items() for value in values]
    mixed = [{name: chance.choice(values) for name, values in ODD.items()} for _ in range(60)]
    return [*single, *mixed]


def said(answer: dict[str, Any]) -> tuple[Any, ...]:
    words = answer["evidence"], [w["message"] for w in answer["warnings"]]
    return tuple(answer[name] for name in PRICES), *words


def test_a_batch_of_one_and_a_file_say_what_a_single_prediction_says(
    api: Api, trained_data: Path, tmp_path: Path
) -> None:
    asked = records()
    answers = [api.post("/v1/predict", record) for record in asked]
    assert {answer.status_code for answer in answers} <= {200, 422}
    batch = api.post("/v1/predict/batch", asked).json()["predictions"]
    good = []
    for record, answer, row in zip(asked, answers, batch, strict=True):
        alone = api.post("/v1/predict/batch", [record]).json()["predictions"][0]
        if answer.status_code == 422:
            assert "price_mad" not in row
            assert alone["errors"] == row["errors"] == answer.json()["errors"]
            continue
        assert said(row) == said(alone) == said(answer.json())
        good.append((record, answer.json()))
    assert len(good) > 60

    source, target = tmp_path / "cars.csv", tmp_path / "priced.csv"
    names = list(LOGAN | dict.fromkeys(ODD))
    with open(source, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(record for record, _ in good)
    carprice(trained_data, "predict", str(source), "-o", str(target))
    with open(target, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, (record, answer) in zip(rows, good, strict=True):
        prices = ["" if answer[name] is None else str(answer[name]) for name in PRICES]
        assert [row[name] for name in PRICES.values()] == prices, record
        assert row["evidence"] == answer["evidence"]
        assert row["warnings"] == sentences_of(answer["warnings"]), record
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    sent = api.post("/v1/predict/batch", data=source.read_bytes(), headers=headers)
    answered = csv.DictReader(io.StringIO(sent.text))
    assert [{name: row[name] for name in rows[0]} for row in answered] == rows
