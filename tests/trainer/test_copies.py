"""A copy of a known ad is found, also in another layout; what can't be told stays open."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from carprice.history.copies import Copies, find_copies
from carprice.listings import sample, tables
from carprice.listings.schema import EQUIPMENT


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """600 known listings, without links and with the columns of a narrow file."""
    raw = sample.generate(700, seed=3).drop(columns=["", "Lien"]).drop_duplicates()
    parsed = tables.parse(raw, require_price=True)
    listings = parsed.listings[parsed.good]
    narrow = listings.assign(city=None, district=None, **dict.fromkeys(EQUIPMENT, np.nan))
    return narrow.drop_duplicates("listing_id").head(600).reset_index(drop=True)


def copied(listings: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The same ads in another file: other ids, and other values in the given columns."""
    return listings.assign(listing_id=[f"new-{n}" for n in range(len(listings))], **columns)


def original(listings: pd.DataFrame, copies: Copies) -> pd.Series:
    """The known id that each new listing is linked with."""
    assert copies.links["new"].is_unique
    return copies.links.set_index("new")["known"].reindex([f"new-{n}" for n in range(len(listings))])


def shares(market: pd.DataFrame, new: pd.DataFrame, copies: Copies) -> tuple[float, float]:
    """Precision and recall of the links, where the n-th new listing is the n-th known one."""
    found = original(new, copies).to_numpy()
    right = found == market["listing_id"].to_numpy()[: len(new)]
    return right.sum() / max(pd.notna(found).sum(), 1), right.mean()


@pytest.mark.parametrize("layout", ["middle", "inside", "city"])
def test_the_same_ads_in_another_layout_are_linked(market: pd.DataFrame, layout: str) -> None:
    low, high = market["mileage_km_min"], market["mileage_km_max"].fillna(600_000)
    middle, inside = (low + high) / 2, np.floor(low + 0.3 * (high - low))
    changes = {
        "middle": {"mileage_km_min": middle, "mileage_km_max": middle},
        "inside": {"mileage_km_min": inside, "mileage_km_max": inside},
        "city": {"city": "Rabat", "abs": 1.0},
    }
    new = copied(market, **changes[layout])
    copies = find_copies(market, new)
    precision, recall = shares(market, new, copies)
    assert precision >= 0.99
    assert recall >= 0.95
    assert set(copies.links["rule"]) == {"same_price"}
    assert not len(copies.new)


@pytest.mark.parametrize("cars", [40, 60, 150])
def test_cars_of_a_dealer_that_are_all_alike_are_not_new_in_another_file(
    market: pd.DataFrame, cars: int
) -> None:
    alike = pd.concat([market.iloc[[5]]] * cars).assign(listing_id=[f"alike-{n}" for n in range(cars)])
    known = pd.concat([market.head(300), alike], ignore_index=True)
    new = copied(alike)
    copies = find_copies(known, new)
    assert not len(copies.new)
    assert not len(copies.links)
    assert set(copies.ambiguous["new"]) == set(new["listing_id"])


def test_the_order_of_the_files_does_not_matter(market: pd.DataFrame) -> None:
    rich = copied(market, city="Rabat")
    precision, recall = shares(market, rich, find_copies(market, rich))
    back = find_copies(rich, market)
    assert len(back.links) == round(recall * len(market) / precision)


