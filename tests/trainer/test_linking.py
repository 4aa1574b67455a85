"""The same ad in files of different layouts is one listing, where both files say enough to tell it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from carprice.history.linking import with_linked_ids
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


def ids(*files: pd.DataFrame) -> list[list[Any]]:
    return [table["listing_id"].tolist() for table in with_linked_ids(files)]


def test_an_ad_with_a_city_added_keeps_its_first_id() -> None:
    first, second = ids(file("a"), file("b", Ville=["Rabat", "Fès", "Rabat"]))
    assert first == second == file("a")["listing_id"].tolist()


def test_an_ad_of_a_new_file_is_found_among_known_listings() -> None:
    known, new = file("a"), file("b", Ville=["Rabat", "Fès", "Rabat"])
    assert with_linked_ids([new], known)[0]["listing_id"].tolist() == known["listing_id"].tolist()


def test_a_column_less_is_no_other_ad() -> None:
    first, second = ids(file("a", Ville=["Rabat", "Fès", "Rabat"]), file("b"))
    assert first == second


def test_another_price_in_another_layout_stays_another_ad() -> None:
    first, second = ids(file("a"), file("b", Ville=["Rabat"] * 3, Prix=["85000", "60000", "90000"]))
    assert [one == other for one, other in zip(first, second, strict=True)] == [True, True, False]


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
    # the listings after linking tell the same as the files
    both = pd.concat(with_linked_ids([file("a"), file("b", Ville=city)]))
    known = both.drop_duplicates("listing_id", keep="last")
    assert with_linked_ids([later], known)[0]["listing_id"].tolist() == first


def test_ads_with_a_link_are_not_linked() -> None:
    links = [f"https://www.avito.ma/vi/{49_000_000 + n}.htm" for n in range(3)]
    first, second = ids(file("a"), file("b", Lien=links, Ville=["Rabat"] * 3))
    assert not set(first) & set(second)


def test_files_that_share_few_columns_are_not_linked() -> None:
    few = file("b").assign(fuel=None, gearbox=None, city="Rabat", listing_id=["row-1", "row-2", "row-3"])
    first, second = ids(file("a"), few)
    assert not set(first) & set(second)
