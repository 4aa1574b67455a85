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
from sklearn.base import BaseEstimator, RegressorMixin
from threadpoolctl import threadpool_limits

from carprice.model.course import Course, deviations
from carprice.model.kernels import Floats, Integers, Term, squared_norms
from carprice.model.nested import NestedRegression

_CHUNK = 1024
# Up to so many rows are predicted one by one: what a batch makes first takes longer than that.
_FEW_ROWS = 12
_MADE = "_made_effects"  # where a fitted model keeps what it makes of its own attributes


class Effect:
    """A fitted term, with what a single prediction would otherwise work out again.

    Its part of a prediction is `weights` times its kernel with each of its n points; that kernel is a
    product over the columns (see `kernel`).
    """

    def __init__(self, term: Term, packed: Mapping[str, Floats]) -> None:
        self.term = term
        self.columns = term.columns
        self.points = packed["points"]
        self.groups = np.repeat(packed["groups"].astype(np.int64), np.diff(packed["starts"]).astype(np.int64))
        # With the squared norms beside them, a product of points is a squared distance.
        norms = squared_norms(self.points)
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
        if len(rows) <= _FEW_ROWS:
            return np.array([self._predict_one(row) for row in rows.tolist()], dtype=np.float64)
        # in a batch many rows are equal in what this term looks at
        first, inverse = _distinct(rows[:, self.term.columns])
        rows = rows[first]
        points = self.term.embed(rows)
        points = np.column_stack([points, np.ones(len(rows)), squared_norms(points)])
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
        return out[inverse]

    def _predict_one(self, row: list[float]) -> float:
        known = self.members.get(self.term.group_one(row))
        if known is None:
            return 0.0
        point, norm = self.term.embed_one(row)
        close = self._facing[known] @ np.array([*point, 1.0, norm])
        np.exp(close, out=close)
        return float(close @ self.weights[known])

    def kernel(self, rows: Floats, columns: Collection[int]) -> Floats:
        """What some columns make of the kernel of each row with each point, of shape (len(rows), n)."""
        places = self.term.places(columns)
        a, b = self.term.embed(rows)[:, places], self.points[:, places]
        d = 2 * a @ b.T - squared_norms(a)[:, None] - squared_norms(b)
        kernel: Floats = np.exp(np.minimum(d, 0))
        for index, codes in self.term.codes(self.groups).items():
            if index in columns:
                kernel *= rows[:, [index]] == codes
        return kernel


def _distinct(rows: Floats) -> tuple[Integers, Integers]:
    """Where each distinct row comes first, and which of the distinct rows each row is."""
    whole = np.ascontiguousarray(rows).view(f"V{rows.shape[1] * rows.itemsize}").ravel()
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return first, inverse


class Embedded(NamedTuple):
    """Rows as one term sees them: rows of different groups are unlike, others as near as their points."""

    group: Integers
    points: Floats
    norms: Floats  # the squared length of each point

    def take(self, rows: Integers) -> Embedded:
        """Some of the rows, by their places."""
        return Embedded(self.group[rows], self.points[rows], self.norms[rows])


class Altered(NamedTuple):
    """Training rows as they would be if something else were known of them.

    `places` of shape (m,) says which training rows they are; each of `versions` holds them, changed, as a
    matrix of shape (m, len(columns)).
    """

    places: Integers
    versions: Sequence[Floats]


