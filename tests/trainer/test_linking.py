"""The same ad in files of different layouts is one listing, where both files say enough to tell it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from carprice.history.linking import aliases
from carprice.history.state import Terms, empty_state, with_file
from carprice.listings import tables

CARS = [
    ("Dacia", "Logan", "2015", "90 000 - 94 999", "Diesel", "Manuelle", "85000"),
    ("Fiat", "Punto", "2007", "200 000 - 249 999", "Diesel", "Manuelle", "60000"),
    ("Renault", "Clio", "2014", "75 000 - 79 999", "Essence", "Manuelle", "93000"),
]
HEADER = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Boite de vitesses", "Prix"]


def file(name: str, **columns: list[str]) -> pd.DataFrame:
    """The accepted rows of a file with the cars above, with more columns or others."""
    raw = pd.DataFrame(CARS, columns=HEADER).assign(**columns).astype("str")
    return tables.parse(raw, require_price=True).listings.assign(source_sha256=name)


def link_files(*files: pd.DataFrame) -> tuple[list[list[Any]], pd.DataFrame]:
    """The ids that the rows of files keep which land one after another, and the pairs of copies."""
    state, kept = empty_state(), []
    for day, file in enumerate(files, 1):
        state = with_file(state, file, datetime(2026, 1, day, tzinfo=UTC), Terms(0.2, 0))
        own = file["listing_id"]
        kept.append(own.map(aliases(state.pairs)).fillna(own).tolist())
    return kept, state.pairs


def ids(*files: pd.DataFrame) -> list[list[Any]]:
    return link_files(*files)[0]


def test_an_ad_with_a_city_added_keeps_its_first_id() -> None:
    first, second = ids(file("a"), file("b", Ville=["Rabat", "Fès", "Rabat"]))
    assert first == second == file("a")["listing_id"].tolist()


def test_a_column_less_is_no_other_ad() -> None:
    first, second = ids(file("a", Ville=["Rabat", "Fès", "Rabat"]), file("b"))
    assert first == second


def test_an_ad_that_could_be_two_stays_apart() -> None:
    twins = file("b", Ville=["Rabat", "Fès", "Rabat"])
    twins = pd.concat([twins, file("b", Ville=["Fès", "Fès", "Rabat"]).iloc[[0]]], ignore_index=True)
    first, second = ids(file("a"), twins)
    assert first[0] not in second
    assert first[1:] == second[1:3]
    assert len(set(second)) == 4


def test_a_new_price_in_the_second_layout_is_still_the_same_ad() -> None:
    city = ["Rabat", "Fès", "Rabat"]
    later = file("c", Ville=city, Prix=["80000", "55000", "90000"])
    first, _, third = ids(file("a"), file("b", Ville=city), later)
    assert first == third


def test_the_pairs_say_which_id_an_ad_keeps_and_why() -> None:
    known, new = file("a"), file("b", Ville=["Rabat", "Fès", "Rabat"])
    _, pairs = link_files(known, new)
    assert pairs["known"].tolist() == known["listing_id"].tolist()
    assert pairs["new"].tolist() == new["listing_id"].tolist()
    assert set(pairs["rule"]) == {"same_price"}
