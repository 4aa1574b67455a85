"""The market: which listings are on offer, their labels, and estimates that never rest on their own price."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from systems import System

from carprice.history import snapshots
from carprice.history.seen import dated
from carprice.lifecycle.rating import rater
from carprice.market import files, labels, making, sample
from carprice.market.before import MOST_ESTIMATES, _appended
from carprice.market.offers import OFFERS
from carprice.market.sightings import lives_of
from carprice.model.features import features_of
from carprice.params import MarketParams
from carprice.pipeline.context import Context
from carprice.pipeline.market_steps import rate_listings
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_MARKET, MARKET, market_table

DAY = timedelta(days=1)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def offers_of(root: DataRoot) -> pd.DataFrame:
    return root.read_parquet(market_table(root.read_json(LATEST_MARKET)["id"], "offers"))


def test_a_whole_run_ends_with_the_listings_on_offer_rated(system: System) -> None:
    manifest, offers = files.latest(system.root), offers_of(system.root)

    assert manifest is not None
    assert list(offers) == OFFERS.names
    assert offers["listing_id"].is_monotonic_increasing
    assert offers["listing_id"].is_unique
    assert manifest["offers"] == len(offers) == manifest["on_offer"] + manifest["gone"]
    assert manifest["model_version"] == "1"
    # one file: nobody knows how long an ad has been there, or that its price changed
    assert offers["days_listed"].isna().all()
    assert (offers["price_changes"] == 0).all()
    assert manifest["labels"] == {
        label: int((offers["label"] == label).sum()) for label in (*labels.LABELS, labels.NOT_RATED)
    }
    assert (offers["label"] == labels.NOT_RATED).equals(offers["not_rated"].notna())
    rated = offers[offers["not_rated"].isna()]
    assert (rated["comparables"] >= system.params.market.least_comparables).all()
    assert ((rated["low_mad"] < rated["estimate_mad"]) & (rated["estimate_mad"] < rated["high_mad"])).all()
    assert np.allclose(rated["below_share"], 1 - rated["price_mad"] / rated["estimate_mad"])


def test_a_suspicious_offer_is_no_bargain(system: System) -> None:
    offers = offers_of(system.root)

    suspicious = offers[offers["suspicions"].str.contains("far_below|mistyped|implausible")]
    assert len(suspicious)
    assert (suspicious["label"] == labels.NOT_RATED).all()
    far = offers[offers["price_mad"] > 5 * offers["estimate_mad"]]
    assert (far["suspicions"].str.contains("mistyped")).all()


def test_what_is_said_of_a_learned_listing_does_not_rest_on_its_price(system: System) -> None:
    """A model that learned one listing at a tenth of its price says the same of that listing."""
    from carprice.lifecycle import training
    from carprice.lifecycle.evaluation import Split

    manifest = snapshots.manifest_of(system.root, "latest")
    split = Split(system.params.evaluation.test_share, system.params.evaluation.split_seed)
    learned, cars = training.listings_to_learn(system.root, manifest, split, system.params.training)
    rating, _ = rater(system.root, system.registry, system.params.market, manifest)
    asked = learned["price_mad"].to_numpy()
    known = dict(zip(rating.left_out.listing_ids, np.exp(rating.left_out.log_price), strict=True))
    said = learned["listing_id"].map(known).to_numpy()
    row = int(np.argmin(np.abs(np.log(said / asked))))
    same_car = pd.factorize(cars.set_index("listing_id")["group"].reindex(learned["listing_id"]))[0]

    prices = asked.copy()
    prices[row] *= 1.3
    other = training.fit(learned.assign(price_mad=prices), system.params, same_car)

    assert other.named_steps["price"].left_out_mad_[row] == pytest.approx(said[row], rel=0.01)
    assert other.predict(training.features_of(learned.iloc[[row]]))[0] > said[row] * 1.01


def test_ads_of_one_car_are_left_out_together(system: System) -> None:
    """The estimate of a listing is that of a model which learned no ad of its car."""
    from carprice.lifecycle import training
    from carprice.lifecycle.evaluation import Split

    manifest = snapshots.manifest_of(system.root, "latest")
    split = Split(system.params.evaluation.test_share, system.params.evaluation.split_seed)
    learned, _ = training.listings_to_learn(system.root, manifest, split, system.params.training)
    same_car = np.arange(len(learned))
    model = learned["make"] + learned["model"]
    pair = learned.index[model == model.value_counts().index[0]][:2]
    same_car[pair] = same_car[pair[0]]

    said = training.fit(learned, system.params, same_car).named_steps["price"].left_out_mad_[pair]
    without = training.fit(learned.drop(pair).reset_index(drop=True), system.params)

    assert said == pytest.approx(without.predict(training.features_of(learned.loc[pair])), rel=0.01)


def test_the_same_market_is_made_again_and_the_two_newest_are_kept(system: System) -> None:
    context = Context(system.root, system.params, system.registry)
    before = offers_of(system.root)

    again = rate_listings(context)

    assert files.latest(system.root) == {"format_version": 1, **again}
    pd.testing.assert_frame_equal(offers_of(system.root), before)
    for version in ("5", "6", "7"):
        sample.write_sample(system.root, 60, version=version)
    assert len(system.root.folders(MARKET)) == 2


def test_a_market_that_dies_half_written_leaves_the_one_before(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = system.root.read_json(LATEST_MARKET)
    write_table = DataRoot.write_table

    def dying(self: DataRoot, name: str, parts: Any) -> None:
        if name.endswith("offers.parquet"):
            raise OSError("no space left on device")
        write_table(self, name, parts)

    monkeypatch.setattr(DataRoot, "write_table", dying)
    with pytest.raises(OSError, match="no space"):
        sample.write_sample(system.root, 60, version="9")

    assert system.root.read_json(LATEST_MARKET) == before
    assert len(offers_of(system.root))


def test_a_broken_market_before_is_left_out(system: System) -> None:
    found = system.root.read_json(LATEST_MARKET)["id"]
    (system.folder / market_table(found, "offers")).write_bytes(b"PAR1")

    rate_listings(Context(system.root, system.params, system.registry))

    assert len(offers_of(system.root)) > 100


def test_a_label_stays_until_its_position_has_left_the_class_for_good() -> None:
    params = MarketParams()
    position = np.array([0.11, 0.14, 0.09, 0.5, 0.72, 0.72])
    before = np.array([0, 0, 1, -1, 2, 4])

    found = [labels.LABELS[place] for place in labels.classes(position, params, before)]

    assert found == ["very_good_price", "good_price", "good_price", "fair_price", "fair_price", "high_price"]
    assert [labels.LABELS[place] for place in labels.classes(position, params)] == [
        "good_price", "good_price", "very_good_price", "fair_price", "high_price", "high_price",
    ]  # fmt: skip


def test_a_new_version_keeps_the_labels_of_unchanged_prices_and_adds_its_estimates(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    sample.write_sample(root, 200, seed=1, version="1", now=NOW)
    first = offers_of(root)

    sample.write_sample(root, 200, seed=1, version="2", now=NOW + DAY)
    second = offers_of(root)
    sample.write_sample(root, 200, seed=1, version="2", now=NOW + 2 * DAY)

    assert list(second["label"]) == list(first["label"])
    with_estimate = second["estimate_mad"].notna()
    versions = second.loc[with_estimate, "estimates"].map(lambda text: [row[4] for row in json.loads(text)])
    assert set(map(tuple, versions)) == {("1", "2")}
    assert list(offers_of(root)["estimates"]) == list(second["estimates"])


def test_only_the_newest_estimates_are_kept() -> None:
    told = "[]"
    for number in range(MOST_ESTIMATES + 5):
        told = _appended(told, f'["2026-05-01T00:00:00Z", {number}, 1, 2, "v{number}"]')

    found = json.loads(told)
    assert [row[1] for row in found] == list(range(5, MOST_ESTIMATES + 5))


def sightings_of(rows: list[tuple[str, str | None, float, datetime, datetime]]) -> pa.Table:
    times = pa.timestamp("us", "UTC")
    names = ("listing_id", "url", "price_mad", "first_seen_at", "last_seen_at")
    types = (pa.string(), pa.string(), pa.float64(), times, times)
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), types, strict=True)],
        names=list(names),
    )


def lives(rows: Any, prices: dict[str, float], gone: Any = (), days: float = 30) -> dict[str, Any]:
    ids = np.array(list(prices), dtype=object)
    found = lives_of(ids, np.array(list(prices.values())), sightings_of(rows), gone, days)
    return {
        name: {
            "on_offer": bool(found.on_offer[i]),
            "changes": int(found.changes[i]),
            "first_price": float(found.first_price[i]),
            "prices": [price for _, price in json.loads(found.prices[i])],
            "gone_since": int(found.gone_since[i]),
        }
        for i, name in enumerate(ids)
    }


def test_a_price_that_was_cut_is_told_with_its_steps() -> None:
    url = "https://a.example/1"
    found = lives(
        [
            ("a", url, 90_000, NOW - 5 * DAY, NOW),
            ("a", url, 100_000, NOW - 20 * DAY, NOW - 6 * DAY),
            ("a", url, 95_000, NOW - 10 * DAY, NOW - 8 * DAY),
        ],
        {"a": 90_000},
    )["a"]

    assert found["prices"] == [100_000, 95_000, 100_000, 90_000]
    assert (found["changes"], found["first_price"]) == (3, 100_000)


def test_prices_that_one_file_tells_of_one_ad_are_no_change_of_its_price() -> None:
    rows = [("a", None, price, NOW, NOW) for price in (95_000.0, 90_000.0, 100_000.0)]
    found = lives(rows, {"a": 90_000})["a"]

    assert (found["prices"], found["changes"], found["first_price"]) == ([90_000], 0, 90_000)


def test_a_listing_is_gone_when_the_collector_says_so_and_back_when_it_is_seen_again() -> None:
    rows = [
        ("gone", "https://www.a.example/1", 1.0, NOW - 9 * DAY, NOW - 3 * DAY),
        ("back", "https://www.a.example/2", 1.0, NOW - 9 * DAY, NOW),
        ("copy", "https://www.a.example/3", 1.0, NOW - 9 * DAY, NOW - 3 * DAY),
        ("copy", "https://b.example/3", 1.0, NOW - 9 * DAY, NOW - 2 * DAY),
    ]
    since = (NOW - 2 * DAY).isoformat()
    gone = [{"url": f"https://www.a.example/{n}", "gone_since": since} for n in (1, 2, 3)]

    found = lives(rows, {"gone": 1.0, "back": 1.0, "copy": 1.0}, gone)

    assert [found[name]["on_offer"] for name in ("gone", "back", "copy")] == [False, True, True]
    assert found["gone"]["gone_since"] == int((NOW - 2 * DAY).timestamp() * 1e6)
    assert found["back"]["gone_since"] < 0


def test_a_listing_that_newer_files_of_its_source_lack_is_gone_after_some_days() -> None:
    rows = [
        ("old", "https://www.a.example/1", 1.0, NOW - 60 * DAY, NOW - 40 * DAY),
        ("new", "https://a.example/2", 1.0, NOW - 9 * DAY, NOW),
        ("other source", "https://b.example/1", 1.0, NOW - 60 * DAY, NOW - 40 * DAY),
        ("no source", None, 1.0, NOW - 60 * DAY, NOW - 40 * DAY),
    ]

    found = lives(rows, {"old": 1.0, "new": 1.0, "other source": 1.0, "no source": 1.0, "never seen": 1.0})

    assert {name: life["on_offer"] for name, life in found.items()} == {
        "old": False, "new": True, "other source": True, "no source": True, "never seen": True,
    }  # fmt: skip


def test_a_link_that_no_browser_opens_is_no_address(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    sample.write_sample(root, 60, now=NOW)

    offers = offers_of(root)
    assert offers["url"].str.startswith("https://").all()
    assert set(offers["source"]) == {"example.invalid"}


def test_the_id_of_a_market_follows_what_decides_about_it() -> None:
    ids = {
        files.market_id(snapshot, version, params)
        for snapshot in ("a", "b")
        for version in ("1", "2")
        for params in ({"x": 1}, {"x": 2})
    }
    assert len(ids) == 8


def test_nothing_is_rated_without_a_version_in_production(tmp_path: Path, fast_params: Any) -> None:
    from carprice.errors import NothingToDo
    from carprice.lifecycle.registry import Registry

    root = DataRoot(str(tmp_path))
    sample.write_sample(root, 60)
    with pytest.raises(NothingToDo, match="production"):
        rater(root, Registry(root), fast_params.market, {"id": "x", "files": []})
    assert len(offers_of(root))


def test_a_version_that_an_earlier_release_trained_rates_what_it_learned_without_its_own_price(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carprice.lifecycle import rating

    before = offers_of(system.root).set_index("listing_id")
    monkeypatch.setattr(rating, "_table", lambda *_: None)

    rate_listings(Context(system.root, system.params, system.registry))

    offers = offers_of(system.root).set_index("listing_id")
    assert offers["learned"].equals(before["learned"])
    # it left out each listing alone, not all ads of a car together
    change = np.log(offers["estimate_mad"] / before["estimate_mad"])[offers["learned"]].abs()
    assert change.median() < 0.001
    assert change.quantile(0.95) < 0.1


def test_an_ad_of_a_learned_car_that_landed_since_is_rated_without_that_cars_price(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the learned ad of a car changed in the price is taken out of the price of the other ad."""
    from carprice.market import rating

    manifest = snapshots.manifest_of(system.root, "latest")
    made, _ = rater(system.root, system.registry, system.params.market, manifest)
    before = offers_of(system.root).set_index("listing_id")
    learned, new = before.index[before["learned"]][0], before.index[~before["learned"]][0]
    grouped = snapshots.table(system.root, manifest, "cars", ["listing_id", "group"]).to_pandas()
    grouped.loc[grouped["listing_id"].isin([learned, new]), "group"] = "one car"
    table = snapshots.table
    monkeypatch.setattr(
        rating.snapshots,
        "table",
        lambda root, of, name, columns: (
            pa.Table.from_pandas(grouped) if name == "cars" else table(root, of, name, columns)
        ),
    )

    making.make(system.root, manifest, made, "run")

    offers = offers_of(system.root).set_index("listing_id")
    listing = (
        snapshots.load(system.root, manifest["id"])[1].set_index("listing_id", drop=False).loc[[learned]]
    )
    said = made.pipeline.predict(features_of(dated(manifest, listing)))[0]
    change = np.log(before.loc[learned, "estimate_mad"] / said)
    assert abs(change) > 1e-4
    assert np.log(offers.loc[new, "estimate_mad"] / before.loc[new, "estimate_mad"]) == pytest.approx(
        change, abs=2e-4
    )
    others = offers.index.difference([new])
    assert offers.loc[others, "estimate_mad"].equals(before.loc[others, "estimate_mad"])


def test_the_figures_of_labels_need_no_model(system: System) -> None:
    """Whether a good price is below the median of its comparables, and sooner gone, is counted."""
    from carprice.lifecycle import evaluation
    from carprice.lifecycle.label_figures import label_figures

    run = system.registry.get_run(system.registry.require("production").run_id)
    manifest = snapshots.manifest_of(system.root, "latest")
    tested = evaluation.test_listings(system.root, run)

    figures = label_figures(
        system.root, manifest, system.registry.load(run.data.tags["model_uri"]), tested, system.params.market
    )

    assert [each["label"] for each in figures] == list(labels.LABELS)
    assert 20 < sum(each["rows"] for each in figures) <= len(tested)
    assert figures[0]["below_median"] > 0.7 > 0.3 > figures[-1]["below_median"]
    assert [each["days"] for each in figures] == [None] * 5  # no run of the collector told that one is gone
    card = (system.folder / "reports/models" / f"{run.info.run_id}.html").read_text()
    assert "Below the median of their comparables" in card
