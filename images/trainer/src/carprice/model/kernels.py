"""The kernels that a price is a sum of, and the few points that stand for the many rows of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CHUNK = 1024
_MOST_CODES = 100_003  # of one category


class Term:
    """sd² · [equal in the columns `same`] · exp(-sum of weight · distance² over the columns `near`).

    The distance in a numeric column is the difference; in a category it is 0 or 1. `levels` holds
    how many codes each near category has (0 for a number).
    """

    def __init__(
        self, spec: Mapping[str, Any], columns: Sequence[str], numeric: Sequence[str], levels: Sequence[int]
    ) -> None:
        at = {column: index for index, column in enumerate(columns)}
        self.variance = float(spec["sd"]) ** 2
        self._same = [at[column] for column in spec["same"]]
        self._near = [
            (at[column], column in numeric, float(weight), levels[at[column]])
            for column, weight in spec["near"].items()
        ]
        self.columns = sorted({*self._same, *(index for index, *_ in self._near)})
        self.width = 1 + sum(1 if is_number else levels for _, is_number, _, levels in self._near)

    def embed(self, rows: Floats) -> Floats:
        """Points whose squared distances are the weighted distances of this term, of shape (n, width)."""
        points = np.zeros((len(rows), self.width))
        place = 1
        for index, is_number, weight, levels in self._near:
            if is_number:
                points[:, place] = np.sqrt(weight) * rows[:, index]
                place += 1
            else:
                codes = rows[:, index].astype(np.int64) + 1
                codes[codes >= levels] = 0  # never seen either
                points[np.arange(len(rows)), place + codes] = np.sqrt(weight / 2)
                place += levels
        return points

    def embed_one(self, row: Sequence[float]) -> tuple[list[float], float]:
        """The point of one row, as `embed` makes it, and its squared length; arrays would cost more."""
        point, norm, place = [0.0] * self.width, 0.0, 1
        for index, is_number, weight, levels in self._near:
            if is_number:
                value = weight**0.5 * row[index]
                point[place] = value
                norm += value * value
                place += 1
            else:
                code = int(row[index]) + 1
                point[place + (code if code < levels else 0)] = (weight / 2) ** 0.5
                norm += weight / 2
                place += levels
        return point, norm

    def group_one(self, row: Sequence[float]) -> int:
        """What `group` gives for one row."""
        key = 0
        for index in self._same:
            key = key * _MOST_CODES + int(row[index]) + 1
        return key

    def group(self, rows: Floats) -> Integers:
        """An integer per row, equal for rows that are equal in all columns of `same`."""
        key = np.zeros(len(rows), dtype=np.int64)
        for index in self._same:
            key = key * _MOST_CODES + rows[:, index].astype(np.int64) + 1
        return key

    def codes(self, group: Integers) -> dict[int, Integers]:
        """The codes from which `group` made its integers, by column of `same`."""
        codes = {}
        for index in reversed(self._same):
            group, code = np.divmod(group, _MOST_CODES)
            codes[index] = code - 1
        return codes

    def places(self, columns: Collection[int]) -> list[int]:
        """Which columns of the embedded points tell of some columns."""
        places: list[int] = []
        place = 1
        for index, is_number, _, levels in self._near:
            width = 1 if is_number else levels
            if index in columns:
                places += range(place, place + width)
            place += width
        return places

    def covariance(self, a: Floats, b: Floats, norms: Floats | None = None) -> Floats:
        """The covariance of two sets of embedded points of one group, of shape (len(a), len(b)).

        `norms` are the squared lengths of `b`, where they are known.
        """
        d = a @ b.T
        d *= 2
        d -= squared_norms(a)[:, None]
        d -= (squared_norms(b) if norms is None else norms)[None]
        np.minimum(d, 0, out=d)
        np.exp(d, out=d)
        d *= self.variance
        covariance: Floats = d
        return covariance


class Inducing(NamedTuple):
    """A few points of one group of a term that stand for all of its rows.

    The term's covariance of two rows is close to the product of their features, the covariances of each
    with `points`, of shape (r, width), divided by `factor`, lower triangular of shape (r, r).
    """

    points: Floats
    factor: Floats

    def features(self, term: Term, points: Floats) -> Floats:
        """The features of embedded points of this group, of shape (n, r)."""
        covariance = term.covariance(self.points, points)
        features: Floats = solve_lower(self.factor, covariance).T
        return features

    def point_weights(self, weights: Floats) -> Floats:
        """What each of `points` is to be multiplied by where each feature is by `weights`, of shape (r,)."""
        return solve_lower(self.factor, weights, transposed=True)


def inducing(term: Term, points: Floats, tolerance: float, most: int) -> Inducing:
    """Choose at most `most` of the distinct embedded `points` (of one group).

    The next is always the one of which the chosen ones tell least, until all of them leave less than
    `tolerance` of a variance untold. Source: Fine and Scheinberg, Efficient SVM Training Using Low-Rank
    Kernel Representations (2001), the pivoted incomplete Cholesky factorisation.
    """
    most = min(most, len(points))
    features = np.empty((most, len(points)))
    untold = np.full(len(points), term.variance)
    norms = squared_norms(points)
    chosen: list[int] = []
    for rank in range(most):
        worst = int(np.argmax(untold))
        if untold[worst] <= tolerance:
            break
        row = 2 * (points @ points[worst])
        row -= norms
        row -= norms[worst]
        np.minimum(row, 0, out=row)
        np.exp(row, out=row)
        row *= term.variance
        row -= features[:rank, worst] @ features[:rank]
        row /= np.sqrt(untold[worst])
        features[rank] = row
        row = row * row
        untold -= row
        untold[worst] = 0
        chosen.append(worst)
    return Inducing(
        np.ascontiguousarray(points[chosen]), np.ascontiguousarray(features[: len(chosen), chosen].T)
    )


def squared_norms(points: Floats) -> Floats:
    """The squared length of each point, of shape (n,)."""
    norms: Floats = np.einsum("ij,ij->i", points, points)
    return norms


def lower_factor(matrix: Floats) -> Floats:
    """The lower triangular Cholesky factor of a symmetric matrix, (n, n). Raises `LinAlgError`."""
    # LAPACK itself: models have thousands of small matrices, and what SciPy does around a call takes longer.
    factor, failed = lapack.dpotrf(matrix.T, lower=1, clean=1)
    if failed:
        raise np.linalg.LinAlgError(f"the leading {failed} rows are not positive definite")
    lower: Floats = factor
    return lower


def solve_lower(lower: Floats, right: Floats, transposed: bool = False) -> Floats:
    """x of lower @ x = right, or of lower.T @ x = right; lower is (n, n), right (n,) or (n, m)."""
    if not right.size:
        return right.copy()
    solved: Floats
    if lower.flags.f_contiguous:
        solved, failed = lapack.dtrtrs(lower, right, lower=1, trans=int(transposed))
    else:
        solved, failed = lapack.dtrtrs(lower.T, right, lower=0, trans=int(not transposed))
    if failed:
        raise np.linalg.LinAlgError(f"row {failed} has nothing on the diagonal")
    return solved
