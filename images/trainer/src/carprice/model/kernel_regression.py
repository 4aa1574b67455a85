"""Additive kernel regression: a Gaussian process mean with Student-t noise and exact leave-one-out.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2 and 5.4.2
(leave-one-out in closed form); Duvenaud, Nickisch and Rasmussen, Additive Gaussian Processes (2011);
West, Outlier Models and Prior Distributions in Bayesian Linear Regression (1984), for Student-t noise
as a scale mixture of normal distributions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, lapack
from sklearn.base import BaseEstimator, RegressorMixin
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

_CHUNK = 1024
_MOST_CODES = 100_003  # of one category
_MADE = "_made_effects"  # where a fitted model keeps what it makes of its own attributes


class _Term:
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
        self._width = 1 + sum(1 if is_number else levels for _, is_number, _, levels in self._near)

    def embed(self, rows: Floats) -> Floats:
        """Points whose squared distances are the weighted distances of this term."""
        points = np.zeros((len(rows), self._width))
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

    def group(self, rows: Floats) -> npt.NDArray[np.int64]:
        """An integer per row, equal for rows that are equal in all columns of `same`."""
        key = np.zeros(len(rows), dtype=np.int64)
        for index in self._same:
            key = key * _MOST_CODES + rows[:, index].astype(np.int64) + 1
        return key

    def codes(self, group: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int64]]:
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

    def covariance(self, a: Floats, b: Floats) -> Floats:
        """The covariance of two sets of embedded points of one group, of shape (len(a), len(b))."""
        d = a @ b.T
        d *= 2
        d -= _squared_norms(a)[:, None]
        d -= _squared_norms(b)[None]
        np.minimum(d, 0, out=d)
        np.exp(d, out=d)
        d *= self.variance
        covariance: Floats = d
        return covariance

    def add_covariance(self, rows: Floats, total: Floats) -> None:
        """Add the covariance of `rows` with themselves to `total`, of shape (n, n)."""
        points, group = self.embed(rows), self.group(rows)
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order])) + 1
        for members in np.split(order, ends):
            for start in range(0, len(members), _CHUNK):
                some = members[start : start + _CHUNK]
                total[np.ix_(some, members)] += self.covariance(points[some], points[members])

    def pack(self, rows: Floats, weights: Floats) -> dict[str, Floats]:
        """What predicting takes: distinct points by group, the weights of equal ones summed."""
        distinct, inverse = np.unique(
            np.column_stack([self.group(rows), self.embed(rows)]), axis=0, return_inverse=True
        )
        groups, starts = np.unique(distinct[:, 0], return_index=True)
        return {
            "groups": groups,
            "starts": np.append(starts, len(distinct)),
            "points": np.ascontiguousarray(distinct[:, 1:]),
            "weights": np.bincount(inverse.ravel(), weights=weights, minlength=len(distinct)),
        }


def _squared_norms(points: Floats) -> Floats:
    norms: Floats = np.einsum("ij,ij->i", points, points)
    return norms


class Effect:
    """A fitted term, with what a single prediction would otherwise work out again.

    Its part of a prediction is `weights` times its kernel with each of its n points; that kernel is a
    product over the columns (see `kernel`).
    """

    def __init__(self, term: _Term, packed: Mapping[str, Floats]) -> None:
        self.term = term
        self.columns = term.columns
        self.points = packed["points"]
        self.groups = np.repeat(packed["groups"].astype(np.int64), np.diff(packed["starts"]).astype(np.int64))
        # With the squared norms beside them, a product of points is a squared distance.
        norms = _squared_norms(self.points)
        self._facing = np.column_stack([2 * self.points, -norms, -np.ones(len(norms))])
        # what a kernel of one is multiplied by
        self.weights = term.variance * packed["weights"]
        bounds = pairwise(packed["starts"].tolist())
        self.members = {
            int(group): slice(int(start), int(end))
            for group, (start, end) in zip(packed["groups"].tolist(), bounds, strict=True)
        }

    def predict(self, rows: Floats) -> Floats:
        """This term's part of the prediction for each row, of shape (n,)."""
        inverse: list[int] = []
        if len(rows) > 1:  # in a batch many rows are equal in what this term looks at
            first, inverse = _distinct(rows[:, self.term.columns])
            rows = rows[first]
        points = self.term.embed(rows)
        points = np.column_stack([points, np.ones(len(rows)), _squared_norms(points)])
        rows_of: dict[int, list[int]] = {}
        for row, group in enumerate(self.term.group(rows).tolist()):
            rows_of.setdefault(group, []).append(row)
        out = np.zeros(len(rows))
        for group, members in rows_of.items():
            known = self.members.get(group)
            if known is None:
                continue
            for start in range(0, len(members), _CHUNK):
                some = members[start : start + _CHUNK]
                close = points[some] @ self._facing[known].T
                np.exp(close, out=close)
                out[some] = close @ self.weights[known]
        return out[inverse] if inverse else out

    def kernel(self, rows: Floats, columns: Collection[int]) -> Floats:
        """What some columns make of the kernel of each row with each point, of shape (len(rows), n)."""
        places = self.term.places(columns)
        a, b = self.term.embed(rows)[:, places], self.points[:, places]
        d = 2 * a @ b.T - _squared_norms(a)[:, None] - _squared_norms(b)
        kernel: Floats = np.exp(np.minimum(d, 0))
        for index, codes in self.term.codes(self.groups).items():
            if index in columns:
                kernel *= rows[:, [index]] == codes
        return kernel


