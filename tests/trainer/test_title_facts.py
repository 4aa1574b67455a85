"""Titles fill what columns leave out; what columns say wins, and a contradiction is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from carprice.listings.problems import TITLE_CODES
from carprice.listings.title_facts import Contradiction, TitlesRead, merge_titles
from carprice.listings.vocabulary import shipped_vocabulary


def merged(titles: list[str | None], **columns: list[Any]) -> TitlesRead:
    kinds = {"model_year": float}
    arrays = {
        name: np.array(
            [np.nan if v is None and name in kinds else v for v in values], kinds.get(name, object)
        )
        for name, values in columns.items()
    }
    return merge_titles(pd.Series(titles, dtype=object), arrays, shipped_vocabulary(), 2027)


def cars(found: TitlesRead) -> list[tuple[Any, ...]]:
    return [
        tuple(row) for row in zip(*(found.values[n] for n in ("make", "model", "model_year")), strict=True)
    ]


def untold(found: TitlesRead) -> dict[tuple[str, str], list[int]]:
    return {key: np.flatnonzero(mask).tolist() for key, mask in found.untold.items()}


def test_a_title_fills_the_columns_that_are_not_there() -> None:
    found = merged(["Renault Clio Diesel Automatique 2018 à Fès", "VW Golf 7 2015", "VW Golf 7 2015"])
    assert cars(found) == [
        ("Renault", "Clio", 2018),
        ("Volkswagen", "GOLF 7", 2015),
        ("Volkswagen", "GOLF 7", 2015),
    ]
    assert found.values["fuel"].tolist() == ["Diesel", None, None]
    assert found.values["gearbox"].tolist() == ["Automatique", None, None]
    assert found.values["city"].tolist() == ["Fès", None, None]
    assert not found.untold
    assert not found.contradictions


def test_a_title_fills_single_gaps_of_a_column() -> None:
    found = merged(
        ["Renault Clio 2018", "Dacia Logan 2012"], model_year=[2017, None], model=[None, "Logan Mcv"]
    )
    assert cars(found) == [("Renault", "Clio", 2017), ("Dacia", "Logan Mcv", 2012)]


def test_columns_win_and_contradictions_are_counted() -> None:
    found = merged(
        ["Golf 7 2021", "Golf 7 2021", "Peugeot 208 2015", "Golf 6 2010"],
        make=["Volkswagen", "Volkswagen", "Renault", "Volkswagen"],
        model=["GOLF 7", "GOLF 7", "EXPRESS", "Golf"],
        model_year=[2001, 2001, 2015, 2010],
    )
    assert cars(found)[0] == ("Volkswagen", "GOLF 7", 2001)
    assert found.contradictions == [
        Contradiction("model_year", 2, (("2001", "Golf 7 2021"),)),
        Contradiction("make", 1, (("Renault", "Peugeot 208 2015"),)),
    ]


def test_another_name_of_the_same_car_is_no_contradiction() -> None:
    found = merged(
        ["Mercedes C220 2015", "Clio campus 2010", "Citroën DS 4 2012", "Citroën 2 CV 1970"],
        make=["Mercedes-Benz", "Renault", "DS", "Citroen"],
        model=["220", "Clio", "DS 4", "2 CV"],
        model_year=[2015, 2010, 2012, 1980],
    )
    assert found.contradictions == []


def test_a_row_whose_title_does_not_tell_what_is_missing_has_a_reason() -> None:
    found = merged(
        ["Voiture à vendre", "Renault 2015", "Clio", "Golf Passat 2012", "Dacia Logan 2012", None],
        make=[None, None, None, None, "Renault", None],
    )
    assert untold(found) == {
        ("make", "title_names_no_make"): [0],
        ("model", "title_names_no_model"): [0, 1],
        ("model", "title_names_several_cars"): [3],
        ("model", "title_names_another_make"): [4],
        ("model_year", "title_says_no_year"): [0, 2],
    }
    assert {code for _, code in found.untold} <= set(TITLE_CODES)


def test_a_make_that_the_title_names_stays_where_it_names_several_models() -> None:
    found = merged(["Golf Passat 2012"])
    assert found.values["make"].tolist() == ["Volkswagen"]
    assert untold(found) == {("model", "title_names_several_cars"): [0]}


def test_a_title_tells_what_is_no_used_car() -> None:
    found = merged(
        ["Location Clio 4", "Kit frigorifique", "Kit embrayage Clio", "Clio 4 2015"],
        make=["Renault", "Renault", None, "Renault"],
        model=["Clio", "Kangoo", None, "Clio"],
    )
    assert [other and (other.kind, other.words) for other in found.others] == [
        ("rental", "location"),
        None,
        ("part", "kit"),
        None,
    ]


def test_a_table_without_rows_is_merged() -> None:
    found = merged([])
    assert len(found.values["make"]) == 0
    assert not found.untold
