"""The regression of nested groups is the exact one up to its tolerance, and its effects can be learned."""

from __future__ import annotations

import numpy as np
import pytest

from carprice.model.kernel_regression import Altered, KernelRegressor
from carprice.model.likelihood import Data, Hyperparameters, learned

COLUMNS, NUMERIC, NESTING = ("make", "model", "x", "kind"), ("x",), ("make", "model")
TERMS = [
    {"sd": 0.6, "same": [], "near": {"x": 0.4, "kind": 0.5}},
    {"sd": 0.3, "same": ["make"], "near": {"x": 0.2}},
    {"sd": 0.2, "same": ["model"], "near": {"x": 1.0, "kind": 0.3}},
]
NOISE = 0.15


def cars(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    model = random.integers(0, 12, count) * (random.random(count) < 0.8)  # model 0 is a common one
    return np.column_stack(
        [model // 4, model, random.normal(size=count), random.integers(0, 3, count)]
    ).astype(float)


def covariance(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    total = np.zeros((len(rows), len(others)))
    for term in TERMS:
        part = np.full_like(total, float(term["sd"]) ** 2)  # type: ignore[arg-type]
        for name in term["same"]:  # type: ignore[attr-defined]
            place = COLUMNS.index(name)
            part *= rows[:, [place]] == others[:, place]
        for name, weight in term["near"].items():  # type: ignore[attr-defined]
            place = COLUMNS.index(name)
            distance = rows[:, [place]] - others[:, place]
            part *= np.exp(-weight * (distance**2 if name in NUMERIC else distance != 0))
        total += part
    return total


def prices(rows: np.ndarray, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    exact = covariance(rows, rows) + NOISE**2 * np.eye(len(rows))
    return 11 + np.linalg.cholesky(exact) @ random.normal(size=len(rows))


def fitted(rows: np.ndarray, target: np.ndarray, **settings: object) -> KernelRegressor:
    wanted = {"nesting": NESTING, "tolerance": 1e-7} | settings
    return KernelRegressor(TERMS, COLUMNS, NUMERIC, NOISE, **wanted).fit(rows, target)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [5, 60, 700])
@pytest.mark.parametrize("nesting", [(), ("make",), NESTING])
def test_predictions_and_leave_one_out_are_those_of_the_exact_process(
    count: int, nesting: tuple[str, ...]
) -> None:
    rows, new = cars(count), cars(40, seed=9)
    target = prices(rows)
    found = fitted(rows, target, nesting=nesting)
    inverse = np.linalg.inv(covariance(rows, rows) + NOISE**2 * np.eye(count))
    weights = inverse @ (target - np.median(target))
    np.testing.assert_allclose(
        found.predict(new), np.median(target) + covariance(new, rows) @ weights, atol=2e-3
    )
    np.testing.assert_allclose(found.leave_one_out_, target - weights / np.diag(inverse), atol=2e-3)


def test_what_others_say_of_a_changed_row_is_what_a_fit_without_it_says() -> None:
    rows = cars(80)
    target = prices(rows)
    places = np.array([0, 17, 79])
    changed = rows[places].copy()
    changed[:, 2] += 1
    whole = KernelRegressor(TERMS, COLUMNS, NUMERIC, NOISE, nesting=NESTING, tolerance=1e-7)
    whole.fit(rows, target, altered=Altered(places, [changed]))
    for index, place in enumerate(places):
        kept = np.arange(80) != place
        part = fitted(rows[kept], target[kept] - np.median(target) + np.median(target[kept]))
        said = part.predict(changed[[index]])[0] - np.median(target[kept]) + np.median(target)
        assert abs(said - whole.altered_leave_one_out_[index, 0]) < 3e-3


def test_the_order_of_rows_changes_a_prediction_only_by_rounding() -> None:
    rows = cars(500)
    target = prices(rows)
    other = np.random.default_rng(5).permutation(500)
    new = cars(40, seed=9)
    np.testing.assert_allclose(
        fitted(rows[other], target[other]).predict(new), fitted(rows, target).predict(new), atol=1e-3
    )


def test_a_row_alone_has_the_prediction_that_it_has_among_others() -> None:
    rows = cars(300)
    model, new = fitted(rows, prices(rows)), cars(60, seed=9)
    new[:10, :2], new[10:20, 3], new[20:25, 3] = 99, 7, -1  # groups and a kind that were never seen
    one_by_one = np.concatenate([model.predict(new[[place]]) for place in range(len(new))])
    np.testing.assert_allclose(one_by_one, model.predict(new), rtol=1e-12)
    np.testing.assert_allclose(one_by_one[:9], model.predict(new[:9]), rtol=1e-12)
    assert model.predict(new[:0]).shape == (0,)


def test_a_loose_tolerance_takes_fewer_points_and_says_nearly_the_same() -> None:
    rows, new = cars(900), cars(40, seed=9)
    target = prices(rows)
    close, loose = fitted(rows, target), fitted(rows, target, tolerance=0.01)
    points = [sum(len(effect.points) for effect in model.effects()) for model in (close, loose)]
    assert points[1] < 0.8 * points[0]
    np.testing.assert_allclose(loose.predict(new), close.predict(new), atol=0.05)


def test_noise_and_effects_are_learned_from_the_rows() -> None:
    rows = cars(1500)
    target = prices(rows)
    data = Data(rows, target, np.ones(1500), np.full(1500, 3.0), COLUMNS, NUMERIC)
    wrong = [dict(term) | {"sd": sd} for term, sd in zip(TERMS, (0.6, 0.3, 0.6), strict=True)]
    start = Hyperparameters(wrong, 2.5 * NOISE)
    found = learned(start, data, "model", None, steps=80)
    assert found.noise == pytest.approx(NOISE, rel=0.25)
    assert 0.1 < found.terms[2]["sd"] < 0.45
    assert [term["same"] for term in found.terms] == [term["same"] for term in TERMS]
    again = learned(start, data, "model", None, steps=80)
    assert again == found
