"""Regression on effects of nested groups, such as all cars, makes and models, for any number of rows.

The effects of a group are a few features of its rows (`carprice.model.kernels.Inducing`) with weights of
prior variance 1. Rows of different groups of one level share no feature of that level. So the weights of
each group are eliminated, given those of the groups around it, from the models up to all cars; then the
weights follow from all cars down. The result is that of one large ridge regression on all features.
Memory grows with the rows times the features of one row, time with the rows times their square.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), sections 8.3 (subset of
regressors, and its deterministic rest as noise) and 5.4.2 (leave-one-out in closed form); Snelson and
Ghahramani, Sparse Gaussian Processes using Pseudo-inputs (2006), for the rest as noise of each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from carprice.model.kernels import Floats, Inducing, Integers, Term, inducing, lower_factor, solve_lower

# Distinct points of a group among which those are chosen that stand for all.
CANDIDATES = 4096
_CHUNK = 4096
_KEPT_BYTES = 300 << 20  # of features; with more rows they are made again whenever they are needed


class Solution(NamedTuple):
    """For each row its fitted value and x' A⁻¹ x, the variance of that value: both of shape (n,)."""

    mean: Floats
    variance: Floats


@dataclass
class _Basis:
    """The features of one term for the rows of a node: of each of the term's groups a few columns."""

    term: int
    groups: dict[int, tuple[slice, Inducing]]


@dataclass
class Node:
    """The rows `start` to `stop` of the sorted rows, which are equal in the columns up to a level."""

    start: int
    stop: int
    bases: list[_Basis]
    width: int  # number of its own features
    children: list[Node] = field(default_factory=list)
    # The Cholesky factor of its own block, that block's share in the features around it, the right side.
    lower: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    outer: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    right: Floats = field(default_factory=lambda: np.zeros(0))
    weights: Floats = field(default_factory=lambda: np.zeros(0))


class _Around(NamedTuple):
    """What is known of the features around a node: their weights and the covariance of these."""

    weights: Floats
    covariance: Floats


class _Rows(NamedTuple):
    """Equations as rows, each with noise of variance 1: features of shape (n, columns), target (n,)."""

    features: Floats
    target: Floats


class _Sums(NamedTuple):
    """Equations as their normal equations: of shape (columns, columns) and (columns,)."""

    matrix: Floats
    right: Floats

    def add(self, rows: Sequence[_Rows], sums: _Rows | _Sums | None = None) -> None:
        """Add equations to these."""
        if rows:
            together = _together(rows, len(self.right))
            self.matrix[...] += together.features.T @ together.features
            self.right[...] += together.features.T @ together.target
        if isinstance(sums, _Sums):
            self.matrix[...] += sums.matrix
            self.right[...] += sums.right


# Rows where they are fewer than the columns, else sums.
_Equations = _Rows | _Sums


