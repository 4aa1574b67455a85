"""The same car in another site's words is the same car."""

from __future__ import annotations

import pytest

from carprice.listings.car_names import CarName, canonical_make_and_model, split_make_and_model
from carprice.listings.vocabulary import shipped_vocabulary


@pytest.mark.parametrize(
    ("make", "model", "canonical"),
    [
        ("VW", "golf vii", ("Volkswagen", "GOLF 7")),
        ("VOLKSWAGEN", "GOLF 7", ("Volkswagen", "GOLF 7")),
        ("Mercedes", "classe_gle_coupe", ("Mercedes-Benz", "Classe GLE Coupé")),
        ("Mercedes", "C 220 d", ("Mercedes-Benz", "Classe C")),
        ("Mercedes-Benz", "220", ("Mercedes-Benz", "220")),
        ("BMW", "320d", ("BMW", "Serie 3")),
        ("CITROËN", "C-Elysee", ("Citroen", "C-Elysée")),
        ("Å\N{NO-BREAK SPACE}koda", "Octavia", ("Skoda", "Octavia")),
        ("Citro\ufffdn", "C-Elys\ufffde", ("Citroen", "C-Elysée")),
        ("Range Rover", "Evoque", ("Land Rover", "Range Rover Evoque")),
        ("Range Rover", "Range Rover Sport", ("Land Rover", "Range Rover Sport")),
        ("Land-Rover", "Range rover", ("Land Rover", "Range Rover")),
        ("داسيا", "لوغان", ("Dacia", "Logan")),
        ("فولكسفاكن", "GOLF 5", ("Volkswagen", "GOLF 5")),
        ("Hyundai", "ix35", ("Hyundai", "ix 35")),
        ("Renault", "RENAULT Clio", ("Renault", "Clio")),
        ("Renault", "Clio IV 1.5 dCi Intens", ("Renault", "Clio")),
        ("Renault", "Megane 4", ("Renault", "Megane 4")),
        ("Clio", "Renault", ("Renault", "Clio")),
    ],
)
def test_a_known_car_has_one_spelling(make: str, model: str, canonical: tuple[str, str]) -> None:
    found = canonical_make_and_model(make, model, shipped_vocabulary())
    assert found == CarName(*canonical)
    assert canonical_make_and_model(found.make, found.model, shipped_vocabulary()) == found


@pytest.mark.parametrize(
    ("make", "model"),
    [("Dongfu", "Panther X9"), ("Ford", "BEDFORD"), ("Peugeot", "duster"), ("Chery", "Tiggo 9")],
)
def test_an_unknown_car_keeps_its_words(make: str, model: str) -> None:
    assert canonical_make_and_model(make, model, shipped_vocabulary()) == CarName(make, model)


def test_a_name_in_unknown_letters_is_none() -> None:
    vocabulary = shipped_vocabulary()
    assert canonical_make_and_model("غير معروفة", "Logan", vocabulary).make_code == "no_known_make"
    assert canonical_make_and_model("73", "595", vocabulary).make_code == "no_known_make"
    assert canonical_make_and_model("Renault", "مجهولة", vocabulary).model_code == "no_known_model"


def test_other_is_no_name() -> None:
    vocabulary = shipped_vocabulary()
    assert canonical_make_and_model("Autres", "Autres", vocabulary) == CarName(None, None)
    assert canonical_make_and_model("Fiat", "Autre", vocabulary) == CarName("Fiat", None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RENAULT Clio", CarName("Renault", "Clio")),
        ("LAND-ROVER Range rover sport", CarName("Land Rover", "Range Rover Sport")),
        ("ALFA ROMEO Giulietta", CarName("Alfa Romeo", "Giulietta")),
        ("MERCEDES Classe c", CarName("Mercedes-Benz", "Classe C")),
        ("RENAULT 4L", CarName("Renault", "R4")),
        ("FIAT Palio Import", CarName("Fiat", "Palio Import")),
        ("Golf 7", CarName("Volkswagen", "GOLF 7")),
        ("FIAT Autre", CarName("Fiat", None, model_code="no_known_model")),
        ("FIAT", CarName("Fiat", None, model_code="no_known_model")),
        ("Panther X9", CarName(None, None, make_code="no_known_make")),
        ("", CarName(None, None, make_code="no_known_make")),
    ],
)
def test_a_text_of_both_is_split(text: str, found: CarName) -> None:
    assert split_make_and_model(text, shipped_vocabulary()) == found
