"""Where a price stands among the prices that the model holds possible: by measured errors, for any row."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from carprice.model.predictive import positions, shape_of


@pytest.fixture
def errors() -> np.ndarray:
    """Errors with long tails and a median beside zero."""
    return np.random.default_rng(0).standard_t(3, 20_000) * 0.9 - 0.1


def test_the_ends_of_the_interval_stand_where_the_interval_promises(errors: np.ndarray) -> None:
    ends = [-2.4, 2.9]  # wider than the errors themselves
    model = SimpleNamespace(shape_=shape_of(errors, ends, 0.9))

    assert positions(model, np.array(ends)) == pytest.approx([0.05, 0.95], abs=0.002)


def test_positions_of_the_errors_themselves_are_spread_evenly(errors: np.ndarray) -> None:
    ends = [float(end) for end in np.quantile(errors, (0.05, 0.95))]
    found = positions(SimpleNamespace(shape_=shape_of(errors, ends, 0.9)), errors)

    assert np.histogram(found, 10, (0, 1))[0] / len(errors) == pytest.approx([0.1] * 10, abs=0.005)
    assert (np.diff(found[np.argsort(errors)]) >= 0).all()
    assert positions(SimpleNamespace(shape_=[-1.0, 0.0, 1.0]), np.array([-9.0, 9.0])).tolist() == [0, 1]


def test_a_model_of_an_earlier_release_tells_positions_from_its_interval_alone() -> None:
    model = SimpleNamespace(quantiles_=[-1.5, 2.0], coverage=0.9)

    assert positions(model, np.array([-1.5, 0, 2.0])) == pytest.approx([0.05, 0.5, 0.95])