class KernelRegressor(RegressorMixin, BaseEstimator):
    """A sum of smooth effects, each one a kernel over some columns of a float matrix.

    `terms` are mappings with `sd` (the effect's standard deviation), `same` (columns in which two rows
    must be equal to inform each other) and `near` (column to weight of its squared distance). `columns`
    names the matrix's columns, `numeric` those that are not integer codes (-1: never seen). `nesting` names
    columns of `same` whose groups lie inside one another, the widest first. `noise` is the standard
    deviation of a target, `nu` the degrees of freedom of its Student-t distribution (None: normal), reached
    in `rounds` of reweighting. Each term is known by at most `most_points` points of a group, fewer where
    they leave no more than `tolerance` of the noise's variance untold.

    After fitting, `leave_one_out_` of shape (n,) holds what all other training rows say of each;
    with `Altered` rows, `altered_leave_one_out_` of shape (m, versions) what they say of each version;
    with rows that are left out `together`, `left_out_` of shape (n,) what the rows of other numbers say.
    """

    # Of a model that an earlier release saved.
    nesting: Sequence[str] = ()
    tolerance: float = 0.003
    most_points: int = 400

    def __init__(
        self,
        terms: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        numeric: Sequence[str],
        noise: float,
        nu: float | None = None,
        rounds: int = 1,
        nesting: Sequence[str] = (),
        tolerance: float = 0.003,
        most_points: int = 400,
    ) -> None:
        self.terms = terms
        self.columns = columns
        self.numeric = numeric
        self.noise = noise
        self.nu = nu
        self.rounds = rounds
        self.nesting = nesting
        self.tolerance = tolerance
        self.most_points = most_points

    def fit(
        self,
        rows: Floats,
        target: Floats,
        drop_at: Floats | None = None,
        weight: Floats | None = None,
        altered: Altered | None = None,
        together: Integers | None = None,
        course: Course | None = None,
    ) -> Self:
        """Fit to `rows` of shape (n, len(columns)) and `target` of shape (n,).

        A target further than `drop_at`, of shape (n,), from its leave-one-out prediction has no say. A row
        of `weight` 0.5, of shape (n,), has twice the variance of noise. Rows of one number of `together`, of
        shape (n,), are left out together in `left_out_`. With a `course`
        `deviations_` tells how sure the effects of its column are.
        """
        # The sums of a threaded product depend on how it was divided; one thread gives the same
        # model everywhere.
        with threadpool_limits(1, "blas"):
            return self._fit(rows, target, drop_at, weight, altered, together, course)

    def _fit(
        self,
        rows: Floats,
        target: Floats,
        drop_at: Floats | None,
        weight: Floats | None,
        altered: Altered | None,
        together: Integers | None,
        course: Course | None,
    ) -> Self:
        self.levels_ = [int(level) + 2 for level in rows.max(axis=0)]
        # Of a million rows with all columns a copy would take a third of a GiB.
        used = [column for column in self.columns if column in self._used()]
        places = [list(self.columns).index(column) for column in used]
        nested = NestedRegression(
            [
                Term(spec, used, self.numeric, [self.levels_[place] for place in places])
                for spec in self.terms
            ],
            [self._level(spec) for spec in self.terms],
            rows[:, places],
            [used.index(column) for column in self.nesting],
            self.tolerance * self.noise**2,
            self.most_points,
        )
        self.center_ = float(np.median(target))
        centred = target - self.center_
        usual_noise = np.full(len(target), self.noise**2)
        if weight is not None:
            usual_noise /= weight
        usual_noise += nested.untold
        noise = usual_noise
        for _ in range(self.rounds):
            mean, variance = nested.solve(centred, noise)
            others = 1 - variance / noise  # the share of the fitted value that is not the row's own
            error = (centred - mean) / others
            used_noise = noise
            if self.nu is not None:
                spread = noise / others - noise + usual_noise
                noise = usual_noise * (self.nu + error**2 / spread) / (self.nu + 1)
                if drop_at is not None:
                    noise[np.abs(error) > drop_at] = 1e6
        self.leave_one_out_ = target - error
        if together is not None:
            self.left_out_ = self.leave_one_out_.copy()
            for members, covariance in nested.covariances(together):
                share = np.eye(len(members)) - covariance / used_noise[members]
                own = np.linalg.solve(share, centred[members] - mean[members])
                self.left_out_[members] = target[members] - own
        if altered is not None:
            versions = [version[:, places] for version in altered.versions]
            said, covariance = nested.altered(altered.places, versions)
            own_share = (error / used_noise)[altered.places]
            self.altered_leave_one_out_ = self.center_ + said - covariance * own_share[:, None]
        if course is not None:
            alone = [i for i, spec in enumerate(self.terms) if set(spec["near"]) == {course.column}]
            column, widest = used.index(course.column), used.index(self.nesting[0])
            self.deviations_ = list(deviations(nested, alone, column, widest, course.values))
        self.packed_ = nested.pack()
        return self

    def predict(self, rows: Floats) -> Floats:
        """The prediction for each row, of shape (n,)."""
        predicted: Floats = self.center_ + self.contributions(rows).sum(axis=1)
        return predicted

    def contributions(self, rows: Floats) -> Floats:
        """Each term's part, of shape (n, len(terms)); with `center_` they add up to the prediction."""
        return np.column_stack([effect.predict(rows) for effect in self.effects()])

    def embed(self, rows: Floats, apart_from: Collection[str] = ()) -> list[Embedded]:
        """Rows as each term sees them, for `prior_covariance`, apart from terms that look at some columns."""
        terms = self._terms(apart_from)
        points = [term.embed(rows) for term in terms]
        return [
            Embedded(term.group(rows), each, squared_norms(each))
            for term, each in zip(terms, points, strict=True)
        ]

    def prior_covariance(
        self, a: Sequence[Embedded], b: Sequence[Embedded], apart_from: Collection[str] = ()
    ) -> Floats:
        """How alike the model holds rows to be before it has seen a price, of shape (len(a), len(b)).

        `a` and `b` are what `embed` gives apart from the same columns.
        """
        total = np.zeros((len(a[0].group), len(b[0].group)))
        for term, ours, theirs in zip(self._terms(apart_from), a, b, strict=True):
            for group in np.unique(ours.group):
                rows, columns = ours.group == group, theirs.group == group
                if columns.all():  # without a copy of all points
                    total[rows] += term.covariance(ours.points[rows], theirs.points, theirs.norms)
                else:
                    points, norms = theirs.points[columns], theirs.norms[columns]
                    total[np.ix_(rows, columns)] += term.covariance(ours.points[rows], points, norms)
        return total

    def prior_bound(
        self, one: Sequence[Embedded], b: Sequence[Embedded], apart_from: Collection[str] = ()
    ) -> Floats:
        """The most that `prior_covariance` of one row with each of n others can be, of shape (n,).

        Terms tell rows of different groups apart without a look at their points.
        """
        bound = np.zeros(len(b[0].group))
        for term, ours, theirs in zip(self._terms(apart_from), one, b, strict=True):
            np.add(bound, term.variance, out=bound, where=theirs.group == ours.group[0])
        return bound

    def prior_variance(self, apart_from: Collection[str] = ()) -> float:
        """The prior covariance of any row with itself: its root is the standard deviation of a target."""
        return sum(term.variance for term in self._terms(apart_from))

    def _level(self, spec: Mapping[str, Any]) -> int:
        """In how many of the nested columns rows of a term are equal."""
        return max((place + 1 for place, name in enumerate(self.nesting) if name in spec["same"]), default=0)

    def _used(self) -> set[str]:
        """The columns that terms or `nesting` look at."""
        return {column for spec in self.terms for column in (*spec["same"], *spec["near"])} | {*self.nesting}

    def _terms(self, apart_from: Collection[str] = ()) -> list[Term]:
        return [
            Term(spec, self.columns, self.numeric, self.levels_)
            for spec in self.terms
            if not set(apart_from) & spec["near"].keys()
        ]

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
