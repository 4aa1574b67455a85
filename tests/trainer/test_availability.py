"""A column that says which cars are sold keeps their prices out, and no other column does."""

from __future__ import annotations

import pandas as pd
import pytest

from carprice.listings import tables
from carprice.listings.columns import recognise

ROWS = 60


def table(header: str, values: tuple[str, ...]) -> pd.DataFrame:
    cars = {"Marque": "Dacia", "Modèle": "Logan", "Année-Modèle": "2015", "Prix": "80 000 DH"}
    raw = pd.DataFrame({column: [value] * ROWS for column, value in cars.items()})
    raw["Kilométrage"] = [str(50_000 + 1_000 * row) for row in range(ROWS)]
    raw[header] = [values[row % len(values)] for row in range(ROWS)]
    return raw


@pytest.mark.parametrize(
    ("header", "on_sale", "gone"),
    [
        ("Statut", "Disponible", "Vendu"),
        ("Statut", "En ligne", "Réservée"),
        ("Status", "active", "sold"),
        ("État", "En vente", "Vendue"),
        ("offers.availability", "https://schema.org/InStock", "https://schema.org/SoldOut"),
        ("Disponibilité", "Disponible", "Non disponible"),
        ("الحالة", "متاح", "مباع"),
        ("Vendu", "non", "oui"),
        ("is_sold", "False", "True"),
        ("Disponible", "oui", "non"),
        ("is_active", "true", "false"),
        ("isSold", "false", "true"),
        ("deleted", "0", "1"),
        ("Statut", "Non vendu", "Vendu le 12/03/2024"),
        ("Statut", "En vente", "Sous offre"),
        ("État", "Très bon", "Vendu"),
        ("Statut", "À la une", "Vendu"),
    ],
)
def test_a_sold_car_asks_no_price_any_more(header: str, on_sale: str, gone: str) -> None:
    raw = table(header, (on_sale, gone, on_sale))
    parsed = tables.parse(raw, require_price=True)
    assert parsed.fates.tolist() == ["accepted", "unpriced", "accepted"] * (ROWS // 3)
    ((problem, rows),) = parsed.aside.items()
    assert (problem.code, problem.column, rows) == ("sold", header, ROWS // 3)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("Statut", ("Particulier", "Professionnel")),
        ("Status", ("Bon", "Très bon")),
        ("État", ("Bon", "Excellent", "Vendu avec facture")),
        ("Garantie", ("Disponible", "Non disponible")),
        ("Statut vendeur", ("Actif", "Inactif")),
        ("seller_status", ("active", "inactive")),
        ("WhatsApp available", ("true", "false")),
        ("Crédit disponible", ("oui", "non")),
        ("Carnet d'entretien disponible", ("oui", "non")),
        ("active_discount", ("true", "false")),
        ("Vendu avec garantie", ("oui", "non")),
        ("Vendu par un pro", ("oui", "non")),
        ("reserve", ("true", "false")),
        ("Livraison", ("available", "not available")),
        ("Statut", ("", "--")),
    ],
)
def test_a_column_of_something_else_keeps_no_car_out(header: str, values: tuple[str, ...]) -> None:
    assert set(tables.parse(table(header, values), require_price=True).fates) == {"accepted"}


def test_the_kind_of_an_ad_is_still_told_by_its_column() -> None:
    raw = table("Type d'annonce", ("À vendre", "À vendre", "À louer"))
    assert tables.parse(raw, require_price=True).fates.tolist() == [
        *["accepted", "accepted", "not_used_car"]
    ] * (ROWS // 3)


def test_a_record_that_is_priced_may_be_sold() -> None:
    raw = table("Statut", ("Disponible", "Vendu"))
    assert {use.role for use in recognise(raw, False).uses if use.column == "Statut"} == {"availability"}
    assert set(tables.parse(raw, require_price=False).fates) == {"accepted"}
