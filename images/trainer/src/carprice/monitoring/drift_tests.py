"""The statistical tests of drift: how much two samples differ, and how likely that is by chance.

Effects do not grow with the number of rows. They are in the units of Cohen, Statistical Power Analysis for
the Behavioral Sciences (1988): 0.2 is small, 0.5 medium, 0.8 large. P-values are two-sided and not corrected
for other tests; `corrected` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from carprice.model.metrics import Floats
from carprice.monitoring.compared_columns import Integers

Kind = Literal["empty", "new value", "share of a value", "shares", "values", "steps", "price level"]

# Stands for all values of a category that too few rows have for a test of their own.
RARE_VALUES = "(rare values)"
# Power with which a test must see an effect for its absence to count.
POWER = 0.8
# Fewest and most different values of a number that comes in steps, and rows per value.
STEPS, ROWS_PER_STEP = (3, 60), 10
# A value so rare that one more row is many times its share says little by that.
LARGEST_STEP_SCORE = 3.0


@dataclass(frozen=True)
class Difference:
    """The result of one test.

    `before` and `after` are shares; for "values" they are medians, for "price level" median log errors. For
    "steps" `after` is the share of rows that moved one value up (negative: down). `value` is the category
    that the test is about.
    """

    kind: Kind
    effect: float
    p_value: float
    before: float
    after: float
    value: str | None = None


def empty_values(empty: tuple[int, int], rows: tuple[int, int]) -> Difference:
    """Whether the share of empty values changed: Fisher's exact test; the effect is Cohen's h."""
    before, after = empty[0] / rows[0], empty[1] / rows[1]
    p_value = float(_fisher(np.array([empty[0]]), np.array([empty[1]]), *rows)[0])
    return Difference("empty", _cohens_h(before, after), p_value, before, after)


def numbers(before: Floats, after: Floats, log: bool = False) -> Difference:
    """Whether a number is spread differently, for samples of shape (n,) and (m,).

    A rank test sees a shift best, the test of Kolmogorov and Smirnov any other change of shape. The effect
    is the Wasserstein distance in standard deviations of the reference; for a mere shift it is Cohen's d.
    With `log` the logarithms are compared.
    """
    medians = float(np.median(before)), float(np.median(after))
    if log:
        before, after = np.log(before), np.log(after)
    p_value = _smallest(
        stats.mannwhitneyu(after, before, alternative="two-sided", method="asymptotic").pvalue,
        stats.ks_2samp(after, before, method="asymp").pvalue,
    )
    return Difference("values", _distance(before, after), p_value, *medians)


def comes_in_steps(before: Floats, after: Floats) -> bool:
    """Whether a number has few enough values, and enough rows for each, for a test of steps."""
    levels = len(np.unique(np.concatenate([before, after])))
    return (
        STEPS[0] <= levels <= STEPS[1]
        and min(len(before), len(after)) > ROWS_PER_STEP
        and len(before) + len(after) >= ROWS_PER_STEP * levels
    )


def steps(before: Floats, after: Floats, groups: tuple[Integers, Integers] | None = None) -> Difference:
    """Whether a share of the rows moved to the next value, as brackets and years do.

    Compares the mean of the score p(previous value) / p(value) - 1 within each group of rows. That score is
    locally the most powerful one against this change (Cox and Hinkley, Theoretical Statistics (1974),
    section 4.8). Both samples together give the scores, so that a row has the same score in either sample.
    The effect is the share of rows that moved.
    """
    in_groups = groups or (np.zeros(len(before), dtype=np.int64), np.zeros(len(after), dtype=np.int64))
    levels = np.unique(np.concatenate([before, after]))
    places = np.searchsorted(levels, before), np.searchsorted(levels, after)
    found = [_steps_towards(direction, places, in_groups, len(levels)) for direction in (1, -1)]
    moved, direction = (found[0][1], 1) if found[0][0] <= found[1][0] else (found[1][1], -1)
    return Difference("steps", moved, _smallest(found[0][0], found[1][0]), 0.0, direction * moved)


def shares(before: Integers, after: Integers) -> Difference:
    """Whether the mix of values changed, for the counts of each value: chi squared; rare values count as one.

    The effect is Cohen's w, for samples of different size.
    """
    rare = before + after < 2 * ROWS_PER_STEP
    table = np.array(
        [np.append(before[~rare], before[rare].sum()), np.append(after[~rare], after[rare].sum())],
        dtype=np.float64,
    )
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return Difference("shares", 0.0, 1.0, 0.0, 0.0)
    n, m = table.sum(axis=1)
    chi2, p_value, freedom, _ = stats.chi2_contingency(table, correction=False)
    # Without the part that chance adds to the statistic, so that many values alone make no effect.
    effect = float(np.sqrt(max(chi2 - freedom, 0) * (n + m) / (n * m)))
    moved = float(np.abs(table[0] / n - table[1] / m).sum() / 2)
    return Difference("shares", effect, float(p_value), 0.0, moved)


def categories(before: pd.Series, after: pd.Series) -> list[Difference]:
    """Whether the mix of all values changed, and the share of each single value (Fisher's exact test).

    `RARE_VALUES` count in the mix and have no test of their own. Empty for fewer than two values.
    """
    counts = pd.DataFrame({"before": before.value_counts(), "after": after.value_counts()}).fillna(0)
    if len(counts) < 2:
        return []
    was, now = (counts[side].to_numpy(dtype=np.int64) for side in ("before", "after"))
    n, m = len(before), len(after)
    single = np.flatnonzero(counts.index != RARE_VALUES)
    if len(counts) == 2 and len(single) == 2:
        # With two values the share of one says all.
        single = np.array([int(np.argmax(now - was * m / n))])
    p_values = _fisher(was[single], now[single], n, m)
    found = [shares(was, now)]
    for place, p_value in zip(single, p_values, strict=True):
        share = float(was[place] / n), float(now[place] / m)
        kind: Kind = "new value" if was[place] == 0 else "share of a value"
        value = str(counts.index[int(place)])
        found.append(Difference(kind, _cohens_h(*share), float(p_value), *share, value))
    return found


def price_level(before: Floats, after: Floats) -> Difference:
    """Whether the median of log(asking price / predicted price) moved; the effect is the shift as a share."""
    medians = float(np.median(before)), float(np.median(after))
    p_value = stats.mannwhitneyu(after, before, alternative="two-sided", method="asymptotic").pvalue
    return Difference("price level", float(np.expm1(abs(medians[1] - medians[0]))), float(p_value), *medians)


def corrected(p_values: Sequence[float], columns: int) -> Floats:
    """P-values of the tests of one column, corrected for their number and for `columns` (Bonferroni).

    At most 1. A test without a p-value counts as 1: both samples hold the same single value.
    """
    if len(p_values) == 0:
        return np.zeros(0)
    # statsmodels corrects p-values that it gets all at once, and Evidently tests one column at a time.
    found: Floats = np.minimum(1.0, columns * _bonferroni(p_values))
    return found


def rare_values(before: pd.Series, after: pd.Series, level: float) -> set[str]:
    """The values that too few rows have for a test of their own ever to give a p-value of at most `level`.

    The numbers of rows alone decide that, so these tests need not count in a correction. Source: Tarone, A
    Modified Bonferroni Method for Discrete Data, Biometrics 46 (1990).
    """
    rows = pd.concat([before, after]).value_counts()
    n, m = int(before.notna().sum()), int(after.notna().sum())
    total = rows.to_numpy(dtype=np.int64)
    seen = stats.hypergeom(n + m, total, m)
    most, least = np.minimum(total, m), np.maximum(total - n, 0)
    smallest_p_value = 2 * np.minimum(seen.pmf(most), seen.pmf(least))
    return set(rows.index[smallest_p_value > level])


def detectable_effect(rows: tuple[int, int], level: float, spread: float = 1.0) -> float:
    """The smallest effect that a test at this level sees with `POWER`; infinite without rows.

    By the normal approximation. `spread` is what one row contributes, in units of the effect.
    """
    if min(rows) == 0:
        return float("inf")
    z = stats.norm.isf(level / 2) + stats.norm.ppf(POWER)
    return float(z * spread * np.sqrt(1 / rows[0] + 1 / rows[1]))


def _bonferroni(p_values: Sequence[float]) -> Floats:
    known = np.nan_to_num(p_values, nan=1.0)
    # Among the methods for any dependence Holm's sees a little more, but statsmodels collects all garbage of
    # the process in it, which takes longer than the rest of a comparison.
    found: Floats = multipletests(known, method="bonferroni")[1]
    return found


def _smallest(*p_values: float) -> float:
    """The smallest p-value of several tests of the same thing, corrected for their number."""
    return float(_bonferroni(p_values).min())


def _distance(before: Floats, after: Floats) -> float:
    low, high = np.quantile(np.concatenate([before, after]), (0.005, 0.995))
    before, after = np.clip(before, low, high), np.clip(after, low, high)
    spread = float(before.std()) or float(np.concatenate([before, after]).std())
    return float(stats.wasserstein_distance(before, after)) / spread if spread else 0.0


def _steps_towards(
    direction: int, places: tuple[Integers, Integers], groups: tuple[Integers, Integers], levels: int
) -> tuple[float, float]:
    """The one-sided p-value of steps up (1) or down (-1), and the share of rows that moved."""
    total = variance = expected = 0.0
    for group in np.unique(groups[1]):
        before, after = (place[in_group == group] for place, in_group in zip(places, groups, strict=True))
        if min(len(before), len(after)) < 2:
            continue
        both = np.concatenate([before, after])
        rows = np.bincount(both, minlength=levels).astype(np.float64)
        neighbour = np.roll(rows, direction)
        neighbour[0 if direction == 1 else -1] = 0
        score = np.clip(neighbour / np.maximum(rows, 1) - 1, None, LARGEST_STEP_SCORE)
        weight = len(before) * len(after) / len(both)
        total += weight * float(score[after].mean() - score[before].mean())
        variance += weight * float(score[both].var())
        all_moved = np.clip(before + direction, 0, levels - 1)
        expected += weight * float(score[all_moved].mean() - score[before].mean())
    if variance <= 0 or expected <= 0:
        return 1.0, 0.0
    return float(stats.norm.sf(total / np.sqrt(variance))), float(np.clip(total / expected, 0, 1))


def _cohens_h(before: float, after: float) -> float:
    """The distance of two shares on the scale on which a share has the same variance everywhere."""
    return float(abs(2 * np.arcsin(np.sqrt(after)) - 2 * np.arcsin(np.sqrt(before))))


def _fisher(before: Integers, after: Integers, n: int, m: int) -> Floats:
    """P-values of Fisher's exact test, twice the smaller tail, for counts `before` of n and `after` of m."""
    seen = stats.hypergeom(n + m, after + before, m)
    p_values: Floats = np.minimum(1.0, 2 * np.minimum(seen.cdf(after), seen.sf(after - 1)))
    return p_values