class NestedRegression:
    """The features of `rows`, of shape (n, columns), and the solutions for targets and noises.

    `nesting` are indices of columns, the widest groups first; each group lies inside one of the column
    before it. `levels` has for each term the number of these columns in which its rows are equal. A term
    leaves at most `tolerance` of its variance untold, unless it would take more than `most` points of a
    group; `untold` of shape (n,) is what all terms leave of each row.
    `rows` are sorted; `root` is the node of all of them.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        levels: Sequence[int],
        rows: Floats,
        nesting: Sequence[int],
        tolerance: float,
        most: int,
    ) -> None:
        self._terms, self._levels = terms, levels
        self._tolerance, self._most = tolerance, most
        self._random = np.random.default_rng(0)
        keys = [rows[:, column] for column in reversed(nesting)]
        self._order = np.lexsort(keys) if keys else np.arange(len(rows))
        self.rows = rows[self._order]
        del rows  # so that a caller who keeps none has room for what follows
        self._nesting = list(nesting)
        self._kept: dict[int, Floats] = {}
        self.untold = np.zeros(len(self.rows))
        self.root = self._node(0, len(self.rows), 0)
        self._keeps = (
            4
            * sum(
                (leaf.stop - leaf.start) * sum(node.width for node in path)
                for path in _paths(self.root, [])
                for leaf in path[-1:]
            )
            <= _KEPT_BYTES
        )
        for path in _paths(self.root, []):
            for start, stop, features in self._features(path):
                told = np.einsum("ij,ij->i", features, features)
                self.untold[self._order[start:stop]] = np.maximum(self._variance() - told, 0)

    def solve(self, target: Floats, noise: Floats) -> Solution:
        """Fit to `target` of shape (n,), whose errors have the variances `noise` of shape (n,)."""
        target, noise = target[self._order], noise[self._order]
        self._eliminate([self.root], target, noise)
        mean, variance = np.empty(len(target)), np.empty(len(target))
        nothing = _Around(np.zeros(0), np.zeros((0, 0)))
        self._substitute([self.root], nothing, mean, variance)
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(back))
        return Solution(mean[back], variance[back])

    def altered(self, places: Integers, versions: Sequence[Floats]) -> tuple[Floats, Floats]:
        """The fitted values of changed rows, and their covariance x' A⁻¹ x with the rows themselves.

        `places` of shape (m,) are training rows, each of `versions` these rows, changed outside of the
        nesting, of shape (m, columns). Both results are of shape (m, versions), by the last `solve`.
        """
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(back))
        sorted_places = back[places]
        means = np.zeros((len(places), len(versions)))
        covariances = np.zeros_like(means)
        for path, around in self._arounds([self.root], _Around(np.zeros(0), np.zeros((0, 0)))):
            leaf = path[-1]
            inside = np.flatnonzero((sorted_places >= leaf.start) & (sorted_places < leaf.stop))
            if not len(inside):
                continue
            own = self.features_of(path, self.rows[sorted_places[inside]])
            for version, changed in enumerate(versions):
                other = self.features_of(path, changed[inside])
                means[inside, version], covariances[inside, version] = _read(leaf, around, other, own)
        return means, covariances

    def covariances(self, together: Integers) -> Iterator[tuple[Integers, Floats]]:
        """For each number of `together`, of shape (n,), that several rows of one leaf have: their places and
        the covariance x' A⁻¹ x of their fitted values, by the last `solve`."""
        number = together[self._order]
        for path, around in self._arounds([self.root], _Around(np.zeros(0), np.zeros((0, 0)))):
            leaf = path[-1]
            inside = number[leaf.start : leaf.stop]
            by_number = np.argsort(inside, kind="stable")
            starts = np.flatnonzero(np.diff(inside[by_number], prepend=inside[by_number[:1]] - 1))
            for members in np.split(by_number, starts[1:]):
                if len(members) < 2:
                    continue
                places = leaf.start + members
                given, rest = _given(leaf, self.features_of(path, self.rows[places]))
                yield self._order[places], given.T @ given + rest @ around.covariance @ rest.T

    def pack(self) -> list[dict[str, Floats]]:
        """For each term its groups, where the points of each start, the points and their weights."""
        found: list[list[tuple[int, Floats, Floats]]] = [[] for _ in self._terms]
        for node in _nodes(self.root):
            place = 0
            for basis in node.bases:
                for group, (columns, points) in basis.groups.items():
                    weights = node.weights[place + columns.start : place + columns.stop]
                    found[basis.term].append((group, points.points, points.point_weights(weights)))
                place += _width(basis)
        packed = []
        for term, groups in zip(self._terms, found, strict=True):
            groups.sort(key=lambda entry: entry[0])
            packed.append(
                {
                    "groups": np.array([group for group, _, _ in groups], dtype=np.float64),
                    "starts": np.cumsum([0, *(len(points) for _, points, _ in groups)]),
                    "points": np.vstack([np.zeros((0, term.width)), *(points for _, points, _ in groups)]),
                    "weights": np.concatenate([np.zeros(0), *(weights for _, _, weights in groups)]),
                }
            )
        return packed

    def _variance(self) -> float:
        return float(sum(term.variance for term in self._terms))

    def _node(self, start: int, stop: int, level: int) -> Node:
        bases = [
            self._basis(index, start, stop)
            for index, (term, its) in enumerate(zip(self._terms, self._levels, strict=True))
            if its == level
        ]
        node = Node(start, stop, bases, sum(map(_width, bases)))
        if level < max(self._levels):
            key = self.rows[start:stop, self._nesting[level]]
            ends = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), stop - start]
            node.children = [self._node(start + a, start + b, level + 1) for a, b in pairwise(ends)]
        return node

    def _basis(self, index: int, start: int, stop: int) -> _Basis:
        term = self._terms[index]
        distinct = np.unique(self.rows[start:stop][:, term.columns], axis=0)
        rows = np.zeros((len(distinct), self.rows.shape[1]))
        rows[:, term.columns] = distinct
        key = term.group(rows)
        groups, place = {}, 0
        for group in np.unique(key).tolist():
            members = np.flatnonzero(key == group)
            if len(members) > CANDIDATES:
                members = np.sort(self._random.choice(members, CANDIDATES, replace=False))
            chosen = inducing(term, term.embed(rows[members]), self._tolerance, self._most)
            groups[group] = (slice(place, place + len(chosen.points)), chosen)
            place += len(chosen.points)
        return _Basis(index, groups)

    def _features(self, path: Sequence[Node]) -> Iterator[tuple[int, int, Floats]]:
        """From where to where, and the features of these rows of the last node, in chunks."""
        leaf = path[-1]
        for start in range(leaf.start, leaf.stop, _CHUNK):
            stop = min(start + _CHUNK, leaf.stop)
            features = self._kept.get(start)
            if features is None:
                features = self.features_of(path, self.rows[start:stop])
                if self._keeps:
                    self._kept[start] = features.astype(np.float32)
            yield start, stop, features.astype(np.float64)

    def features_of(self, path: Sequence[Node], rows: Floats) -> Floats:
        """The features of rows that belong to the last node: those of the first node of the path first."""
        features = np.zeros((len(rows), sum(node.width for node in path)))
        place = 0
        for basis in (basis for node in path for basis in node.bases):
            term = self._terms[basis.term]
            points, key = term.embed(rows), term.group(rows)
            for group, (columns, chosen) in basis.groups.items():
                if len(chosen.points) == 0:
                    continue
                members = np.flatnonzero(key == group)
                if len(members):
                    columns = slice(place + columns.start, place + columns.stop)
                    features[members, columns] = chosen.features(term, points[members])
            place += _width(basis)
        return features

    def _eliminate(self, path: list[Node], target: Floats, noise: Floats) -> _Equations:
        """Eliminate the last node's features; returns the equations of the features around it."""
        node, total = path[-1], sum(node.width for node in path)
        around = total - node.width
        known = self._known(path, total, target, noise)
        if isinstance(known, _Rows):
            inside, outside = known.features[:, around:], known.features[:, :around]
            own, cross, right = inside.T @ inside, inside.T @ outside, inside.T @ known.target
        else:
            own, cross = known.matrix[around:, around:], known.matrix[around:, :around]
            right = known.right[around:]
        own[np.diag_indices_from(own)] += 1
        node.lower = lower_factor(own)
        node.outer = solve_lower(node.lower, cross)
        node.right = solve_lower(node.lower, right)
        if isinstance(known, _Rows):
            alike = inside @ inside.T
            alike[np.diag_indices_from(alike)] += 1
            lower = lower_factor(alike)
            solved = solve_lower(lower, np.column_stack([outside, known.target]))
            return _Rows(solved[:, :-1], solved[:, -1])
        return _Sums(
            known.matrix[:around, :around] - node.outer.T @ node.outer,
            known.right[:around] - node.outer.T @ node.right,
        )

    def _known(self, path: list[Node], total: int, target: Floats, noise: Floats) -> _Equations:
        """What the rows of the last node say of all features of the path, its children's eliminated."""
        node = path[-1]
        waiting: list[_Rows] = []
        sums: _Sums | None = None
        if node.children:
            parts: Iterator[_Equations] = (
                self._eliminate([*path, child], target, noise) for child in node.children
            )
        else:
            parts = self._weighted(path, target, noise)
        for part in parts:
            if isinstance(part, _Rows):
                waiting.append(part)
            if isinstance(part, _Sums) or sum(len(rows.target) for rows in waiting) >= max(total, 1):
                sums = sums or _Sums(np.zeros((total, total)), np.zeros(total))
                sums.add(waiting, part)
                waiting.clear()
        if sums is None:
            return _together(waiting, total)
        sums.add(waiting)
        return sums

    def _weighted(self, path: list[Node], target: Floats, noise: Floats) -> Iterator[_Equations]:
        """The rows of a leaf, divided by the standard deviation of their noise."""
        for start, stop, features in self._features(path):
            deviation = np.sqrt(noise[start:stop])
            yield _Rows(features / deviation[:, None], target[start:stop] / deviation)

    def _substitute(self, path: list[Node], around: _Around, mean: Floats, variance: Floats) -> None:
        for its_path, its_around in self._arounds(path, around):
            for start, stop, features in self._features(its_path):
                mean[start:stop], variance[start:stop] = _read(its_path[-1], its_around, features)

    def _arounds(self, path: list[Node], around: _Around) -> Iterator[tuple[list[Node], _Around]]:
        """Each leaf's path with what is known around it, once the weights of the path are known."""
        node = path[-1]
        node.weights = solve_lower(node.lower, node.right - node.outer @ around.weights, transposed=True)
        if not node.children:
            yield path, around
            return
        slope = solve_lower(node.lower, node.outer, transposed=True)
        inverse = solve_lower(node.lower, np.eye(node.width))
        cross = -slope @ around.covariance
        outside = len(around.weights)
        covariance = np.empty((outside + node.width,) * 2)
        covariance[:outside, :outside] = around.covariance
        covariance[outside:, :outside] = cross
        covariance[:outside, outside:] = cross.T
        covariance[outside:, outside:] = inverse.T @ inverse - cross @ slope.T
        inner = _Around(np.concatenate([around.weights, node.weights]), covariance)
        for child in node.children:
            yield from self._arounds([*path, child], inner)


