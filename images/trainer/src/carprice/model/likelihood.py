"""The standard deviations and weights of effects, learned from the rows by their marginal likelihood.

The likelihood is that of small blocks of rows, each exact by itself, so that a step costs the same however
many rows there are. A part of a block are near rows of a few innermost groups (such as models), which tell
of small differences; the rest are any rows, which tell of large ones. Student-t noise enters as weights of
the rows, as in `KernelRegressor`. A prior holds each number to its start where the rows say little.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 5.4.1; Varin, Reid
and Firth, An Overview of Composite Likelihood Methods (2011); Kingma and Ba, Adam (2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, lapack
from threadpoolctl import threadpool_limits

from carprice.model.kernels import Floats, Integers

Singles = npt.NDArray[np.float32]

# Prior standard deviations of the logarithms: of an effect's `sd`, of a weight, of the noise.
_PRIOR_SD, _PRIOR_WEIGHT, _PRIOR_NOISE = 0.7, 1.5, 0.5
BLOCK_ROWS = 500
_GROUPS_OF_BLOCK = 4  # innermost groups whose near rows fill two thirds of a block
_ROUNDS = 3  # of reweighting
_NO_SAY = 1e6  # variance of a row that is out of the range of its like
_RATE, _MEAN_DECAY, _SQUARE_DECAY = 0.06, 0.9, 0.98


class Hyperparameters(NamedTuple):
    """Terms as `KernelRegressor` takes them, and the standard deviation of its noise."""

    terms: list[dict[str, Any]]
    noise: float


class Data(NamedTuple):
    """What is learned from: a matrix of shape (n, len(columns)), and of each row, of shape (n,): its target,
    the variance of its noise against that of the others, and how far it may be from what its like say."""

    rows: Floats
    target: Floats
    noise_ratio: Floats
    drop_at: Floats
    columns: Sequence[str]
    numeric: Sequence[str]


def learned(
    start: Hyperparameters, data: Data, group: str | None, nu: float | None, steps: int, seed: int = 0
) -> Hyperparameters:
    """The hyperparameters that `steps` steps from `start` lead to; `group` is the column of innermost groups.

    A column in which all rows are equal is left as it is. Reproducible: equal data give equal results.
    """
    with threadpool_limits(1, "blas"):
        return _learned(_Kernels(start, data), data, group, nu, steps, np.random.default_rng(seed))


def _learned(
    kernels: _Kernels,
    data: Data,
    group: str | None,
    nu: float | None,
    steps: int,
    random: np.random.Generator,
) -> Hyperparameters:
    first = kernels.start
    deviation = kernels.prior_deviation
    theta, mean, square = first.copy(), np.zeros_like(first), np.zeros_like(first)
    last: list[Floats] = []
    for step in range(steps):
        chosen = _block(data, group, random)
        gradient = kernels.gradient(theta, chosen, nu) / len(chosen)
        gradient += (theta - first) / deviation**2 / len(data.rows)
        mean = _MEAN_DECAY * mean + (1 - _MEAN_DECAY) * gradient
        square = _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * gradient**2
        direction = mean / (1 - _MEAN_DECAY ** (step + 1))
        direction /= np.sqrt(square / (1 - _SQUARE_DECAY ** (step + 1))) + 1e-8
        theta = theta - _RATE * min(1.0, 3 * (1 - step / steps)) * direction
        if step >= steps * 2 // 3:
            last.append(theta)
    return kernels.hyperparameters(np.mean(last, axis=0) if last else first)


class _Kernels:
    """The terms as a vector of logarithms: of each its sd, then its weights; at last that of the noise."""

    def __init__(self, start: Hyperparameters, data: Data) -> None:
        self._start, self._data = start, data
        at = {column: index for index, column in enumerate(data.columns)}
        varies = np.ptp(data.rows, axis=0) > 0
        self._near = [
            [name for name, weight in term["near"].items() if weight > 0 and varies[at[name]]]
            for term in start.terms
        ]
        self._compared = sorted({name for near in self._near for name in near}, key=at.__getitem__)
        self._at = at
        numbers, deviations = [], []
        for term, near in zip(start.terms, self._near, strict=True):
            numbers += [term["sd"], *(term["near"][name] for name in near)]
            deviations += [_PRIOR_SD, *(_PRIOR_WEIGHT for _ in near)]
        self.start: Floats = np.log([*numbers, start.noise])
        self.prior_deviation: Floats = np.array([*deviations, _PRIOR_NOISE])

    def hyperparameters(self, theta: Floats) -> Hyperparameters:
        """The vector as terms and noise."""
        terms, place = [], 0
        for term, near in zip(self._start.terms, self._near, strict=True):
            values = np.exp(theta[place : place + 1 + len(near)]).tolist()
            place += len(values)
            terms.append(
                {
                    "sd": values[0],
                    "same": list(term["same"]),
                    "near": dict(term["near"]) | dict(zip(near, values[1:], strict=True)),
                }
            )
        return Hyperparameters(terms, float(np.exp(theta[-1])))

    def gradient(self, theta: Floats, chosen: Integers, nu: float | None) -> Floats:
        """The gradient of the negative log likelihood of the block of rows `chosen`."""
        rows, size = self._data.rows[chosen], len(chosen)
        distances = self._distances(rows)
        total = np.zeros((size, size))
        kernels: list[Singles] = []
        for term, near, logs in self._terms(theta):
            kernel = np.exp(-np.exp(logs[1:]) @ distances[self._places(near)]) if near else np.float32(1)
            kernel = kernel * np.exp(2 * logs[0]) * self._equal(rows, term["same"]).ravel()
            kernels.append(kernel)
            total += kernel.reshape(size, size)
        slope, noise = self._slope(total, chosen, float(np.exp(2 * theta[-1])), nu)
        parts: list[Floats] = []
        flat = slope.astype(np.float32).ravel()
        for (_, near, logs), kernel in zip(self._terms(theta), kernels, strict=True):
            kernel = kernel * flat
            parts.append(np.array([2 * kernel.sum(dtype=np.float64)]))
            parts.append(-np.exp(logs[1:]) * (distances[self._places(near)] @ kernel))
        learning = noise < _NO_SAY
        parts.append(np.array([2 * (np.diag(slope) * noise)[learning].sum()]))
        return np.concatenate(parts)

    def _slope(
        self, total: Floats, chosen: Integers, noise: float, nu: float | None
    ) -> tuple[Floats, Floats]:
        """The gradient with respect to the covariance, of shape (n, n), and each row's variance of noise."""
        target = self._data.target[chosen]
        target = target - np.median(target)
        usual = noise * self._data.noise_ratio[chosen]
        used = usual
        for _ in range(_ROUNDS if nu is not None else 1):
            noisy = total.copy()
            noisy[np.diag_indices_from(noisy)] += used
            lower = cholesky(noisy, lower=True, overwrite_a=True, check_finite=False)
            weights = cho_solve((lower, True), target, check_finite=False)
            inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
            precision = np.diag(inverse).copy()
            noise_now = used
            if nu is not None:
                error = weights / precision
                spread = 1 / precision - used + usual
                used = usual * (nu + error**2 / spread) / (nu + 1)
                used[np.abs(error) > self._data.drop_at[chosen]] = _NO_SAY
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        return (inverse - np.outer(weights, weights)) / 2, noise_now

    def _terms(self, theta: Floats) -> list[tuple[Mapping[str, Any], list[str], Singles]]:
        found: list[tuple[Mapping[str, Any], list[str], Singles]] = []
        place = 0
        for term, near in zip(self._start.terms, self._near, strict=True):
            found.append((term, near, theta[place : place + 1 + len(near)].astype(np.float32)))
            place += 1 + len(near)
        return found

    def _places(self, near: Sequence[str]) -> list[int]:
        return [self._compared.index(name) for name in near]

    def _distances(self, rows: Floats) -> Singles:
        """The squared distances in each compared column, of shape (columns, n²)."""
        distances = np.empty((len(self._compared), len(rows), len(rows)), dtype=np.float32)
        for place, name in enumerate(self._compared):
            values = rows[:, self._at[name]].astype(np.float32)
            if name in self._data.numeric:
                distances[place] = (values[:, None] - values) ** 2
            else:
                distances[place] = values[:, None] != values
        return distances.reshape(len(self._compared), -1)

    def _equal(self, rows: Floats, same: Sequence[str]) -> Singles:
        """Which rows are equal in all columns of `same`: ones and zeros of shape (n, n)."""
        equal = np.ones((len(rows), len(rows)), dtype=bool)
        for name in same:
            values = rows[:, self._at[name]]
            equal &= values[:, None] == values
        return equal.astype(np.float32)


