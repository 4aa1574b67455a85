"""The cars on offer: filtered, paged, exported, and what they cost."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from benchmarks.market_files import synthetic_offers, write_market
from conftest import Api, running_api

from carprice.store import DataRoot
from price_api.market.figures import Scope, figures_of
from price_api.market.files import load_market

AWAY = "http://127.0.0.1:9"
COUNT = 1_500
ODD = "=cmd|'/c calc'!A0"


def odd_offers() -> pd.DataFrame:
    """A synthetic market with ids, a city and an address as only strangers write them."""
    offers = synthetic_offers(COUNT)
    offers.loc[offers.index[3], "listing_id"] = "../../etc/passwd"
    offers.loc[offers.index[4], "listing_id"] = "n° 5/2 (été)"
    offers.loc[offers.index[5], ["city", "url", "model_year", "mileage_km_min", "mileage_km_max"]] = [
        ODD, None, None, None, None,
    ]  # fmt: skip
    return offers.sort_values("listing_id", ignore_index=True)


@pytest.fixture(scope="module")
def offers() -> pd.DataFrame:
    return odd_offers()


@pytest.fixture(scope="module")
def market(offers: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API on a market of its own, without a model: listings need none."""
    folder = tmp_path_factory.mktemp("listings")
    write_market(DataRoot(str(folder / "data")), "m1", offers)
    with running_api(folder, folder / "data", AWAY, wait=False) as api:
        ready(api)
        yield api


def ready(api: Api) -> None:
    from conftest import wait_until

    wait_until(lambda: api.get("/v1/listings").status_code == 200, "the market is loaded")