def _distinct(rows: Floats) -> tuple[list[int], list[int]]:
    """Where each distinct row comes first, and which of the distinct rows each row is."""
    first: list[int] = []
    seen: dict[bytes, int] = {}
    inverse = []
    for at, row in enumerate(np.ascontiguousarray(rows)):
        place = seen.setdefault(row.tobytes(), len(first))
        if place == len(first):
            first.append(at)
        inverse.append(place)
    return first, inverse


class Embedded(NamedTuple):
    """Rows as one term sees them: rows of different groups are unlike, others as near as their points."""

    group: npt.NDArray[np.int64]
    points: Floats


class Altered(NamedTuple):
    """Training rows as they would be if something else were known of them.

    `places` of shape (m,) says which training rows they are; each of `versions` holds them, changed, as a
    matrix of shape (m, len(columns)).
    """

    places: npt.NDArray[np.int64]
    versions: Sequence[Floats]


class KernelRegressor(RegressorMixin, BaseEstimator):
    """A sum of smooth effects, each one a kernel over some columns of a float matrix.

    `terms` are mappings with `sd` (the effect's standard deviation), `same` (columns in which two rows
    must be equal to inform each other) and `near` (column to weight of its squared distance). `columns`
    names the matrix's columns, `numeric` those that are not integer codes (-1: never seen). `noise` is
    the standard deviation of a target, `nu` the degrees of freedom of its Student-t distribution (None:
    normal), reached in `rounds` of reweighting.

    After fitting, `leave_one_out_` of shape (n,) holds what all other training rows say of each;
    with `Altered` rows, `altered_leave_one_out_` of shape (m, versions) what they say of each version.
    Memory grows with n², time with n³.
    """

    def __init__(
        self,
        terms: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        numeric: Sequence[str],
        noise: float,
        nu: float | None = None,
        rounds: int = 1,
    ) -> None:
        self.terms = terms
        self.columns = columns
        self.numeric = numeric
        self.noise = noise
        self.nu = nu
        self.rounds = rounds

    def fit(
        self,
        rows: Floats,
        target: Floats,
        drop_at: Floats | None = None,
        weight: Floats | None = None,
        altered: Altered | None = None,
    ) -> Self:
        """Fit to `rows` of shape (n, len(columns)) and `target` of shape (n,).

        A target further than `drop_at`, of shape (n,), from its leave-one-out prediction has no say. A row
        of `weight` 0.5, of shape (n,), has twice the variance of noise.
        """
        # The sums of a threaded product depend on how it was divided; one thread gives the same
        # model everywhere.
        with threadpool_limits(1, "blas"):
            return self._fit(rows, target, drop_at, weight, altered)

    def _fit(
        self,
        rows: Floats,
        target: Floats,
        drop_at: Floats | None,
        weight: Floats | None,
        altered: Altered | None,
    ) -> Self:
        self.levels_ = [int(level) + 2 for level in rows.max(axis=0)]
        terms = self._terms()
        covariance = np.zeros((len(rows), len(rows)))
        for term in terms:
            term.add_covariance(rows, covariance)
        self.center_ = float(np.median(target))
        centred = target - self.center_
        usual_noise = np.full(len(target), self.noise**2)
        if weight is not None:
            usual_noise /= weight
        noise = usual_noise
        for _ in range(self.rounds):
            noisy = covariance.copy()
            noisy[np.diag_indices_from(noisy)] += noise
            lower = cholesky(noisy, lower=True, overwrite_a=True, check_finite=False)
            weights = cho_solve((lower, True), centred, check_finite=False)
            inverse, _ = lapack.dtrtri(lower, lower=1, overwrite_c=1)
            precision = np.einsum("ij,ij->j", inverse, inverse)  # the diagonal of the inverse covariance
            self.leave_one_out_ = target - weights / precision
            if altered is not None:
                columns = inverse.T @ inverse[:, altered.places]
            del noisy, lower, inverse
            if self.nu is not None:
                surprise = (target - self.leave_one_out_) ** 2
                spread = 1 / precision - noise + usual_noise
                noise = usual_noise * (self.nu + surprise / spread) / (self.nu + 1)
                if drop_at is not None:
                    noise[np.sqrt(surprise) > drop_at] = 1e6
        if altered is not None:
            # what the weights would be without the row itself
            without = weights[:, None] - columns * (weights / precision)[altered.places]
            known = self.embed(rows)
            self.altered_leave_one_out_ = self.center_ + np.column_stack(
                [
                    np.einsum("ij,ji->i", self.prior_covariance(self.embed(version), known), without)
                    for version in altered.versions
                ]
            )
        self.packed_ = [term.pack(rows, weights) for term in terms]
        return self

    def predict(self, rows: Floats) -> Floats:
        """The prediction for each row, of shape (n,)."""
        predicted: Floats = self.center_ + self.contributions(rows).sum(axis=1)
        return predicted

    def contributions(self, rows: Floats) -> Floats:
        """Each term's part, of shape (n, len(terms)); with `center_` they add up to the prediction."""
        return np.column_stack([effect.predict(rows) for effect in self.effects()])

    def embed(self, rows: Floats) -> list[Embedded]:
        """Rows as each term sees them, for `prior_covariance`."""
        return [Embedded(term.group(rows), term.embed(rows)) for term in self._terms()]

    def prior_covariance(self, a: Sequence[Embedded], b: Sequence[Embedded]) -> Floats:
        """How alike the model holds rows to be before it has seen a price, of shape (len(a), len(b)).

        `a` and `b` are what `embed` gives; the square root of a row's covariance with itself is the
        standard deviation of its target.
        """
        total = np.zeros((len(a[0].group), len(b[0].group)))
        for term, ours, theirs in zip(self._terms(), a, b, strict=True):
            covariance = term.covariance(ours.points, theirs.points)
            total += covariance * (ours.group[:, None] == theirs.group)
        return total

    def _terms(self) -> list[_Term]:
        return [_Term(spec, self.columns, self.numeric, self.levels_) for spec in self.terms]

    def effects(self) -> list[Effect]:
        """The fitted terms, made once for each fit."""
        fitted: list[dict[str, Floats]] | None
        effects: list[Effect]
        fitted, effects = self.__dict__.get(_MADE, (None, []))
        if fitted is not self.packed_:
            effects = [Effect(*pair) for pair in zip(self._terms(), self.packed_, strict=True)]
            # one assignment, so that another thread finds either both or neither
            self.__dict__[_MADE] = (self.packed_, effects)
        return effects

    def __getstate__(self) -> dict[str, Any]:
        """What is saved: without what is made from it again."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != _MADE}
