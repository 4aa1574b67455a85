"""How sure a nested regression is of the course of an effect: of the market level from day to day.

The effects of a column alone, such as those of the day, belong to all rows and to the widest groups. Given
the weights of all rows those of the groups are independent, so the variance of a mean over groups is that of
its share in the weights of all rows, and what each group adds.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 2.1.2, the posterior
of the weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from carprice.model.kernels import Floats, solve_lower
from carprice.model.nested import NestedRegression, Node

_POINTS = 61


class Course(NamedTuple):
    """The column that is followed, and t of its values; the last one is what the others are compared with."""

    column: str
    values: Floats


class Deviations(NamedTuple):
    """The posterior standard deviation of the difference between each value of a course and the last one.

    `values` are those of the course, of shape (t,). `everywhere` of shape (t,) is the deviation of the mean
    over all rows of the widest groups, `groups` has the codes of these g groups, and `of_groups`, of shape
    (g, t), the deviation of each.
    """

    values: Floats
    everywhere: Floats
    groups: Floats
    of_groups: Floats


def course_of_months(months: Floats, terms: Sequence[Mapping[str, Any]]) -> Course | None:
    """The course of the market level over the `month` of n rows; None where no term knows a level."""
    if not any(set(term["near"]) == {"month"} for term in terms):
        return None
    return Course("month", np.linspace(months.min(), 0, _POINTS))


def deviations(
    regression: NestedRegression, terms: Collection[int], column: int, widest: int, values: Floats
) -> Deviations:
    """The deviations by the last `solve`; `terms` are the places of those that look at the column alone.

    `column` is the column that is followed and `widest` the one of the widest groups, as the regression
    knows the columns.
    """
    root, groups = regression.root, regression.root.children
    slopes = np.zeros((len(values), root.width))
    own = np.zeros(len(values))
    found = np.zeros((len(groups), len(values)))
    codes = np.zeros(len(groups))
    for place, group in enumerate(groups):
        rows = np.zeros((len(values), regression.rows.shape[1]))
        codes[place] = regression.rows[group.start, widest]
        rows[:, column], rows[:, widest] = values, codes[place]
        features = regression.features_of([root, group], rows) * _looks_at([root, group], terms)
        features -= features[-1]
        given = solve_lower(group.lower, features[:, root.width :].T)
        slope = features[:, : root.width] - given.T @ group.outer
        variance = np.einsum("ij,ij->j", given, given)
        found[place] = np.sqrt(_of_all(root, slope) + variance)
        share = (group.stop - group.start) / (root.stop - root.start)
        slopes += share * slope
        own += share**2 * variance
    return Deviations(values, np.sqrt(_of_all(root, slopes) + own), codes, found)


def _of_all(root: Node, slopes: Floats) -> Floats:
    """The variance that the weights of all rows give to what has these slopes, of shape (t,)."""
    solved = solve_lower(root.lower, slopes.T)
    variance: Floats = np.einsum("ij,ij->j", solved, solved)
    return variance


def _looks_at(path: list[Node], terms: Collection[int]) -> npt.NDArray[np.bool_]:
    """Which features of the nodes of a path belong to the terms."""
    parts = [
        np.full(sum(len(chosen.points) for _, chosen in basis.groups.values()), basis.term in terms)
        for node in path
        for basis in node.bases
    ]
    return np.concatenate([np.zeros(0, dtype=bool), *parts])
