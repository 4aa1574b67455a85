"""A site that changed is a finding: the run is held, and nothing is landed."""

from __future__ import annotations

import json
from typing import Any

from demo.replica.market import Market
from demo.replica.server import AVITO, Answer, Replica
from running import Operator

from carprice_collector.ads import FIELDS
from carprice_collector.findings import findings
from carprice_collector.summary import Filling


def run(
    ads: int = 100, said_total: int | None = 1000, complete: bool = True, **filled: float
) -> dict[str, Any]:
    """A manifest."""
    return {
        "scope": {"first_page": "https://a.example/cars", "sitemap": ""},
        "pages_read": 4,
        "pages_lost": {},
        "search_pages": 4,
        "ads_on_search_pages": ads,
        "said_total": said_total,
        "ads": ads,
        "complete": complete,
        "filled": dict.fromkeys(FIELDS, 1.0) | filled,
    }


def filling(ads: int = 100, **shares: float) -> Filling:
    filled = {field: round(ads * shares.get(field, 1.0)) for field in FIELDS}
    examples = ("https://a.example/1", "https://a.example/2")
    return Filling(ads, filled, {field: examples if filled[field] < ads else () for field in FIELDS})


LEAST = {"price_mad": 0.4, "fuel": 0.6, "trim": 0.0}


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [finding["code"] for finding in found]


def test_a_run_like_the_ones_before_has_no_finding() -> None:
    assert findings(run(), filling(), LEAST, [], [run()] * 5) == []
    assert findings(run(), filling(price_mad=0.8), LEAST, [], [run(price_mad=0.9)] * 5) == []
    assert findings(run(), filling(), LEAST, [], []) == []


def test_a_field_below_what_its_source_expects_is_named_with_two_examples() -> None:
    (found,) = findings(run(), filling(fuel=0.5), LEAST, [], [])
    assert (found["code"], found["field"]) == ("field_missing", "fuel")
    assert "60%" in found["sentence"]
    assert "50%" in found["sentence"]
    assert found["examples"] == ["https://a.example/1", "https://a.example/2"]


def test_a_field_that_falls_from_what_it_was_is_found_above_the_least_share_too() -> None:
    half = filling(price_mad=0.5)
    assert findings(run(), half, LEAST, [], []) == []
    assert findings(run(), half, LEAST, [], [run(price_mad=0.55)] * 3) == []
    (found,) = findings(run(), half, LEAST, [], [run(price_mad=0.9)] * 3)
    assert found["field"] == "price_mad"
    (found,) = findings(run(), filling(trim=0.0), LEAST, [], [run(trim=0.9)])
    assert found["field"] == "trim"


def test_one_odd_run_does_not_set_what_is_usual() -> None:
    before = [run(price_mad=0.5), run(price_mad=0.5), run(price_mad=1.0)]
    assert findings(run(), filling(price_mad=0.5), LEAST, [], before) == []


def test_a_few_ads_tell_nothing_of_shares() -> None:
    assert findings(run(ads=10), filling(10, fuel=0.2), LEAST, [], []) == []


def test_half_the_ads_are_a_finding() -> None:
    assert codes(findings(run(said_total=400), filling(), LEAST, [], [run()] * 3)) == ["ads_halved"]
    assert codes(findings(run(ads=40), filling(40), LEAST, [], [run()] * 3)) == ["ads_halved"]
    short = run(ads=10, said_total=None, complete=False)
    assert codes(findings(short, filling(), LEAST, [], [run(said_total=None)] * 3)) == ["ads_halved"]
    assert findings(run(said_total=600), filling(), LEAST, [], [run()] * 3) == []


def test_pages_without_ads_and_pages_of_another_shape_are_findings() -> None:
    assert codes(findings(run(ads=0), filling(0), LEAST, [], [])) == ["no_ads"]
    moved = [("https://a.example/cars?o=2", "Ads were expected, found none.")]
    (found,) = findings(run(), filling(), LEAST, moved, [])
    assert (found["code"], found["examples"]) == ("page_moved", ["https://a.example/cars?o=2"])


def test_a_run_on_moved_pages_is_held_and_the_site_is_not_asked_on_and_on(
    operator: Operator, replica: Replica
) -> None:
    first = operator.collect(replica)
    assert first.status == 0, first.said
    body = replica.page(AVITO).body.replace(b'"componentProps"', b'"pageData"')
    replica.fault = lambda path, number: Answer(200, body) if path.startswith(AVITO) else None

    done = operator.collect(replica)

    assert done.status == 65
    assert "componentProps" in done.said
    assert done.result["findings"][0]["code"] == "page_moved"
    assert replica.address in done.result["findings"][0]["examples"][0]
    assert len(operator.files()) == 1


def test_a_held_run_is_landed_or_deleted_by_a_person(operator: Operator) -> None:
    with Replica(Market(size=60, unpriced=0.9)) as replica:
        runs = []
        for _ in range(2):
            done = operator.collect(replica)
            assert done.status == 65, done.said
            assert "price_mad was expected" in done.said
            assert operator.files() == []
            runs.append(done.result["run"])
            operator.ended(operator.start("--discard" if len(runs) == 1 else "--release", runs[-1]))
    (file,) = operator.files()
    assert file.stem == runs[1]
    assert len(operator.landed()) == 60
    manifest = json.loads((operator.data / f"collected/{runs[1]}.json").read_text())
    assert manifest["released"] is True
    assert operator.ended(operator.start("--held")).result == []
    again = operator.ended(operator.start("--release", runs[0]))
    assert again.status == 2
    assert "held are none" in again.said


def test_half_the_ads_without_a_price_are_landed_where_that_is_usual(operator: Operator) -> None:
    with Replica(Market(size=60, unpriced=0.5)) as replica:
        for _ in range(2):
            done = operator.collect(replica)
            assert done.status == 0, done.said
    unpriced = sum(row["price_mad"] == "" for row in operator.landed())
    assert unpriced == 2 * done.result["unpriced"]
    assert 20 <= done.result["unpriced"] <= 36


def test_half_the_ads_without_a_price_are_held_where_most_had_one(
    operator: Operator, replica: Replica
) -> None:
    for _ in range(2):
        assert operator.collect(replica).status == 0
    replica.market = Market(size=90, unpriced=0.5)
    replica.day = 1
    done = operator.collect(replica)
    assert done.status == 65
    assert "price_mad was expected in about 9" in done.said
    assert "as before, found in" in done.said
    (found,) = done.result["findings"]
    assert (found["code"], found["field"]) == ("field_missing", "price_mad")
    assert [address.startswith(replica.address) for address in found["examples"]] == [True, True]
    assert len(operator.files()) == 2