def _block(data: Data, group: str | None, random: np.random.Generator) -> Integers:
    """The places of the rows of one block."""
    count = len(data.rows)
    if count <= BLOCK_ROWS:
        return np.arange(count)
    near: list[Integers] = []
    if group is not None:
        key = data.rows[:, list(data.columns).index(group)]
        most = BLOCK_ROWS // (_GROUPS_OF_BLOCK + 2)
        for _ in range(_GROUPS_OF_BLOCK):
            center = int(random.integers(count))
            members = np.flatnonzero(key == key[center])
            if len(members) > most:
                members = members[np.argsort(_distance(data, members, center, random))[:most]]
            near.append(members)
    inside = np.unique(np.concatenate([*near, np.zeros(0, dtype=np.int64)]))
    others = np.setdiff1d(random.choice(count, min(2 * BLOCK_ROWS, count), replace=False), inside)
    return np.concatenate([inside, random.permutation(others)[: BLOCK_ROWS - len(inside)]])


def _distance(data: Data, members: Integers, center: int, random: np.random.Generator) -> Floats:
    """How far rows are from one in the numeric columns, roughly: chance has a part in it."""
    distance = random.random(len(members))
    for place, name in enumerate(data.columns):
        if name in data.numeric:
            distance += np.abs(data.rows[members, place] - data.rows[center, place])
    return distance