def _read(
    leaf: Node, around: _Around, features: Floats, others: Floats | None = None
) -> tuple[Floats, Floats]:
    """The fitted value of each row of features, and x' A⁻¹ y with its like of `others` (itself if None)."""
    outside = features.shape[1] - leaf.width
    mean = features[:, :outside] @ around.weights + features[:, outside:] @ leaf.weights
    given, rest = _given(leaf, features)
    its_given, its_rest = (given, rest) if others is None else _given(leaf, others)
    covariance = np.einsum("ij,ij->j", given, its_given)
    covariance += np.einsum("ij,ij->i", rest @ around.covariance, its_rest)
    return mean, covariance


def _given(leaf: Node, features: Floats) -> tuple[Floats, Floats]:
    """The rows divided by the leaf's factor, and what of the features around the leaf is not its own."""
    outside = features.shape[1] - leaf.width
    given = solve_lower(leaf.lower, features[:, outside:].T)
    return given, features[:, :outside] - given.T @ leaf.outer


def _together(rows: Sequence[_Rows], columns: int) -> _Rows:
    return _Rows(
        np.vstack([np.zeros((0, columns)), *(part.features for part in rows)]),
        np.concatenate([np.zeros(0), *(part.target for part in rows)]),
    )


def _paths(node: Node, path: list[Node]) -> Iterator[list[Node]]:
    """The nodes from the first to each leaf."""
    path = [*path, node]
    if not node.children:
        yield path
    for child in node.children:
        yield from _paths(child, path)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _width(basis: _Basis) -> int:
    return sum(len(chosen.points) for _, chosen in basis.groups.values())
