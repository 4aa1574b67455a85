"""Rows whose cells stand under other columns: the price of a car is its own, or the row is set aside."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carprice.listings import tables

CARS = (("Dacia", "Logan"), ("Renault", "Clio"), ("Peugeot", "208"), ("Volkswagen", "Golf"))
LAYOUTS = (
    "Marque Modèle Année Prix Kilométrage Carburant Boite Puissance Portes Ville",
    "Lien Marque Modèle Année Prix Kilométrage Boite Carburant",
    "Prix Kilométrage Marque Modèle Année Carburant Boite Ville",
    "Marque Modèle Année Prix Kilométrage Couleur Etat",
    "Marque Modèle Année Prix Kilométrage ABS GPS Ville",
    "Marque Modèle Année Carburant Boite Kilométrage Prix Ville Lien",
    "Marque Modèle Année Prix Kilométrage Puissance Portes",
)
ROWS = 60


def row(chance: random.Random, place: int) -> dict[str, str]:
    make, model = chance.choice(CARS)
    return {
        "Lien": f"https://www.avito.ma/fr/maarif/voitures/{make}_{50_000_000 + place}.htm",
        "Marque": make,
        "Modèle": model,
        "Année": str(chance.randint(2005, 2022)),
        "Prix": str(chance.randint(60, 250) * 1000),
        "Kilométrage": str(chance.randint(30_000, 250_000)),
        "Carburant": chance.choice(["Diesel", "Essence"]),
        "Boite": chance.choice(["Manuelle", "Automatique"]),
        "Puissance": str(chance.randint(5, 12)),
        "Portes": chance.choice(["3", "5"]),
        "Ville": chance.choice(["Casablanca", "Rabat", "Fès"]),
        "Couleur": chance.choice(["Blanc", "Noir", "Gris"]),
        "Etat": chance.choice(["Bon", "Très bon", "Excellent"]),
        "ABS": chance.choice(["Oui", "Non"]),
        "GPS": chance.choice(["Oui", "Non"]),
    }


def table(layout: str, seed: int) -> tuple[list[str], list[list[str]]]:
    """The columns of a layout and its rows."""
    chance = random.Random(seed)
    columns = layout.split()
    return columns, [[row(chance, place)[name] for name in columns] for place in range(ROWS)]


def parse(columns: list[str], rows: list[list[str]]) -> Any:
    return tables.parse(pd.DataFrame(rows, columns=columns), require_price=True)


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 10_000),
    place=st.integers(0, 9),
    left=st.booleans(),
    hit=st.sets(st.integers(0, ROWS - 1), min_size=1, max_size=20),
)
# the power and the number of doors, one below the other's column, are the same
@example(layout=LAYOUTS[-1], seed=3, place=3, left=True, hit={26, 44})
def test_no_cell_that_is_left_out_or_added_moves_a_price(
    layout: str, seed: int, place: int, left: bool, hit: set[int]
) -> None:
    columns, rows = table(layout, seed)
    place %= len(columns)
    right = parse(columns, rows).listings
    for at in hit:
        cells = rows[at]
        moved = (
            [*cells[:place], *cells[place + 1 :], ""] if left else [*cells[:place], "?!", *cells[place:-1]]
        )
        rows[at] = moved
    read = parse(columns, rows)
    good = read.good.to_numpy()
    untouched = np.array([at not in hit for at in range(ROWS)])
    assert good[untouched].all()
    for name in ("price_mad", "model_year", "mileage_km_max"):
        wrong = (
            good & read.listings[name].notna().to_numpy() & (read.listings[name] != right[name]).to_numpy()
        )
        assert not wrong.any(), (name, rows[int(np.flatnonzero(wrong)[0])])


def test_a_row_without_its_price_says_which_cell_gave_it_away() -> None:
    columns, rows = table(LAYOUTS[0], 1)
    price = columns.index("Prix")
    rows[7] = [*rows[7][:price], *rows[7][price + 1 :], ""]
    read = parse(columns, rows)
    assert read.fates[7] == "quarantined"
    (problem,) = read.row_problems[7]
    assert (problem.code, problem.column, problem.params) == (
        "moved_cells",
        "Kilométrage",
        {"belongs": "Carburant"},
    )
    assert list(read.fates[:7]) == ["accepted"] * 7


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Kilométrage", "faible"),  # no value of any other column
        ("Carburant", "Autre"),
        ("Boite", "Traction"),
        ("Portes", "Diesel"),  # the fuel says it as well, in its own column
        ("Couleur", "Essence"),
        ("Etat", "Première main"),
    ],
)
def test_a_strange_value_among_cells_that_stand_right_sets_no_row_aside(column: str, value: str) -> None:
    columns, rows = table("Marque Modèle Année Prix Kilométrage Carburant Boite Portes Couleur Etat", 2)
    rows[3][columns.index(column)] = value
    assert parse(columns, rows).fates[3] == "accepted"


def test_a_price_with_its_unit_stands_where_it_belongs() -> None:
    columns, rows = table(LAYOUTS[0], 3)
    price = columns.index("Prix")
    for cells in rows:
        cells[price] += " DH"
    # the mileage is left out
    rows[5] = [*rows[5][: price + 1], *rows[5][price + 2 :], ""]
    read = parse(columns, rows)
    assert read.fates[5] == "accepted"
    assert read.listings["price_mad"][5] == float(rows[5][price].removesuffix(" DH"))
    told = read.listings.loc[5, ["mileage_km_min", "fuel", "gearbox", "fiscal_power_cv", "doors"]]
    assert told.isna().all()


def test_a_power_under_the_mileage_of_a_row_that_ends_early_is_no_mileage() -> None:
    columns, rows = table(LAYOUTS[-1], 4)
    price = columns.index("Prix")
    rows[9] = [*rows[9][:price], *rows[9][price + 1 :], ""]
    assert parse(columns, rows).fates[9] == "quarantined"
