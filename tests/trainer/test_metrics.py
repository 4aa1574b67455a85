"""The figures of a set of prices, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from carprice.model.metrics import regression_metrics

DOUBLING = 50_000 * 2.0 ** np.arange(5)


def test_prices_that_are_all_off_by_one_factor_have_no_dispersion_and_no_bias() -> None:
    found = regression_metrics(DOUBLING, 1.15 * DOUBLING)
    assert found["cod"] == pytest.approx(0, abs=1e-9)
    assert found["prd"] == pytest.approx(1)
    assert found["prb"] == pytest.approx(0, abs=1e-9)
    assert (found["within_10"], found["within_20"]) == (0, 1)


def test_ratio_statistics_of_a_model_that_prices_expensive_cars_too_low() -> None:
    ratio = np.array([1.1, 1.05, 1.0, 0.95, 0.9])
    # half of the price and half of its prediction, in doublings
    actual = 2 * DOUBLING / (1 + ratio)
    found = regression_metrics(actual, ratio * actual)
    assert found["cod"] == pytest.approx(100 * (0.1 + 0.05 + 0 + 0.05 + 0.1) / 5)
    assert found["prd"] == pytest.approx(1.0 / ((ratio * actual).sum() / actual.sum()))
    assert found["prd"] > 1.03
    assert found["prb"] == pytest.approx(-0.05)


def test_the_shares_within_a_distance_include_its_bound() -> None:
    actual = np.array([100.0, 100.0, 100.0, 100.0])
    found = regression_metrics(actual, np.array([110.0, 89.0, 120.0, 130.0]))
    assert found["within_10"] == 0.25
    assert found["within_20"] == 0.75


def test_one_price_for_equal_cars_has_no_bias() -> None:
    same = np.full(3, 90_000.0)
    assert regression_metrics(same, same)["prb"] == 0