def ask(api: Api, path: str = "/v1/listings", **query: Any) -> dict[str, Any]:
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(api: Api, **query: Any) -> list[dict[str, Any]]:
    """The listings of all pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = ask(api, **query)
        found += page["listings"]
        if page["next"] is None:
            assert len(found) == page["total"]
            return found
        query["cursor"] = page["next"]


def on_offer(offers: pd.DataFrame) -> pd.DataFrame:
    return offers[offers["status"] == "on_offer"]


def test_without_filters_all_that_is_on_offer_comes_the_furthest_below_its_estimate_first(
    market: Api, offers: pd.DataFrame
) -> None:
    found = pages(market, limit=100)
    assert {each["listing_id"] for each in found} == set(on_offer(offers)["listing_id"])
    below = {row.listing_id: row.below_share for row in offers.itertuples()}
    rated = [each for each in found if each["label"] != "not_rated"]
    assert found[: len(rated)] == rated
    shares = [below[each["listing_id"]] for each in rated]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"make": "dacia"}, lambda o: o["make"] == "Dacia"),
        ({"make": "RENAULT", "model": "megane"}, lambda o: o["model"] == "Mégane"),
        ({"Marque": "VW", "Modèle": "golf vii"}, lambda o: o["model"] == "GOLF 7"),
        ({"Ville": "FES"}, lambda o: o["city"] == "Fès"),
        ({"fuel": "diesel"}, lambda o: o["fuel"] == "Diesel"),
        ({"year_from": 2010, "year_to": 2012}, lambda o: o["model_year"].between(2010, 2012)),
        ({"price_from": 50_000, "price_to": "90 000"}, lambda o: o["price_mad"].between(50_000, 90_000)),
        ({"mileage_to": "150 000 km"}, lambda o: o["mileage_km_max"] <= 150_000),
        ({"label": ["good_price", "fair_price"]}, lambda o: o["label"].isin(["good_price", "fair_price"])),
        ({"suspicious": "true"}, lambda o: o["suspicions"] != ""),
        ({"suspicious": "false", "make": ""}, lambda o: o["suspicions"] == ""),
    ],
)
def test_a_filter_lets_through_what_fits_it_and_nothing_else(
    market: Api, offers: pd.DataFrame, query: dict[str, Any], fits: Any
) -> None:
    there = on_offer(offers)
    expected = there[fits(there)]
    assert 0 < len(expected) < len(there)
    found = pages(market, limit=100, **query)
    assert {each["listing_id"] for each in found} == set(expected["listing_id"])
    counts = ask(market, **query)["labels"]
    known = expected["label"].value_counts().to_dict()
    assert {label: n for label, n in counts.items() if n} == known


def test_listings_that_are_gone_come_only_where_they_are_asked_for(market: Api, offers: pd.DataFrame) -> None:
    gone = ask(market, status="gone")
    assert gone["total"] == (offers["status"] == "gone").sum()
    assert all(each["gone_since"] and each["status"] == "gone" for each in gone["listings"])
    assert ask(market, status="all")["total"] == len(offers)


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("price", lambda o: o["price_mad"]),
        ("mileage", lambda o: float("inf") if o["mileage_km_min"] is None else o["mileage_km_min"]),
        ("newest", lambda o: -pd.Timestamp(o["first_seen_at"]).timestamp()),
    ],
)
def test_listings_come_in_the_order_that_is_asked_for(market: Api, sort: str, key: Any) -> None:
    found = pages(market, sort=sort, limit=100)
    assert [key(each) for each in found] == sorted(key(each) for each in found)


def test_a_make_that_nobody_offers_has_an_empty_list(market: Api) -> None:
    for query in ({"make": "Trabant"}, {"model": "x" * 200}, {"city": "Atlantis"}, {"make": "🚗"}):
        found = ask(market, **query)
        assert (found["total"], found["listings"], found["next"]) == (0, [], None)
        assert sum(found["labels"].values()) == 0


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("label=bargain", "label", "one of very_good_price or good_price"),
        ("year_from=2015&year_to=2010", "year_from", "not above year_to"),
        ("price_from=90000&price_to=1", "price_from", "not above price_to"),
        ("limit=0", "limit", "from 1 to 100"),
        ("limit=101", "limit", "from 1 to 100"),
        ("limit=ten", "limit", "from 1 to 100"),
        ("year_from=1800", "year_from", "from 1950"),
        ("price_to=cheap", "price_to", "from 0"),
        ("price_to=nan", "price_to", "from 0"),
        ("sort=random", "sort", "one of below_estimate"),
        ("status=sold", "status", "one of on_offer"),
        ("suspicious=maybe", "suspicious", "true or false"),
        ("make=" + "x" * 201, "make", "at most 200 characters"),
        ("cursor=" + "x" * 401, "cursor", "at most 400 characters"),
        ("make=Dacia&make=Renault", "make", "once"),
        ("make=Dacia&Marque=Renault", "Marque", "once"),
        ("colour=red", "colour", "one of the parameters"),
    ],
)
def test_a_filter_that_can_not_be_used_is_refused_in_one_sentence(
    market: Api, query: str, field: str, said: str
) -> None:
    answer = market.get(f"/v1/listings?{query}")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid-values")
    assert [each["field"] for each in problem["errors"]] == [field]
    assert said in problem["detail"]
    assert "\n" not in problem["detail"]


def test_an_endless_query_is_refused_before_it_is_read(market: Api) -> None:
    assert market.get("/v1/listings?make=" + "x" * 20_000).json()["code"] == "query-too-long"


def test_a_cursor_of_something_else_says_what_to_do(market: Api) -> None:
    cursor = ask(market, make="Dacia")["next"]
    assert ask(market, make="dacia", limit=3, cursor=cursor)["total"]  # the same question in other letters
    for query in ({"make": "Renault"}, {}, {"make": "Dacia", "sort": "price"}):
        answer = market.get("/v1/listings", params=query | {"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor-of-other-filters")
        assert "leave the cursor out" in answer.json()["detail"]
    for cursor in ("x", "é", "Li4vLi4v", "bTEgeCAtMQ", "%00"):
        answer = market.get("/v1/listings", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-cursor")


def test_the_next_page_is_a_link_too(market: Api) -> None:
    answer = market.get("/v1/listings?make=Dacia&limit=2")
    link = answer.links["next"]["url"]
    assert market.get(link).json()["listings"][0] not in answer.json()["listings"]


def test_what_is_known_already_is_not_sent_again(market: Api) -> None:
    for path in (
        "/v1/listings?make=Dacia",
        "/v1/market",
        "/v1/listings/n%C2%B0%205%2F2%20%28%C3%A9t%C3%A9%29",
    ):
        first = market.get(path)
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert "Accept-Encoding" in first.headers["Vary"]
        again = market.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_one_listing_has_its_history_and_comes_without_a_model_too(market: Api, offers: pd.DataFrame) -> None:
    for place in (0, 700, len(offers) - 1):
        row = offers.iloc[place]
        found = ask(market, f"/v1/listings/{quote(row['listing_id'], safe='')}")
        assert found["price_mad"] == row["price_mad"]
        assert [each["model_version"] for each in found["estimates"]] == ["1", "2", "3"]
        assert found["estimates"][-1]["estimate_mad"] == row["estimate_mad"]
        assert found["prices"][-1]["price_mad"] == row["price_mad"]
        assert found["standard"] == "average_condition_registered_in_morocco"
        assert (found["explanation"], found["nearest"]) == (None, None)


def test_an_id_is_looked_up_among_listings_and_nowhere_else(market: Api, offers: pd.DataFrame) -> None:
    for listing_id in ("..%2F..%2Fetc%2Fpasswd", "n%C2%B0%205%2F2%20%28%C3%A9t%C3%A9%29"):
        assert market.get(f"/v1/listings/{listing_id}").status_code == 200  # they are ids of this market
    for listing_id in (
        "..%2F..%2F..%2Fetc%2Fpasswd", "%00", "%ff", "m1", "manifest.json", "x" * 5_000, "%F0%9F%9A%97",
        "a/b/c", "%E2%80%8F", "'; DROP TABLE listings; --",
    ):  # fmt: skip
        answer = market.get(f"/v1/listings/{listing_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "listing-unknown")
        assert len(answer.text) < 1_000


def test_the_export_has_every_listing_that_fits_and_no_formula(market: Api, offers: pd.DataFrame) -> None:
    answer = market.get("/v1/listings.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["listing_id"] for row in rows} == set(on_offer(offers)["listing_id"])
    cells = {cell for row in rows for cell in row.values()}
    assert "'" + ODD in cells
    assert not any(cell.startswith(("=", "@", "+")) for cell in cells)
    few = list(csv.DictReader(io.StringIO(market.get("/v1/listings.csv?make=dacia&label=good_price").text)))
    assert few
    assert {(row["make"], row["label"]) for row in few} == {("Dacia", "good_price")}
    assert market.get("/v1/listings.csv?limit=3").status_code == 422


def test_listings_that_were_seen_once_tell_no_days_and_no_cut(tmp_path: Path) -> None:
    offers = synthetic_offers(60).assign(days_listed=float("nan"))
    write_market(DataRoot(str(tmp_path)), "m1", offers)
    found = figures_of(load_market(DataRoot(str(tmp_path)), "m1"), Scope())
    assert found["enough"]
    assert (found["days_listed"], found["cut_share"]) == (None, None)


def test_the_market_has_the_figures_of_what_is_on_offer(market: Api, offers: pd.DataFrame) -> None:
    there = on_offer(offers)
    sound = there[there["suspicions"] == ""]
    found = ask(market, "/v1/market")
    assert (found["offers"], found["enough"]) == (len(there), True)
    prices = sound["price_mad"]
    assert found["asking"] == {
        "median": round(prices.median()),
        "q1": round(prices.quantile(0.25)),
        "q3": round(prices.quantile(0.75)),
        "lowest": prices.min(),
        "highest": prices.max(),
    }
    assert found["cut_share"] == pytest.approx((prices < sound["first_price_mad"]).mean(), abs=1e-4)
    assert found["days_listed"]["median"] == pytest.approx(there["days_listed"].median(), abs=0.1)
    by_year = {each["model_year"]: each for each in found["by_year"]}
    assert sum(each["offers"] for each in by_year.values()) == there["model_year"].notna().sum()
    of_2010 = sound[sound["model_year"] == 2010]["price_mad"]
    assert by_year[2010]["median"] == round(of_2010.median())
    counts = [each["offers"] for each in found["models"]]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(there)
    assert sum(each["offers"] for each in found["by_mileage"]) == there["mileage_km_min"].notna().sum()
    assert found["by_mileage"][-1]["km_to"] is None
    assert (found["level_scope"], found["level"][-1]["level"]) == ("", 1.0)


def test_the_market_of_one_model_is_that_of_its_listings(market: Api, offers: pd.DataFrame) -> None:
    there = on_offer(offers)
    logans = there[there["model"] == "Logan"]
    found = ask(market, "/v1/market", make="DACIA", model="logan")
    assert found["scope"] == {"make": "Dacia", "model": "Logan", "model_year": None}
    assert (found["offers"], found["level_scope"]) == (len(logans), "Dacia")
    assert [each["model"] for each in found["models"]] == ["Logan"]
    of_a_year = ask(market, "/v1/market", make="Dacia", model="Logan", model_year=2010)
    assert of_a_year["offers"] == (logans["model_year"] == 2010).sum()


def test_too_little_is_said_and_not_guessed(market: Api) -> None:
    found = ask(market, "/v1/market", make="Trabant")
    assert (found["offers"], found["enough"], found["level_scope"]) == (0, False, "")
    assert (found["asking"], found["days_listed"], found["cut_share"], found["models"]) == (
        None,
        None,
        None,
        [],
    )
    for query in ("model_year=1800", "model_year=x", "colour=red"):
        assert market.get(f"/v1/market?{query}").status_code == 422


def test_no_market_yet_is_said_and_when_to_ask_again(tmp_path: Path) -> None:
    with running_api(tmp_path, tmp_path / "data", AWAY, wait=False) as api:
        for path in ("/v1/listings", "/v1/listings/x", "/v1/listings.csv", "/v1/market"):
            answer = api.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "market-missing")
            assert int(answer.headers["Retry-After"]) > 0
