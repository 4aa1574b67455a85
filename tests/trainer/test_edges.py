"""The interval at the edges of what was learned: as sure as in the middle, and never surer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from carprice.model import edges
from carprice.model.features import COLUMNS
from carprice.model.kernels import Floats

ROWS, COVERAGE = 4_000, 0.9
AT = {"rarity": math.log(3), "oldest": -4.0, "newest": 3.0, "mileage": 3.0, "fuel": math.log(3)}
COLUMN = {"rarity": "rarity", "oldest": "year", "newest": "year", "mileage": "km", "fuel": "with_fuel"}


def rows_with(edge: str, share: float = 0.05) -> tuple[Floats, np.ndarray]:
    """Rows of frequent models around one year and mileage, `share` of them at `edge`, and which ones."""
    random = np.random.default_rng(1)
    rows = np.zeros((ROWS, len(COLUMNS)))
    for column, scale in (("year", 0.1), ("km", 0.1)):
        rows[:, COLUMNS.index(column)] = random.uniform(-scale, scale, ROWS)
    rows[:, [COLUMNS.index("rarity"), COLUMNS.index("with_fuel")]] = math.log(50)
    at_edge = np.arange(ROWS) < ROWS * share
    rows[at_edge, COLUMNS.index(COLUMN[edge])] = AT[edge]
    return rows, at_edge


@pytest.mark.parametrize("edge", AT)
def test_the_interval_of_an_edge_holds_as_many_prices_as_it_promises(edge: str) -> None:
    rows, at_edge = rows_with(edge)
    width = np.abs(np.random.default_rng(2).normal(size=ROWS)) / 1.645  # 1 is the 90th percentile
    width[at_edge] *= 1.5
    bounds = edges.bounds_of(rows)
    factors = edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=1)
    wider = edges.widening(rows, bounds, factors)
    assert (width <= wider)[at_edge].mean() == pytest.approx(COVERAGE, abs=0.02)
    assert wider[at_edge] == pytest.approx(1.5, rel=0.15)
    assert wider[~at_edge].max() < 1.2


@pytest.mark.parametrize("edge", AT)
def test_no_edge_is_surer_than_the_middle(edge: str) -> None:
    rows, at_edge = rows_with(edge)
    bounds = edges.bounds_of(rows)
    factors = edges.factors_of(rows, np.where(at_edge, 0.1, 0.9), bounds, COVERAGE, shrinkage=1)
    assert edges.widening(rows, bounds, factors) == pytest.approx(1)


def test_prices_that_look_mistyped_count_as_outside() -> None:
    rows, at_edge = rows_with("rarity")
    width = np.abs(np.random.default_rng(2).normal(size=ROWS)) / 1.645
    bounds = edges.bounds_of(rows)
    without = edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=1)[0]
    width[np.flatnonzero(at_edge)[::20]] = np.inf
    assert edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=1)[0] > without
    width[at_edge] = np.inf
    assert edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=1)[0] == 1


def test_a_model_of_an_earlier_release_knows_no_edge_of_fuels() -> None:
    rows, at_edge = rows_with("fuel")
    bounds, factors = edges.bounds_of(rows), [2.0, 1.0, 1.0, 1.0]
    earlier = rows[:, : COLUMNS.index("with_fuel")]
    assert edges.widening(earlier, bounds, factors) == pytest.approx(1)
    assert edges.widening(rows, bounds, [*factors, 3.0])[at_edge] == pytest.approx(3)


def test_few_rows_at_an_edge_say_little() -> None:
    rows, at_edge = rows_with("rarity", share=0.001)
    width = np.where(at_edge, 5.0, 0.5)
    bounds = edges.bounds_of(rows)
    few = edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=100)[0]
    many = edges.factors_of(rows, width, bounds, COVERAGE, shrinkage=1)[0]
    assert 1 < few < 1.3 < many
