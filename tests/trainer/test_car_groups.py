"""Listings that may be one car are one group, and a group lies on one side of the split for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from carprice.history.car_groups import MOST, NEITHER, TEST, TRAINING, assign_sides, group_cars
from carprice.listings import sample, tables
from carprice.listings.sample import bracket
from carprice.listings.schema import EQUIPMENT
from carprice.listings.values import parse_mileage

NO_PAIRS = pd.DataFrame({"new": [], "known": []}, dtype=object)


def ads(*cars: tuple[str, float, float]) -> pd.DataFrame:
    """Listings of one kind of car, given as (id, price, mileage)."""
    table = pd.DataFrame(cars, columns=["listing_id", "price_mad", "mileage_km_min"])
    same = {"make": "Kia", "model": "Rio", "model_year": 2015, "fuel": "Diesel", "gearbox": "Manuelle"}
    return tables.as_canonical(table.assign(mileage_km_max=table["mileage_km_min"], **same))


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    raw = sample.generate(1_500, seed=5).drop(columns=["", "Lien"]).drop_duplicates()
    parsed = tables.parse(raw, require_price=True)
    listings = parsed.listings[parsed.good].dropna(subset="mileage_km_min")
    return listings.drop_duplicates("listing_id").reset_index(drop=True)


def reposts(listings: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A tenth of the listings again, as reposts; and the row of each one's original."""
    random = np.random.default_rng(seed)
    rows = random.choice(len(listings), len(listings) // 10, replace=False)
    again = listings.iloc[rows].reset_index(drop=True)
    price = again["price_mad"] * random.uniform(0.9, 1.1, len(rows))
    ends = again["mileage_km_max"].fillna(500_000)
    driven = [parse_mileage(bracket(end + 1)) for end in ends]
    up = random.random(len(rows)) < 0.5
    return again.assign(
        listing_id=[f"again-{seed}-{n}" for n in range(len(rows))],
        city="Une autre ville",
        price_mad=np.round(price / 100) * 100,
        mileage_km_min=np.where(up, [low for low, _ in driven], again["mileage_km_min"]),
        mileage_km_max=np.where(up, [high for _, high in driven], again["mileage_km_max"]),
    ), rows


def test_no_repost_lies_on_another_side_than_its_original(market: pd.DataFrame) -> None:
    for seed in range(100):
        again, originals = reposts(market, seed)
        together = pd.concat([market, again], ignore_index=True)
        groups = group_cars(together, NO_PAIRS)
        sides = assign_sides(together, groups, None, 0.2, seed)["side"].to_numpy()
        assert (groups[len(market) :] == groups[originals]).all()
        assert (sides[len(market) :] == sides[originals]).all()
        assert pd.Series(sides).groupby(groups).nunique().max() == 1


def test_no_repost_that_lands_later_moves_its_original(market: pd.DataFrame) -> None:
    for seed in range(20):
        first = assign_sides(market, group_cars(market, NO_PAIRS), None, 0.2, seed)
        again, originals = reposts(market, seed)
        together = pd.concat([market, again], ignore_index=True)
        before = first.set_index("listing_id")["side"]
        after = assign_sides(together, group_cars(together, NO_PAIRS), before, 0.2, seed)["side"].to_numpy()
        same = after[len(market) :] == after[originals]
        # a repost may join the group of its original with a test group
        assert (same | ((after[originals] == NEITHER) & (after[len(market) :] == TEST))).all()
        was_test = (first["side"] == TEST).to_numpy()
        assert (after[: len(market)][was_test] == TEST).all()


def test_look_alikes_are_near_in_price_and_mileage() -> None:
    listings = ads(
        ("a", 100_000, 62_000), ("b", 109_000, 66_000), ("c", 109_000, 71_000), ("d", 140_000, 62_000)
    )
    assert group_cars(listings, NO_PAIRS).tolist() == [0, 0, 0, 1]
    assert group_cars(listings.iloc[[0, 2]], NO_PAIRS).tolist() == [0, 1]


def test_another_car_is_another_group() -> None:
    listings = ads(("a", 100_000, 62_000), ("b", 100_000, 62_000))
    listings.loc[1, "fiscal_power_cv"] = 8
    assert group_cars(listings, NO_PAIRS).tolist() == [0, 1]


def test_copies_are_one_group_whatever_they_say() -> None:
    listings = ads(("a", 100_000, 62_000), ("b", 200_000, 162_000), ("c", 200_000, 300_000))
    pairs = pd.DataFrame({"new": ["b", "x"], "known": ["a", "c"]})
    assert group_cars(listings, pairs).tolist() == [0, 0, 1]


def test_the_prices_of_one_listing_are_one_group() -> None:
    listings = ads(("a", 100_000, 62_000), ("b", 300_000, 200_000), ("a", 200_000, 62_000))
    assert group_cars(listings, NO_PAIRS).tolist() == [0, 1, 0]


def test_groups_are_those_that_every_pair_of_neighbours_makes(market: pd.DataFrame) -> None:
    """The sparse links give the components that all pairs would give."""
    random = np.random.default_rng(0)
    cars = [
        (str(n), float(random.integers(50, 90)) * 1_000, float(random.integers(0, 40)) * 2_500)
        for n in range(50)
    ]
    listings = ads(*cars)
    step = listings["mileage_km_min"].to_numpy() // 5_000
    price = listings["price_mad"].to_numpy()
    near = (np.abs(step[:, None] - step) <= 1) & (np.abs(np.log(price[:, None] / price)) <= np.log(1.125))
    reached = np.linalg.matrix_power(near.astype(float), 49) > 0
    groups = group_cars(listings, NO_PAIRS)
    assert ((groups[:, None] == groups) == reached).all()


def test_a_long_chain_is_cut_where_the_cars_differ_and_nowhere_else() -> None:
    random = np.random.default_rng(0)
    n = 20 * MOST
    listings = ads(*((str(k), float(random.integers(60, 140)) * 1_000, 62_000.0) for k in range(n)))
    assert len(set(group_cars(listings, NO_PAIRS))) == 1
    listings["condition"] = random.choice(["Bon", "Très bon", "Excellent"], n).astype(object)
    for name in EQUIPMENT:
        listings[name] = random.integers(0, 2, n).astype(float)
    groups = group_cars(listings, NO_PAIRS)
    assert np.bincount(groups).max() <= MOST
    again = listings.head(50).assign(listing_id=[f"again-{k}" for k in range(50)], city="Rabat")
    again["price_mad"] *= 0.92
    both = group_cars(pd.concat([listings, again], ignore_index=True), NO_PAIRS)
    assert (both[n:] == both[:50]).all()


def test_a_test_group_stays_one_when_it_merges() -> None:
    listings = ads(("a", 100_000, 62_000), ("b", 120_000, 62_000), ("c", 110_000, 62_000))
    for sides in ((TEST, TRAINING), (TRAINING, TEST), (TRAINING, TRAINING)):
        before = pd.Series(sides, index=["a", "b"])
        after = assign_sides(listings, group_cars(listings, NO_PAIRS), before, 0.2, 0)
        assert after["side"].iloc[2] == (TEST if TEST in sides else TRAINING)
        kept = [NEITHER if TEST in sides and side == TRAINING else side for side in sides]
        assert after["side"].iloc[:2].tolist() == kept
        assert after["group"].nunique() == 1


def test_what_a_model_once_learned_is_no_test_row_later() -> None:
    listings = ads(("a", 100_000, 62_000), ("b", 120_000, 62_000), ("c", 110_000, 62_000))
    before = pd.Series([TEST, NEITHER, TEST], index=["a", "b", "c"])
    after = assign_sides(listings, group_cars(listings, NO_PAIRS), before, 0.2, 0)
    assert after["side"].tolist() == [TEST, NEITHER, TEST]
    alone = assign_sides(listings.iloc[1:2], group_cars(listings.iloc[1:2], NO_PAIRS), before, 0.2, 0)
    assert alone["side"].tolist() == [TRAINING]


def test_the_share_of_test_rows_is_the_one_asked_for(market: pd.DataFrame) -> None:
    groups = group_cars(market, NO_PAIRS)
    shares = [(assign_sides(market, groups, None, 0.2, seed)["side"] == TEST).mean() for seed in range(30)]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.02)


def test_no_listing_is_no_group() -> None:
    empty = ads(("a", 1.0, 1.0)).iloc[:0]
    assert not len(group_cars(empty, NO_PAIRS))
    assert not len(assign_sides(empty, group_cars(empty, NO_PAIRS), None, 0.2, 0))