def test_a_lower_price_is_the_same_ad_where_enough_else_agrees(market: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    city = rng.choice([f"Ville {n}" for n in range(40)], len(market)).astype(object)
    known = market.assign(city=city)
    price = known["price_mad"].where(np.arange(len(known)) % 5 > 0, np.round(known["price_mad"] * 0.93))
    new = copied(known, price_mad=price)
    copies = find_copies(known, new)
    precision, recall = shares(known, new, copies)
    assert precision >= 0.99
    assert recall >= 0.95
    assert (copies.links["rule"] == "changed_price").sum() >= len(market) / 5 * 0.8


def test_ads_of_which_nothing_is_known_are_new(market: pd.DataFrame) -> None:
    half = len(market) // 2
    copies = find_copies(market.head(half), copied(market.tail(half)))
    assert len(copies.links) <= 0.02 * half
    assert len(copies.new) >= 0.9 * half


def test_no_known_listing_means_that_all_are_new(market: pd.DataFrame) -> None:
    copies = find_copies(market.iloc[:0], market)
    assert len(copies.new) == len(market)
    assert not len(copies.links)
    assert not len(find_copies(market, market.iloc[:0]).new)


def test_two_ads_that_look_like_one_known_ad_are_not_merged(market: pd.DataFrame) -> None:
    twins = pd.concat([market, market.head(1)], ignore_index=True)
    new = copied(twins, city=["Rabat"] * len(market) + ["Fès"])
    copies = find_copies(market, new)
    ambiguous = copies.ambiguous[copies.ambiguous["known"] == market["listing_id"].iloc[0]]
    assert set(ambiguous["new"]) == {"new-0", f"new-{len(market)}"}
    assert ambiguous["confidence"].between(0.4, 0.6).all()
    assert not set(ambiguous["new"]) & {*copies.links["new"], *copies.new}


def test_a_new_listing_is_linked_ambiguous_or_new_and_nothing_else(market: pd.DataFrame) -> None:
    new = copied(market, condition=None, first_owner=np.nan, gearbox=None)
    copies = find_copies(market.head(400), new)
    fates = [set(copies.links["new"]), set(copies.ambiguous["new"]), set(copies.new)]
    assert sum(map(len, fates)) == len(set.union(*fates)) == len(new)


def test_a_listing_with_a_known_id_is_that_listing(market: pd.DataFrame) -> None:
    new = market.assign(price_mad=market["price_mad"] * 0.5, city="Rabat")
    copies = find_copies(market, new)
    assert (copies.links["new"] == copies.links["known"]).all()
    assert set(copies.links["rule"]) == {"same_id"}
    assert len(copies.links) == len(market)


def test_two_ids_of_one_site_are_two_ads_and_ids_of_two_sites_may_be_one(market: pd.DataFrame) -> None:
    def on(site: str, first: int) -> pd.DataFrame:
        numbers = [first + n for n in range(len(market))]
        return market.assign(
            listing_id=[f"{site}-{number}" for number in numbers],
            url=[f"https://www.{site}/vi/{number}.htm" for number in numbers],
        )

    known = on("avito.ma", 40_000_000)
    assert not len(find_copies(known, on("avito.ma", 50_000_000)).links)
    assert len(find_copies(known, on("moteur.ma", 50_000_000)).links) >= 0.95 * len(market)


def test_one_listing_with_two_prices_is_linked_by_the_price_that_agrees(market: pd.DataFrame) -> None:
    earlier = market.assign(price_mad=market["price_mad"] + 3_000)
    known = pd.concat([earlier, market], ignore_index=True)
    new = copied(market, city="Rabat")
    copies = find_copies(known, new)
    precision, recall = shares(market, new, copies)
    assert precision >= 0.99
    assert recall >= 0.95


def test_three_cars_in_another_layout_are_enough_to_be_found() -> None:
    header = [
        "Marque",
        "Modèle",
        "Année-Modèle",
        "Kilométrage",
        "Type de carburant",
        "Boite de vitesses",
        "Prix",
    ]
    cars = [
        ("Dacia", "Logan", "2015", "90 000 - 94 999", "Diesel", "Manuelle", "85000"),
        ("Fiat", "Punto", "2007", "200 000 - 249 999", "Diesel", "Manuelle", "60000"),
        ("Renault", "Clio", "2014", "75 000 - 79 999", "Essence", "Manuelle", "93000"),
    ]
    raw = pd.DataFrame(cars, columns=header).astype("str")
    known = tables.parse(raw, require_price=True).listings
    new = tables.parse(raw.assign(Ville="Rabat"), require_price=True).listings
    assert find_copies(known, new).links["known"].tolist() == known["listing_id"].tolist()


def test_spelling_and_case_make_no_other_car(market: pd.DataFrame) -> None:
    new = copied(market, make=market["make"].str.upper(), model=market["model"].str.lower())
    precision, recall = shares(market, new, find_copies(market, new))
    assert precision >= 0.99
    assert recall >= 0.95


def test_the_answer_does_not_depend_on_the_order_of_the_rows(market: pd.DataFrame) -> None:
    new = copied(market, city="Rabat")
    one = find_copies(market, new)
    other = find_copies(market.sample(frac=1, random_state=1), new.sample(frac=1, random_state=2))
    pairs = [set(zip(c.links["new"], c.links["known"], strict=True)) for c in (one, other)]
    assert len(pairs[0] ^ pairs[1]) <= 0.01 * len(pairs[0])
