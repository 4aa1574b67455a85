"""Saved searches: made with a secret, told once, read as JSON and as a feed, removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from benchmarks.market_files import synthetic_offers, write_market
from conftest import Api, running_api, wait_until

from carprice.store import DataRoot
from carprice_contract.data_root import told, watch
from price_api.api_keys import ApiKeys
from price_api.watches import files
from price_contract.offer_answers import ToldOffer
from price_contract.watch_feed import feed_of

AWAY = "http://127.0.0.1:9"
ATOM = "{http://www.w3.org/2005/Atom}"
EVIL = "<script>alert(1)</script>&\"' ]]> \x00\x1f\ud800"
LOGANS = {
    "make": "dacia",
    "Modèle": "LOGAN",
    "year_from": 2012,
    "price_to": "90 000 DH",
    "labels": ["good_price"],
}


@pytest.fixture(scope="module")
def offers() -> pd.DataFrame:
    return synthetic_offers(300)


@pytest.fixture(scope="module")
def data(offers: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watches")
    write_market(DataRoot(str(folder / "data")), "m1", offers)
    return folder / "data"


@pytest.fixture(scope="module")
def served_market(data: Path) -> Iterator[Api]:
    with running_api(data.parent / "api", data, AWAY, wait=False) as api:
        wait_until(lambda: api.get("/v1/listings").status_code == 200, "the market is loaded")
        yield api


def saved(api: Api, document: Any = LOGANS, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/watches", document, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def tell(data: Path, made: dict[str, Any], offers: pd.DataFrame, count: int = 2, **more: Any) -> list[str]:
    """Write what the pipeline would have told; the ids, newest first."""
    ids = offers["listing_id"].head(count).tolist()
    root, now = DataRoot(str(data)), datetime(2026, 11, 27, 6, tzinfo=UTC)
    said = {
        listing_id: {
            "at": (now - timedelta(hours=place)).isoformat(),
            "price_mad": 80_000,
            "estimate_mad": 95_000,
            "label": "good_price",
        }
        for place, listing_id in enumerate(ids)
    }
    root.write_json(told(made["watch"]), said | more)
    return ids


def test_a_search_is_saved_and_its_secret_is_kept_by_nobody(served_market: Api, data: Path) -> None:
    made = saved(served_market, headers={"Accept-Language": "fr"})
    assert made["filters"] == {
        "make": "Dacia", "model": "Logan", "year_from": 2012, "price_to": 90_000, "labels": ["good_price"],
    }  # fmt: skip
    assert made["feed"] == f"/v1/watches/{made['secret']}/feed"
    record = DataRoot(str(data)).read_json(watch(made["watch"]))
    assert record["secret_sha256"] == hashlib.sha256(made["secret"].encode()).hexdigest()
    assert (record["language"], record["key_name"], record["format_version"]) == ("fr", None, 1)
    for path in (f"/v1/watches/{made['secret']}", made["feed"], f"/v1/watches/{made['secret']}/more"):
        served_market.get(path)
    served_market.session.delete(f"{served_market.address}/v1/watches/{made['secret']}x", timeout=60)
    written = "".join(path.read_text(errors="replace") for path in data.rglob("*.json"))
    metrics = served_market.get("/metrics").text
    token = made["secret"].split("-", 1)[1]
    for text in (written, served_market.log.read_text(), metrics):
        assert token not in text


def test_a_watch_shows_what_it_told_newest_first_with_each_listing_as_it_is_now(
    served_market: Api, data: Path, offers: pd.DataFrame
) -> None:
    made = saved(served_market)
    path = f"/v1/watches/{made['secret']}"
    assert served_market.get(path).json()["offers"] == []
    ids = tell(
        data, made, offers, no_longer={"at": "2026-11-01T00:00:00+00:00", "price_mad": 1, "label": "x"}
    )
    answer = served_market.get(path)
    found = answer.json()
    assert [each["listing_id"] for each in found["offers"]] == [*ids, "no_longer"]
    assert [each["offer"] and each["offer"]["listing_id"] for each in found["offers"]] == [*ids, None]
    assert (found["offers"][0]["price_mad"], found["offers"][0]["label"]) == (80_000, "good_price")
    assert (found["watch"], found["filters"]) == (made["watch"], made["filters"])
    assert "secret" not in found
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    again = served_market.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_the_feed_is_atom_in_the_language_of_the_watch(
    served_market: Api, data: Path, offers: pd.DataFrame
) -> None:
    for language, label in (("fr", "Bon prix"), ("en", "Good price")):
        made = saved(served_market, headers={"Accept-Language": language})
        ids = tell(data, made, offers, 3)
        answer = served_market.get(made["feed"])
        assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
        feed = ElementTree.fromstring(answer.content)  # noqa: S314 - our own
        entries = feed.findall(f"{ATOM}entry")
        assert len(entries) == 3
        row = offers.set_index("listing_id").loc[ids[0]]
        title = entries[0].findtext(f"{ATOM}title") or ""
        assert row["make"] in title
        assert label.casefold() in title.casefold()
        link = entries[0].find(f"{ATOM}link")
        assert link is not None
        assert link.attrib == {"rel": "alternate", "href": row["url"]}
        assert feed.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated")
        ids_of_entries = {entry.findtext(f"{ATOM}id") for entry in entries}
        assert len(ids_of_entries) == 3


def test_words_of_strangers_stay_words_in_the_feed() -> None:
    offer: Any = {
        "make": EVIL, "model": EVIL, "model_year": None, "url": "javascript:alert(1)", "city": EVIL,
        "mileage_km_min": None, "mileage_km_max": None, "status": "gone",
    }  # fmt: skip
    several = [
        ToldOffer(
            listing_id=EVIL, at="2026-11-27T06:00:00+00:00", price_mad=1, estimate_mad=None,
            label="good_price", offer=offer | {"url": url},
        )
        for url in ("javascript:alert(1)", "http://x/\"><script>", "https://[bad", f"https://x/{EVIL}", None)
    ]  # fmt: skip
    content = feed_of("a" * 16, {"make": EVIL}, "2026-11-27", several, f"http://x/{EVIL}", "fr")
    feed = ElementTree.fromstring(content)  # noqa: S314 - our own
    assert b"<script" not in content
    assert [link.attrib["rel"] for link in feed.iter(f"{ATOM}link")] == ["self"]
    assert "<script>alert(1)</script>" in (feed.findtext(f"{ATOM}entry/{ATOM}title") or "")


def test_a_watch_that_was_removed_is_gone_for_everyone(
    served_market: Api, data: Path, offers: pd.DataFrame
) -> None:
    made = saved(served_market)
    tell(data, made, offers)
    address = f"{served_market.address}/v1/watches/{made['secret']}"
    assert served_market.session.delete(address, timeout=60).status_code == 204
    assert not (data / watch(made["watch"])).exists()
    assert not (data / told(made["watch"])).exists()
    for answer in (
        served_market.get(f"/v1/watches/{made['secret']}"),
        served_market.get(made["feed"]),
        served_market.session.delete(address, timeout=60),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "watch-unknown")


def test_watches_outlive_a_restart_and_are_those_of_every_process(data: Path, tmp_path: Path) -> None:
    with (
        running_api(tmp_path / "one", data, AWAY, wait=False) as one,
        running_api(tmp_path / "other", data, AWAY, wait=False) as other,
    ):
        made = saved(one)
        assert other.get(f"/v1/watches/{made['secret']}").json()["watch"] == made["watch"]
        other.session.delete(f"{other.address}/v1/watches/{made['secret']}", timeout=60)
        assert one.get(f"/v1/watches/{made['secret']}").status_code == 404
        kept = saved(one)
    with running_api(tmp_path / "one", data, AWAY, wait=False) as again:
        assert again.get(f"/v1/watches/{kept['secret']}").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: secret[:16],
        lambda secret: secret + "x",
        lambda secret: secret.upper(),
        lambda secret: "../" + secret,
        lambda secret: "..%2Fwatches%2F" + secret,
        lambda secret: secret.replace("-", "%00", 1),
        lambda secret: "told",
        lambda secret: "%2E%2E",
        lambda secret: "é" * 60,
    ],
)
def test_another_secret_opens_nothing_and_is_not_said_again(served_market: Api, change: Any) -> None:
    other = change(saved(served_market)["secret"])
    for path in (f"/v1/watches/{other}", f"/v1/watches/{other}/feed"):
        answer = served_market.get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] in ("watch-unknown", "path-unknown")
        assert answer.json()["code"] == "path-unknown" or answer.json()["params"] == {}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"labels": ["bargain"]}, "labels"),
        ({"labels": "good_price"}, "labels"),
        ({"year_from": 2020, "year_to": 2010}, "year_from"),
        ({"year_from": 2010.5}, "year_from"),
        ({"price_to": True}, "price_to"),
        ({"make": ["Dacia"]}, "make"),
        ({"make": "x" * 201}, "make"),
        ({"colour": "red"}, "colour"),
        ({"make": "Dacia", "Marque": "Renault"}, "Marque"),
        ({"sort": "price"}, "sort"),
    ],
)
def test_a_search_that_can_not_be_used_is_not_saved(
    served_market: Api, data: Path, document: dict[str, Any], field: str
) -> None:
    before = len(list((data / "watches").glob("*.json")))
    answer = served_market.post("/v1/watches", document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-values")
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert served_market.post("/v1/watches", [document]).json()["code"] == "not-an-object"
    assert len(list((data / "watches").glob("*.json"))) == before


def test_files_that_are_no_watches_open_nothing_and_break_nothing(served_market: Api, data: Path) -> None:
    made = saved(served_market)
    record = json.loads((data / watch(made["watch"])).read_text())
    for broken in ("", "{", "[]", "{}", "null", json.dumps(record | {"format_version": 9})):
        (data / watch(made["watch"])).write_text(broken)
        assert served_market.get(f"/v1/watches/{made['secret']}").json()["code"] == "watch-unknown"
    (data / watch(made["watch"])).write_text(json.dumps(record))
    for broken in ("{", "[1]", '{"x": 1}', '{"x": {"at": "never", "price_mad": "much", "label": 1}}'):
        (data / told(made["watch"])).parent.mkdir(exist_ok=True)
        (data / told(made["watch"])).write_text(broken)
        assert served_market.get(f"/v1/watches/{made['secret']}").json()["offers"] == []
        assert served_market.get(made["feed"]).status_code == 200


def test_with_keys_each_caller_sees_its_own_watches_and_the_feed_needs_no_key(
    data: Path, tmp_path: Path
) -> None:
    with running_api(tmp_path, data, AWAY, wait=False, CARPRICE_API_KEYS="required") as api:
        keys = ApiKeys(f"sqlite:///{api.state}/predictions.db")
        shop, other = ({"X-API-Key": keys.create(name)} for name in ("shop", "other"))
        first, second = saved(api, headers=shop), saved(api, {}, headers=shop)
        mine = api.get("/v1/watches", headers=shop).json()["watches"]
        assert {each["watch"] for each in mine} == {first["watch"], second["watch"]}
        assert all(set(each) == {"watch", "filters", "created_at"} for each in mine)
        assert api.get("/v1/watches", headers=other).json() == {"watches": []}
        for path in ("/v1/watches", f"/v1/watches/{first['secret']}"):
            assert api.get(path).status_code == 401
        assert api.post("/v1/watches", {}).status_code == 401
        assert api.get(first["feed"]).status_code == 200
        assert api.session.delete(f"{api.address}{first['feed']}", timeout=60).status_code == 401
        assert api.get(f"/v1/watches/{first['watch']}-{'x' * 43}/feed").status_code == 404


def test_new_watches_are_limited_at_once_and_in_all(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"CARPRICE_API_REQUESTS_PER_SECOND": "200", "CARPRICE_API_BURST": "400"}
    with running_api(tmp_path, tmp_path / "data", AWAY, wait=False, **limits) as api:
        answers = [api.post("/v1/watches", {}) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [201] * 20 + [429]
        assert answers[-1].json()["code"] == "too-many-new-watches"
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 30
        assert api.get("/v1/watches").status_code == 200
    monkeypatch.setattr(files, "MOST_WATCHES", 20)
    with pytest.raises(files.TooManyWatches):
        files.WatchFiles(DataRoot(str(tmp_path / "data"))).create({}, None, "fr")


def test_without_a_key_there_is_no_list_of_watches(served_market: Api) -> None:
    saved(served_market)
    assert served_market.get("/v1/watches").json() == {"watches": []}
