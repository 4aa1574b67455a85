"""Months of a market that moves, on small tables; `make bench-market` takes larger ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carprice.lifecycle import training
from carprice.market.level import level_table
from carprice.params import Params
from carprice.params_file import parse_params

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `benchmarks` is run from the repository

from benchmarks.moving_market import MONTH, START, Month, history, landing

SMALL = parse_params("evaluation: {recent_rows: 100}")


@pytest.fixture(scope="module")
def rising() -> list[Month]:
    """Seven months of a market that rises by 2 % a month, with a spoilt candidate in the sixth."""
    return list(history(SMALL, 350, [1.02**month for month in range(7)], worse=6))


def test_every_month_of_a_rising_market_is_promoted_and_a_spoilt_candidate_is_not(
    rising: list[Month],
) -> None:
    assert [month.promoted for month in rising] == [True] * 5 + [False, True]
    assert {month.gates[0].name for month in rising[1:]} == {"not_worse_than_production"}


def test_the_learned_level_follows_a_rising_market(rising: list[Month]) -> None:
    found = [month.level_error for month in rising if not month.spoilt]
    assert found[0] == 0
    # without a level the oldest month would be off by 11 % in the end
    assert np.mean(found) < 0.01
    assert max(found) < 0.03


def test_a_version_is_as_accurate_on_what_lands_next_as_at_its_promotion(rising: list[Month]) -> None:
    later = [month for month in rising if month.number > 2]
    assert np.mean([month.growth for month in later]) < 0.01
    covered = [month.recent.covered for month in rising if not month.spoilt]
    assert 0.85 < np.mean(covered) < 0.95


def test_a_market_that_falls_by_a_tenth_is_followed_at_once() -> None:
    before, fall, after = list(history(SMALL, 350, [1.0, 0.9, 0.9], worse=0))
    assert before.promoted
    assert fall.promoted
    assert after.promoted
    assert max(fall.level_error, after.level_error) < 0.03
    assert fall.live is not None
    assert after.live is not None
    # nobody could know of the fall, and the next month shows nothing of it
    assert after.live.error < fall.live.error


def test_the_true_level_is_inside_the_band_of_the_learned_one() -> None:
    """Months of an invented market whose level is known; the band is surer where there are more listings."""
    levels = list(np.cumprod([1.0, 1.03, 1.0, 0.95, 1.03, 1.03]))
    listings = pd.concat([landing(n, 350, level) for n, level in enumerate(levels, start=1)])

    pipeline = training.fit(listings.reset_index(drop=True), Params())
    table = level_table(pipeline).to_pandas()

    days = [f"{START + n * MONTH:%Y-%m-%d}" for n in range(1, len(levels) + 1)]
    everywhere = table[table["scope"] == ""].set_index("day")
    # not every day is in the table: the last one up to the day of a landing
    everywhere = everywhere.reindex(everywhere.index.union(days)).ffill().loc[days]
    true = np.array(levels) / levels[-1]
    assert ((everywhere["low"] <= true) & (true <= everywhere["high"])).sum() >= 5
    assert everywhere.loc[days[-1], ["low", "high"]].tolist() == [1, 1]
    width = table[table["day"] == days[0]].set_index("scope")
    width = (width["high"] / width["low"]).to_dict()
    assert 1.005 < width[""] < width["dacia"] < 1.2


def test_a_model_of_an_earlier_release_has_a_level_without_a_band() -> None:
    listings = pd.concat([landing(n, 120, 1.0) for n in (1, 2, 3)]).reset_index(drop=True)
    pipeline = training.fit(listings, Params())
    del pipeline.named_steps["price"].level_.deviations_

    table = level_table(pipeline).to_pandas()

    assert len(table)
    assert table["low"].isna().all()
