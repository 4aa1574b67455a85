"""A listing has what all its copies say: the newest value of each column; what they contradict in is kept."""

from __future__ import annotations

from typing import Any

import pandas as pd

from carprice.history.merging import merge_rows
from carprice.listings import tables


def merged(*rows: dict[str, Any]) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """The listings of rows given with `day`, and their contradictions."""
    same = {"make": "Kia", "model": "Rio", "model_year": 2015, "price_mad": 90_000}
    table = tables.as_canonical(pd.DataFrame([same | row for row in rows]).drop(columns="day"))
    days = pd.to_datetime(pd.Series([f"2026-01-{row['day']:02}" for row in rows]), utc=True)
    listings, contradictions = merge_rows(table, days)
    return listings.to_dict("records"), contradictions


def test_no_column_is_lost_and_the_newest_value_counts() -> None:
    (listing,), contradictions = merged(
        {"day": 2, "listing_id": "a", "city": "Rabat", "condition": "Bon", "price_mad": 80_000},
        {"day": 1, "listing_id": "a", "fuel": "Diesel", "condition": "Excellent", "abs": 1.0},
    )
    assert (listing["city"], listing["fuel"], listing["abs"]) == ("Rabat", "Diesel", 1.0)
    assert (listing["condition"], listing["price_mad"]) == ("Bon", 80_000)
    assert contradictions.to_dict("records") == [
        {"listing_id": "a", "column": "condition", "older": "Excellent", "newest": "Bon"}
    ]


def test_both_ends_of_a_mileage_come_from_one_row() -> None:
    (listing,), _ = merged(
        {"day": 1, "listing_id": "a", "mileage_km_min": 90_000, "mileage_km_max": 94_999},
        {"day": 2, "listing_id": "a", "mileage_km_min": 500_000},
    )
    assert listing["mileage_km_min"] == 500_000
    assert pd.isna(listing["mileage_km_max"])


def test_other_listings_stay_as_they_are_and_stand_in_order() -> None:
    listings, contradictions = merged(
        {"day": 1, "listing_id": "b"},
        {"day": 1, "listing_id": "a", "city": "Rabat"},
        {"day": 1, "listing_id": "c"},
        {"day": 2, "listing_id": "a"},
    )
    assert [listing["listing_id"] for listing in listings] == ["b", "c", "a"]
    assert listings[2]["city"] == "Rabat"
    assert not len(contradictions)


def test_a_mileage_inside_a_bracket_is_no_contradiction_and_another_one_is() -> None:
    bracket = {"listing_id": "a", "mileage_km_min": 90_000, "mileage_km_max": 94_999}
    inside = {"listing_id": "a", "mileage_km_min": 92_500, "mileage_km_max": 92_500}
    other = {"listing_id": "a", "mileage_km_min": 99_000, "mileage_km_max": 99_000}
    assert not len(merged({"day": 1} | bracket, {"day": 2} | inside)[1])
    (found,) = merged({"day": 1} | bracket, {"day": 2} | other)[1].to_dict("records")
    assert (found["column"], found["older"]) == ("mileage_km", "90000 - 94999")
