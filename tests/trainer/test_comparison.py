"""A candidate against production: which rows decide, which rule, and what a reader is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carprice.history.seen import seen_at
from carprice.lifecycle import comparison
from carprice.lifecycle.comparison import Contest, compare
from carprice.lifecycle.recent import newest
from carprice.listings.tables import as_canonical
from carprice.params import Params
from carprice.params_file import parse_params

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-01-01", tz="UTC")
OLD_FILE, NEW_FILE = "a" * 64, "b" * 64


@dataclass
class Level:
    """A pipeline that prices each listing at a factor of its true price, with errors of its own."""

    factor: float
    seed: int = 0

    def predict(self, features: pd.DataFrame) -> Any:
        noise = np.random.default_rng(self.seed).normal(0, 0.05, len(features))
        return features["fiscal_power_cv"].to_numpy() * 10_000 * self.factor * np.exp(noise)


@pytest.fixture(autouse=True)
def _no_typing_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "looks_mistyped", lambda _, features, price: np.zeros(len(price), bool))


def listings(rows: int, market: float = 1.0, file: str = OLD_FILE, first_day: int = 0) -> pd.DataFrame:
    """Listings of one make, one a day, whose price is the market times 10,000 for each CV."""
    power = 5.0 + np.arange(rows) % 5
    seen = START + DAY * (first_day + np.arange(rows))
    table = as_canonical(
        pd.DataFrame(
            {
                "listing_id": [f"{file[0]}{i}" for i in range(rows)],
                "make": "Dacia",
                "model": "Logan",
                "model_year": 2020.0,
                "fiscal_power_cv": power,
                "fuel": "Diesel",
                "mileage_km_min": 50_000.0,
                "price_mad": power * 10_000 * market,
                "source_sha256": file,
            }
        )
    )
    return table.assign(seen_at=seen)


def contest(candidate: Level, production: Level, newer: bool = True) -> Contest:
    """300 old rows at the old level of the market, and 300 that landed since at one 10 % higher."""
    rows = pd.concat([listings(300), listings(300, 1.1, NEW_FILE, 300)], ignore_index=True)
    learned = rows if newer else rows.head(300)
    known = {OLD_FILE[:12]} if newer else {OLD_FILE[:12], NEW_FILE[:12]}
    return Contest("3", candidate, production, rows, learned, known)


def params(recent_rows: int = 300, more: str = "") -> Params:
    return parse_params(f"evaluation: {{recent_rows: {recent_rows}}}\npromotion: {{{more}}}")


def test_a_candidate_that_follows_the_market_passes_though_it_is_worse_on_older_rows() -> None:
    follows = contest(Level(1.1), Level(1.0))
    gates, compared = compare(follows, params())
    assert [gate.name for gate in gates] == ["not_worse_than_production", "worst_slice_loss", "compared_rows"]
    assert all(gate.passed for gate in gates)
    assert compared["rows"] == 300
    # on all rows the two are equally far off
    everything, _ = compare(follows, params(600, "newer_margin: 0.0"))
    assert not everything[0].passed


def test_both_are_asked_for_the_price_of_the_day_of_each_row() -> None:
    asked: list[list[str]] = []

    class Dated(Level):
        def predict(self, features: pd.DataFrame) -> Any:
            asked.append(features["asked_on"].tolist())
            return super().predict(features)

    found = contest(Dated(1.1), Dated(1.0))
    days = [f"{day:%Y-%m-%d}" for day in found.rows["seen_at"]]
    compare(replace(found, rows=found.rows.assign(asked_on=days)), params())
    assert asked == [days[300:], days[300:]]


@pytest.mark.parametrize("newer", [True, False])
def test_a_worse_candidate_is_refused_whatever_it_learned(newer: bool) -> None:
    gates, _ = compare(contest(Level(1.0), Level(1.1), newer), params())
    assert gates[0].name == ("not_worse_than_production" if newer else "better_than_production")
    assert gates[0].value == 0
    assert not gates[1].passed


def test_an_equal_candidate_passes_only_if_it_knows_newer_listings() -> None:
    equal = contest(Level(1.1), Level(1.1))
    assert compare(equal, params())[0][0].passed
    stale = contest(Level(1.1), Level(1.1), newer=False)
    gates, compared = compare(stale, params())
    assert not gates[0].passed
    assert compared["rule"] == "better_than_production"


def test_the_margin_of_a_candidate_with_newer_listings_is_a_setting() -> None:
    a_little_worse = contest(Level(1.115), Level(1.1))
    assert not compare(a_little_worse, params(more="newer_margin: 0.01"))[0][0].passed
    assert compare(a_little_worse, params(more="newer_margin: 0.5"))[0][0].passed


@pytest.mark.parametrize("recent_rows", [100, 1000])
def test_older_listings_of_a_new_file_are_nothing_newer(recent_rows: int) -> None:
    archive = listings(200, 1.0, NEW_FILE, -900)
    both = pd.concat([listings(300), archive], ignore_index=True)
    found = Contest("3", Level(1.0), Level(1.0), both, both, {OLD_FILE[:12]})
    gates, compared = compare(found, params(recent_rows))
    assert gates[0].name == "better_than_production"
    assert compared["reasons"][0]["code"] == "learned_nothing_newer"


def test_a_slice_counts_only_with_enough_recent_rows() -> None:
    found = contest(Level(1.1), Level(1.1))
    rare = found.rows["make"].where(np.arange(600) < 580, "Audi")
    spoilt = replace(found, rows=found.rows.assign(make=rare), candidate=WorseOn("Audi", 1.1))
    gates, _ = compare(spoilt, params(more="newer_margin: 5.0"))
    assert "Audi" not in gates[1].explanation
    enough = parse_params("evaluation: {recent_rows: 300, slice_min_rows: 20}")
    gates, _ = compare(spoilt, enough)
    assert "make=Audi" in gates[1].explanation
    assert not gates[1].passed


@pytest.mark.parametrize("odd", [50, 299, 581])
def test_prices_that_both_find_odd_leave_the_window_to_older_rows(
    odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        comparison, "looks_mistyped", lambda _, features, price: features.index.to_numpy() >= 600 - odd
    )
    gates, compared = compare(contest(Level(1.05), Level(1.2)), params(20))
    left = min(600 - odd, 20)
    assert compared["rows"] == left
    if left < 20:
        assert [(gate.name, gate.passed) for gate in gates] == [("compared_rows", False)]
    else:
        assert all(gate.passed for gate in gates)
        assert compared["reasons"][1]["params"]["rows"] == 20


@pytest.mark.parametrize("rows", [0, 1, 2, 19])
def test_a_few_rows_compare_nothing(rows: int) -> None:
    few = contest(Level(1.1), Level(1.2))
    gates, compared = compare(replace(few, rows=few.rows.tail(rows)), params())
    assert [(gate.name, gate.value, gate.passed) for gate in gates] == [("compared_rows", rows, False)]
    assert compared["rows"] == rows


@dataclass
class WorseOn:
    """As good as `Level`, but far off for one make."""

    make: str
    factor: float

    def predict(self, features: pd.DataFrame) -> Any:
        prices = Level(self.factor).predict(features)
        return np.where(features["make"] == self.make, 1.5 * prices, prices)


@dataclass
class Broken:
    """As good as `Level`, but with one price for every car of a make."""

    make: str
    price: float
    factor: float = 1.1

    def predict(self, features: pd.DataFrame) -> Any:
        prices = Level(self.factor).predict(features)
        return np.where(features["make"] == self.make, self.price, prices)


def two_makes(candidate: Any, production: Any) -> Contest:
    found = contest(candidate, production)
    return replace(found, rows=found.rows.assign(make=np.where(np.arange(600) < 500, "Audi", "Dacia")))


@pytest.mark.parametrize("make", ["Audi", "Dacia"])
@pytest.mark.parametrize("price", [np.nan, np.inf, 0.0])
def test_a_candidate_with_prices_that_are_none_is_refused_by_each_gate(make: str, price: float) -> None:
    gates, _ = compare(two_makes(Broken(make, price), Level(1.1)), params())
    assert not gates[0].passed
    assert not gates[1].passed
    everything, _ = compare(two_makes(Broken(make, price), Broken(make, price)), params())
    assert price == 0 or not (everything[0].passed or everything[1].passed)


@pytest.mark.parametrize("price", [np.nan, np.inf, 0.0])
def test_a_production_model_with_prices_that_are_none_keeps_no_good_candidate_out(price: float) -> None:
    gates, _ = compare(two_makes(Level(1.1), Broken("Dacia", price)), params())
    assert all(gate.passed for gate in gates)


@dataclass
class Exact:
    """A pipeline without any error."""

    def predict(self, features: pd.DataFrame) -> Any:
        return features["fiscal_power_cv"].to_numpy() * 10_000.0


def test_a_production_model_without_error_can_be_met_but_not_exceeded() -> None:
    exact = contest(Exact(), Exact())
    gates, _ = compare(replace(exact, rows=listings(300)), params())
    assert gates[1].value == 0
    gates, _ = compare(replace(exact, rows=listings(300), candidate=Level(1.0)), params())
    assert not gates[0].passed
    assert not gates[1].passed


def test_the_reasons_name_rule_versions_margin_and_window() -> None:
    _, compared = compare(contest(Level(1.1), Level(1.1)), params())
    rule, window = compared["reasons"]
    assert rule["sentence"] == (
        "The candidate learned 300 recent listings of files that version 3 does not know. So it must not be "
        "worse: with a confidence of 80 %, its mean error must be below 103 % of that of version 3."
    )
    assert window["code"] == "recent_window"
    assert window["params"] == {"rows": 300, "since": "2026-10-28"}


def test_a_few_newer_listings_give_no_margin_to_worse_candidates_one_after_the_other() -> None:
    level = 1.1
    for newer in (1, 5, 29):
        worse = contest(Level(level * 1.012), Level(level))
        gates, compared = compare(replace(worse, learned=worse.learned.head(300 + newer)), params())
        assert not gates[0].passed
        rule = compared["reasons"][0]
        assert rule["code"] == "learned_little_newer"
        assert (rule["params"]["newer"], rule["params"]["least"]) == (newer, 30)
        assert rule["params"]["allowed_share"] == 1
    enough, _ = compare(replace(worse, learned=worse.learned.head(330)), params())
    assert enough[0].name == "not_worse_than_production"


def test_the_newest_rows_are_those_seen_last_and_one_landing_is_not_torn_apart() -> None:
    seen = pd.Series([START + DAY * day for day in (5, 1, 9, 9, 9, 3)])
    assert list(newest(seen, 4)) == [True, False, True, True, True, False]
    assert list(newest(seen, 2)) == [False, False, True, True, True, False]
    assert newest(seen, 100).all()


def test_a_listing_without_a_time_or_from_the_future_was_seen_when_its_file_was_received() -> None:
    table = listings(3)
    table["scraped_at"] = pd.Series([START, pd.NaT, START + 900 * DAY]).astype("datetime64[us, UTC]")
    received = START + 10 * DAY
    manifest = {"files": [{"sha256": OLD_FILE, "received_at": received.isoformat()}]}
    assert list(seen_at(manifest, table)) == [START, received, received]
