"""What there is to choose from: the listings' own values, each once, the most frequent first."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from carprice.listings import reading, sample, tables
from carprice.listings.records import read_one
from carprice.model.form_options import form_options_of

GOOD = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": "2015",
    "mileage": "90 000 - 94 999",
    "fuel": "Diesel",
    "price_mad": "85000",
}


def listings(*changes: dict[str, str]) -> pd.DataFrame:
    rows = pd.DataFrame([GOOD | change for change in changes]).fillna("").astype("str")
    return tables.parse(rows, require_price=True).listings


def test_the_choices_are_those_of_the_contract() -> None:
    found = form_options_of(
        listings(
            {"fiscal_power_cv": "6 CV", "gearbox": "Manuelle", "doors": "5", "model_year": "2005"},
            {"fiscal_power_cv": "5", "fuel": "Essence", "doors": "3", "city": "Rabat", "gps": "non"},
            {"fiscal_power_cv": "6", "doors": "5", "mileage": "Plus de 500 000"},
            {"make": "Fiat", "model": "Punto", "mileage": "0 - 4 999"},
        )
    )
    assert found == {
        "makes": {
            "Dacia": {
                "count": 3,
                "models": {
                    "Logan": {
                        "count": 3,
                        "years": [2005, 2015],
                        "fuels": ["Diesel", "Essence"],
                        "gearboxes": ["Manuelle"],
                        "fiscal_powers": [5, 6],
                    }
                },
            },
            "Fiat": {
                "count": 1,
                "models": {
                    "Punto": {
                        "count": 1,
                        "years": [2015, 2015],
                        "fuels": ["Diesel"],
                        "gearboxes": [],
                        "fiscal_powers": [],
                    }
                },
            },
        },
        "fuels": ["Diesel", "Essence"],
        "gearboxes": ["Manuelle"],
        "conditions": [],
        "origins": [],
        "cities": ["Rabat"],
        "doors": [5, 3],
        "has_equipment": True,
        "mileage_brackets": [[0, 4999], [90000, 94999], [500000, None]],
    }


def test_spellings_of_one_word_are_one_choice_in_the_most_common_spelling() -> None:
    found = form_options_of(
        listings(
            {"make": "Citroen", "model": "C-Elysée"},
            {"make": "Citroen", "model": "C ELYSEE"},
            {"make": "CITROEN", "model": "C-Elysée"},
            {"make": "Peugeot", "model": "c-elysée"},
        )
    )
    assert {make: list(of["models"]) for make, of in found["makes"].items()} == {
        "Citroen": ["C-Elysée"],
        "Peugeot": ["c-elysée"],
    }
    assert found["makes"]["Citroen"]["models"]["C-Elysée"]["count"] == 3


def test_words_without_a_latin_letter_stay_choices_of_their_own() -> None:
    found = form_options_of(listings({"city": "أكلموس"}, {"city": "تيغسالين"}, {"city": "تيغسالين"}))
    assert found["cities"] == ["تيغسالين", "أكلموس"]


def test_exact_mileages_and_no_equipment_leave_nothing_to_choose() -> None:
    found = form_options_of(listings({"mileage": "120 000"}))
    assert found["mileage_brackets"] == []
    assert found["has_equipment"] is False


def test_no_listings_give_no_choices() -> None:
    found = form_options_of(listings({}).head(0))
    assert found["makes"] == {}
    assert found["fuels"] == found["doors"] == found["mileage_brackets"] == []


def test_every_choice_of_a_file_can_be_sent_and_is_read_back(tmp_path: Path) -> None:
    sample.write_sample(str(tmp_path / "synthetic.csv"), 600, 2)
    parsed = tables.parse(
        reading.read_raw((tmp_path / "synthetic.csv").read_bytes()).table, require_price=True
    )
    found = json.loads(json.dumps(form_options_of(parsed.listings[parsed.good]), allow_nan=False))
    assert sum(make["count"] for make in found["makes"].values()) == parsed.good.sum()
    for make, of_make in found["makes"].items():
        counts = [model["count"] for model in of_make["models"].values()]
        assert counts == sorted(counts, reverse=True)
        for model, of_model in of_make["models"].items():
            low, high = found["mileage_brackets"][0]
            said = {
                "make": make,
                "model": model,
                "model_year": of_model["years"][0],
                "fuel": of_model["fuels"][0],
            }
            assert read_one(said | {"mileage_km_min": low, "mileage_km_max": high}).problems == []
