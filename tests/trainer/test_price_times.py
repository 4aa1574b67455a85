"""Of several prices of a car in a file the one that is asked now is used."""

from __future__ import annotations

import pandas as pd
import pytest

from carprice.errors import DataRefused
from carprice.listings import columns, tables
from carprice.listings.header_names import name_of
from carprice.listings.price_times import price_time

CARS = [("Dacia", "Logan", 2015), ("Renault", "Clio", 2018), ("Fiat", "Punto", 2012), ("Opel", "Corsa", 2014)]


def table(**prices: list[str]) -> pd.DataFrame:
    raw = pd.DataFrame(
        [(*CARS[n % 4][:2], str(CARS[n % 4][2])) for n in range(20)],
        columns=["Marque", "Modèle", "Année-Modèle"],
    )
    for header, values in prices.items():
        raw[header] = [values[n % len(values)] for n in range(20)]
    return raw.astype(str)


def prices_of(raw: pd.DataFrame) -> list[float | None]:
    parsed = tables.parse(raw, require_price=True)
    accepted = parsed.fates == "accepted"
    read = zip(parsed.listings["price_mad"], accepted, strict=True)
    return [float(price) if good else None for price, good in read][:4]


@pytest.mark.parametrize(
    ("header", "time"),
    [
        *dict.fromkeys(
            ("Prix barré", "Ancien prix", "price_old", "oldPrice", "Prix avant remise", "السعر القديم"),
            "earlier",
        ).items(),
        *dict.fromkeys(
            ("Nouveau prix", "prix-promo", "Prix après baisse", "current_price", "Prix remisé (DH)"),
            "current",
        ).items(),
        *dict.fromkeys(("price_new", "New Price"), "newer").items(),
        *dict.fromkeys(("Prix", "Prix neuf", "Prix de vente", "Ancien propriétaire", "Remise"), None).items(),
    ],
)
def test_a_header_says_when_its_prices_were_asked(header: str, time: str | None) -> None:
    assert name_of(header).time == time
    assert price_time("Kilométrage") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Prix barré", "Prix"),
        ("Ancien prix", "Nouveau prix"),
        ("price_old", "price_new"),
        ("old_price", "price"),
        ("Prix avant remise", "Prix après remise"),
        ("original_price", "discounted_price"),
    ],
)
@pytest.mark.parametrize("old_first", [True, False])
def test_of_an_old_and_a_new_price_the_new_one_is_used_and_the_reason_told(
    old: str, new: str, old_first: bool
) -> None:
    both = {old: ["90000", "120000", "70000", "66000"], new: ["80000", "110000", "65000", "60000"]}
    raw = table(**(both if old_first else dict(reversed(both.items()))))
    uses = {use.column: use for use in columns.recognise(raw).uses}
    assert (uses[old].role, uses[old].code) == ("second", "earlier_price")
    assert "earlier price" in uses[old].reason()
    assert uses[new].taken_for == "price_mad"
    assert prices_of(raw) == [80000, 110000, 65000, 60000]


@pytest.mark.parametrize("promo", ["Prix promo", "Nouveau prix", "Prix actuel"])
def test_a_reduced_price_counts_where_it_is_given(promo: str) -> None:
    raw = table(Prix=["90000", "120000", "70000", "66000"], **{promo: ["80000", "", "0", "--"]})
    assert {use.column: use.role for use in columns.recognise(raw).uses}[promo] == "current_price"
    assert prices_of(raw) == [80000, 120000, 70000, 66000]


def test_a_reduced_price_that_can_be_none_of_the_car_sets_the_row_aside() -> None:
    raw = table(Prix=["90000", "120000", "70000", "66000"], **{"Prix promo": ["1500", "", "-10 %", "60000"]})
    assert prices_of(raw) == [None, 120000, None, 60000]
    parsed = tables.parse(raw, require_price=True)
    assert [problem.code for problem in parsed.row_problems[0]] == ["two_amounts"]
    assert [(p.column, p.code) for p in parsed.row_problems[2]] == [("Prix promo", "not_an_amount")]


@pytest.mark.parametrize("header", ["Ancien prix", "New_Price", "price_old", "Prix neuf"])
def test_an_earlier_price_or_the_price_of_a_new_car_alone_is_no_asking_price(header: str) -> None:
    raw = table(**{header: ["90000", "120000", "70000", "66000"]})
    with pytest.raises(DataRefused, match="Prix"):
        tables.parse(raw, require_price=True)


@pytest.mark.parametrize(
    ("regular", "reduced"),
    [("Regular price", "Sale price"), ("Prix initial", "Prix réduit"), ("Prix original", "Prix promo")],
)
def test_a_car_that_is_not_reduced_asks_its_regular_price(regular: str, reduced: str) -> None:
    raw = table(**{regular: ["80 000", "90 000", "70 000", "60 000"], reduced: ["", "85 000", "", ""]})
    assert prices_of(raw) == [80_000, 85_000, 70_000, 60_000]


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("price_discount", ["5000", "0", "0", "0"]),
        ("price_reduced", ["1", "0", "0", "1"]),
        ("Prix promo", ["-10%", "", "", "-5%"]),
    ],
)
def test_what_a_discount_is_says_no_price(header: str, values: list[str]) -> None:
    raw = table(Prix=["80 000", "90 000", "70 000", "60 000"], **{header: values})
    assert prices_of(raw) == [80_000, 90_000, 70_000, 60_000]


@pytest.mark.parametrize("asked", ["Notre prix", "Prix de vente"])
def test_the_list_price_of_a_dealer_is_not_the_price(asked: str) -> None:
    raw = table(**{"Prix public": ["100 000", "110 000", "90 000", "80 000"]})
    raw[asked] = ["80 000", "90 000", "70 000", "60 000"] * 5
    assert prices_of(raw) == [80_000, 90_000, 70_000, 60_000]


def test_an_old_price_is_asked_by_no_car_whose_price_is_empty() -> None:
    raw = table(Prix=["80 000", "", "", ""], **{"Ancien prix": ["90 000", "95 000", "70 000", "60 000"]})
    assert prices_of(raw) == [80_000, None, None, None]
