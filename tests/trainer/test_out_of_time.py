"""A candidate is judged on what was seen after what was learned, where the history has more than one day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_market_level import day
from test_model import distinct

from carprice.lifecycle import training
from carprice.lifecycle.out_of_time import out_of_time, together
from carprice.listings import sample
from carprice.model.features import features_of
from carprice.params import Params
from carprice.params_file import parse_params


@pytest.fixture(scope="module")
def history() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training and the test side of listings that were seen on eight days, a month apart."""
    listings = distinct(sample.to_csv(sample.generate(1400, 6)).encode())
    month = np.arange(len(listings)) % 8
    listings = listings.assign(asked_on=[day(30 * number) for number in month])
    return listings.iloc[300:].reset_index(drop=True), listings.iloc[:300].reset_index(drop=True)


@pytest.fixture(scope="module")
def candidate(history: tuple[pd.DataFrame, pd.DataFrame]) -> training.Pipeline:
    return training.fit(history[0], Params())


def test_each_fold_learns_what_was_seen_before_and_judges_what_was_seen_after(
    history: tuple[pd.DataFrame, pd.DataFrame], candidate: training.Pipeline
) -> None:
    learned, tested = history
    folds = out_of_time(candidate, learned, tested, Params())
    assert len(folds) == 3
    assert folds[-1].last == day(210)
    for fold, following in zip(folds, [*folds[1:], None], strict=True):
        assert fold.learned == (learned["asked_on"] <= fold.until).sum()
        assert following is None or following.until == fold.last
        after = tested[(tested["asked_on"] > fold.until) & (tested["asked_on"] <= fold.last)]
        assert set(fold.asked_mad) <= set(after["price_mad"])
        assert 0.9 * len(after) <= len(fold.asked_mad) <= len(after)
    figures = together(folds)
    assert figures["rows"] == sum(len(fold.asked_mad) for fold in folds)
    assert figures["folds"] == 3
    assert figures["mape"] < 0.2
    assert 0.7 < figures["interval_coverage"] < 1


def test_a_market_that_moved_after_the_cut_is_an_error_of_the_fold(
    history: tuple[pd.DataFrame, pd.DataFrame], candidate: training.Pipeline
) -> None:
    learned, tested = history
    calm = out_of_time(candidate, learned, tested, Params())[-1]
    dearer = tested.assign(
        price_mad=tested["price_mad"].where(tested["asked_on"] <= calm.until, lambda p: 1.3 * p)
    )
    moved = out_of_time(candidate, learned, dearer, Params())[-1]
    assert moved.figures()["mape"] > calm.figures()["mape"] + 0.05


def test_few_listings_are_learned_for_each_fold(
    history: tuple[pd.DataFrame, pd.DataFrame], candidate: training.Pipeline
) -> None:
    one = parse_params("evaluation: {time_folds: 1, time_fold_rows: 150}")
    (fold,) = out_of_time(candidate, *history, one)
    assert fold.learned == 150


@pytest.mark.parametrize("folds", [0, 3])
def test_listings_of_one_day_have_no_later_ones(
    history: tuple[pd.DataFrame, pd.DataFrame], candidate: training.Pipeline, folds: int
) -> None:
    learned, tested = (side.assign(asked_on=day(0)) for side in history)
    params = parse_params(f"evaluation: {{time_folds: {folds}}}")
    assert out_of_time(candidate, learned, tested, params) == []
    assert together([]) == {}


def test_a_fold_prices_with_the_effects_that_the_candidate_learned(
    history: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    learned, tested = history
    params = parse_params("training: {learning_rows: 500}\nevaluation: {time_folds: 1}")
    candidate = training.fit(learned, params)
    given = training.fit(learned, Params())
    rows = features_of(tested)
    assert not np.allclose(candidate.predict(rows), given.predict(rows), rtol=1e-4)
    ours, theirs = (
        out_of_time(each, learned, tested, params)[0].predicted_mad for each in (candidate, given)
    )
    assert not np.allclose(ours, theirs, rtol=1e-4)
