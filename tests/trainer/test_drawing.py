"""Which listings are learned: never by the order of rows, recent and rare ones have better chances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_model import distinct

from carprice.lifecycle import training
from carprice.lifecycle.drawing import drawn
from carprice.listings import sample
from carprice.model.features import features_of
from carprice.params import Params, TrainingParams

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 600, 4)
    return distinct(Path(path).read_bytes())


def market(rows: int) -> pd.DataFrame:
    """Listings of one popular model and of one that one in fifty listings has, seen over two years."""
    number = np.arange(rows)
    return pd.DataFrame(
        {
            "listing_id": [f"ad-{i}" for i in number],
            "make": "Dacia",
            "model": np.where(number % 50 == 0, "Solenza", "Logan"),
            "scraped_at": pd.Timestamp("2026-01-01", tz="UTC") + DAY * (number * 7919 % 730),
        }
    )


def test_all_listings_are_learned_where_there_is_room(listings: pd.DataFrame) -> None:
    learned = training.rows_to_learn(listings, TrainingParams())
    assert set(learned["listing_id"]) == set(listings["listing_id"])


@pytest.mark.parametrize("order", ["by make", "newest first", "shuffled"])
def test_the_order_of_the_rows_makes_no_difference(order: str, listings: pd.DataFrame) -> None:
    other = {
        "by make": listings.sort_values(["make", "price_mad"]),
        "newest first": listings.iloc[::-1],
        "shuffled": listings.sample(frac=1, random_state=1),
    }[order].reset_index(drop=True)
    few = TrainingParams(max_rows=200)
    expected = training.rows_to_learn(listings, few)
    pd.testing.assert_frame_equal(training.rows_to_learn(other, few), expected)
    one, two = (
        training.fit(training.rows_to_learn(rows, few), Params()).predict(features_of(listings.head(20)))
        for rows in (listings, other)
    )
    np.testing.assert_array_equal(one, two)


def test_another_seed_draws_other_listings(listings: pd.DataFrame) -> None:
    first, second = (
        set(training.rows_to_learn(listings, TrainingParams(max_rows=200, drawing_seed=seed))["listing_id"])
        for seed in (0, 1)
    )
    assert len(first) == len(second) == 200
    assert 20 < len(first & second) < 180


def test_most_of_those_drawn_stay_when_listings_are_added() -> None:
    all_rows = market(4000)
    before, after = (set(drawn(rows, 1000, 0)["listing_id"]) for rows in (all_rows.head(3600), all_rows))
    assert len(before & after) > 800


def test_recent_listings_have_better_chances() -> None:
    rows = market(4000)
    age = (rows["scraped_at"].max() - drawn(rows, 500, 0)["scraped_at"]).dt.days
    assert (age < 180).sum() > 2.5 * ((age >= 360) & (age < 540)).sum()
    assert (age >= 540).any()


def test_a_rare_model_keeps_a_larger_share_than_a_popular_one() -> None:
    rows = market(4000)
    kept = drawn(rows, 500, 0)["model"].value_counts() / rows["model"].value_counts()
    assert kept["Solenza"] > 3 * kept["Logan"]


def test_listings_without_any_date_are_drawn() -> None:
    rows = market(1000).assign(scraped_at=pd.Series(pd.NaT, index=range(1000), dtype="datetime64[us, UTC]"))
    assert len(drawn(rows, 300, 0)) == 300
    assert len(drawn(rows, 0, 0)) == 0
