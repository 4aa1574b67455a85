"""The newest market replaces the one before as a whole, and a broken one replaces none."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from benchmarks.market_files import NOW, synthetic_offers, write_market
from conftest import running_api, wait_until

from carprice.errors import StoreAway, UsageProblem
from carprice.store import DataRoot
from price_api.market import following
from price_api.market.files import MarketRefused, load_market, newest_of
from price_api.market.following import MarketFollower
from price_api.problems import Refusal

OFFERS = synthetic_offers(60)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture
def follower(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> MarketFollower:
    """A follower that tries a refused market again at once."""
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    return MarketFollower(root, 60)


def file_of(root: DataRoot, name: str, market_id: str = "m2") -> Path:
    return Path(root.path(f"market/{market_id}/{name}"))


def without(column: str) -> Any:
    return lambda root: root.write_parquet("market/m2/offers.parquet", OFFERS.drop(columns=column))


def with_values(**values: Any) -> Any:
    return lambda root: root.write_parquet("market/m2/offers.parquet", OFFERS.assign(**values))


BREAKS: dict[str, Any] = {
    "no offers": lambda root: file_of(root, "offers.parquet").unlink(),
    "no level": lambda root: file_of(root, "level.parquet").unlink(),
    "no manifest": lambda root: file_of(root, "manifest.json").unlink(),
    "half of the offers": lambda root: file_of(root, "offers.parquet").write_bytes(
        file_of(root, "offers.parquet").read_bytes()[:2_000]
    ),
    "no parquet": lambda root: file_of(root, "offers.parquet").write_text("offers"),
    "an empty file": lambda root: file_of(root, "level.parquet").write_text(""),
    "no JSON": lambda root: file_of(root, "manifest.json").write_text("{"),
    "another manifest": lambda root: shutil.copy(
        file_of(root, "manifest.json", "m1"), file_of(root, "manifest.json")
    ),
    "a manifest without a version": lambda root: file_of(root, "manifest.json").write_text(
        json.dumps({"id": "m2", "offers": 60, "made_at": "now"})
    ),
    "a newer format": lambda root: file_of(root, "manifest.json").write_text(
        file_of(root, "manifest.json").read_text().replace('"format_version": 1', '"format_version": 2')
    ),
    "other rows than the manifest says": lambda root: root.write_parquet(
        "market/m2/offers.parquet", OFFERS[:50]
    ),
    "no labels": without("label"),
    "no estimates": without("estimates"),
    "labels of another kind": with_values(label="bargain"),
    "prices that are words": with_values(price_mad="cheap"),
    "unknown prices": with_values(price_mad=float("nan")),
    "prices over time that are no JSON": with_values(prices="[["),
    "prices over time of another shape": with_values(prices='[["2026-11-27"]]'),
    "an id twice": with_values(listing_id="avito.ma-1"),
    "moments that are words": with_values(first_seen_at="yesterday"),
    "endless prices": with_values(price_mad=float("inf")),
    "moments of another age": with_values(last_seen_at=pd.Timestamp("1890-01-01", tz="UTC")),
    "moments without a zone": with_values(first_seen_at=pd.Timestamp("2026-11-27")),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_market_replaces_none_and_is_read_once_it_is_whole(
    root: DataRoot, follower: MarketFollower, name: str
) -> None:
    write_market(root, "m1", OFFERS)
    follower.poll()
    write_market(root, "m2", OFFERS)
    BREAKS[name](root)
    with pytest.raises((MarketRefused, UsageProblem), match=r"rate the listings again|newer release"):
        load_market(root, "m2")
    follower.poll()
    assert follower.current().id == "m1"
    assert follower.refused
    assert "\n" not in follower.refused
    write_market(root, "m2", OFFERS)
    follower.poll()
    assert (follower.current().id, follower.refused) == ("m2", None)


@pytest.mark.parametrize(
    "latest",
    ["", "{", "[]", "null", "{}", '{"id": 7}', '{"id": ""}', '{"id": "../../etc"}', '{"id": "m1/.."}',
     '{"id": "m1\\u0000"}', '{"id": "' + "x" * 500 + '"}'],
)  # fmt: skip
def test_a_name_of_the_newest_market_that_is_none_leads_nowhere(
    root: DataRoot, follower: MarketFollower, latest: str
) -> None:
    write_market(root, "m1", OFFERS)
    follower.poll()
    Path(root.path("market/latest.json")).write_text(latest)
    with pytest.raises((MarketRefused, ValueError)):
        newest_of(root)
    follower.poll()
    assert follower.current().id == "m1"
    assert follower.refused


def test_a_market_that_is_gone_continues_to_serve(root: DataRoot, follower: MarketFollower) -> None:
    follower.poll()
    with pytest.raises(Refusal) as refused:
        follower.current()
    assert (refused.value.code, refused.value.status) == ("market-missing", 503)
    write_market(root, "m1", OFFERS)
    follower.poll()
    shutil.rmtree(root.path("market"))
    follower.poll()
    market = follower.current()
    assert (market.id, follower.refused) == ("m1", None)
    assert market.offers.estimates(0)  # nothing is left of the files, and all is in memory


def test_earlier_estimates_that_can_t_be_read_leave_the_listing_as_it_is(
    root: DataRoot, follower: MarketFollower
) -> None:
    broken = OFFERS.assign(estimates=["[[1", *OFFERS["estimates"][1:]])
    write_market(root, "m1", broken)
    follower.poll()
    offers = follower.current().offers
    assert offers.estimates(0) == []
    assert offers.estimates(1)


def test_a_store_that_is_away_changes_nothing(
    root: DataRoot, follower: MarketFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_market(root, "m1", OFFERS)
    follower.poll()

    def away(name: str) -> bytes:
        raise StoreAway("the store does not answer")

    monkeypatch.setattr(root, "read_json", away)
    follower.poll()
    assert follower.current().id == "m1"
    assert follower.refused == "the store does not answer"


def test_listings_that_are_rated_again_replace_those_of_the_same_id(
    root: DataRoot, follower: MarketFollower
) -> None:
    write_market(root, "m1", OFFERS)
    follower.poll()
    before = follower.current().key
    write_market(root, "m1", OFFERS[:50], made_at=NOW + timedelta(hours=1))
    follower.poll()
    assert (follower.current().offers.count, follower.current().id) == (50, "m1")
    assert follower.current().key != before


def test_an_empty_market_is_one(root: DataRoot, follower: MarketFollower) -> None:
    write_market(root, "m1", OFFERS[:0])
    follower.poll()
    assert follower.refused is None
    assert follower.current().offers.count == 0


def test_a_market_that_is_replaced_while_it_serves_is_told_to_who_pages_through_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_market(DataRoot(str(data)), "m1", OFFERS)
    with running_api(tmp_path, data, "http://127.0.0.1:9", wait=False) as api:
        wait_until(lambda: api.get("/v1/listings").status_code == 200, "the market is loaded")
        first = api.get("/v1/listings?limit=5").json()
        tag = api.get("/v1/market").headers["ETag"]
        write_market(DataRoot(str(data)), "m2", OFFERS[:40], model_version="2")
        wait_until(lambda: api.get("/v1/listings").json()["model_version"] == "2", "the new market is loaded")
        answer = api.get("/v1/listings", params={"limit": 5, "cursor": first["next"]})
        assert (answer.status_code, answer.json()["code"]) == (409, "cursor-outdated")
        assert "leave it out" in answer.json()["detail"]
        assert api.get("/v1/market", headers={"If-None-Match": tag}).status_code == 200
        assert api.get("/v1/listings?limit=5").json()["total"] < first["total"]
        (data / "market/latest.json").write_text('{"id": "m3"}')
        wait_until(lambda: "carprice_market_refused 1.0" in api.get("/metrics").text, "m3 is refused")
        assert api.get("/v1/listings").json()["model_version"] == "2"
