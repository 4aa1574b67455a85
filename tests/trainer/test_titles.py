"""A title is read as far as it is certain, and no further."""

from __future__ import annotations

import pytest

from carprice.listings.titles import read_title
from carprice.listings.vocabulary import shipped_vocabulary


@pytest.mark.parametrize(
    ("title", "make", "model", "year"),
    [
        ("Renault Clio Diesel Automatique 2018 à Casablanca", "Renault", "Clio", 2018),
        ("VW Golf 7 Diesel 2015", "Volkswagen", "Golf 7", 2015),
        ("Mercedes C220 dédouanée 2019", "Mercedes-Benz", "Classe C", None),
        ("BMW 320d 2012", "BMW", "Serie 3", 2012),
        ("Peugeot 2008 Essence 2021", "Peugeot", "2008", 2021),
        ("Range Rover Evoque", "Land Rover", "Range Rover Evoque", None),
        ("رونو كليو 2014", "Renault", "Clio", 2014),
        ("Peugeot Diesel 2008", "Peugeot", None, 2008),
        ("voiture à vendre", None, None, None),
    ],
)
def test_make_model_and_year_are_read(
    title: str, make: str | None, model: str | None, year: int | None
) -> None:
    found = read_title(title, shipped_vocabulary(), 2027)
    assert (found.make, found.model, found.model_year) == (make, model, year)
