"""Whether two sets of listings differ: how much, how sure, and whether there are enough rows to say.

Every column gets an effect that does not grow with the number of rows, and a p-value that is corrected
for everything else that was looked at; an alarm needs both. Effects are in the units of Cohen,
Statistical Power Analysis for the Behavioral Sciences (1988): 0.2 is small, 0.5 medium, 0.8 large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from carprice.listings.schema import COLUMNS, FEATURES
from carprice.model.metrics import Floats
from carprice.params import DriftParams

Verdict = Literal["stable", "drifted", "too little data"]
Kind = Literal["empty", "new value", "share of a value", "shares", "values", "steps", "price level"]
STABLE: Final = "stable"
DRIFTED: Final = "drifted"
TOO_LITTLE: Final = "too little data"

MILEAGE, PRICE_LEVEL = "mileage_km", "price_at_equal_car"

# Power with which an effect must be seen for its absence to count.
POWER = 0.8
# Fewest and most different values of a number that comes in steps, and rows per value.
STEPS, ROWS_PER_STEP = (3, 60), 10
# A value so rare that one row more is many times its share says little by that.
LARGEST_STEP_SCORE = 3.0
AGE_GROUPS = 3


@dataclass(frozen=True)
class Change:
    """One way in which a column may have changed.

    `effect` is compared with `threshold`; `chance` is the probability of such a change where nothing
    changed, corrected for all that was looked at, at most 1. `before` and `after` are shares, for
    "values" medians, for "price level" median log errors; for "steps" `after` is the share of rows that
    moved one value up (negative: down). `value` is the category it is about.
    """

    kind: Kind
    effect: float
    threshold: float
    chance: float
    before: float
    after: float
    value: str | None = None


@dataclass(frozen=True)
class Finding:
    """What was found in one column.

    `detectable` is the smallest effect that would be seen with a power of 80 % at this number of rows;
    `changes` are the alarms, most striking first; `strongest` is the largest change, alarm or not.
    `empty_reference` and `empty_current` are shares of rows without a value.
    """

    column: str
    verdict: Verdict
    rows_reference: int
    rows_current: int
    empty_reference: float
    empty_current: float
    detectable: float
    strongest: Change | None
    changes: list[Change] = field(default_factory=list)

    @property
    def chance(self) -> float:
        """The corrected probability of the most striking change by chance."""
        return self.changes[0].chance if self.changes else self.strongest.chance if self.strongest else 1.0


@dataclass(frozen=True)
class Comparison:
    """The verdict over all columns, and what was found in each; columns empty on both sides are left out."""

    verdict: Verdict
    rows_reference: int
    rows_current: int
    findings: list[Finding]
    left_out: list[str]

    @property
    def drifted(self) -> list[str]:
        """The columns that drifted, most striking first."""
        return [f.column for f in self.findings if f.verdict == DRIFTED]

    def record(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return {
            "verdict": self.verdict,
            "rows_reference": self.rows_reference,
            "rows_current": self.rows_current,
            "drifted_columns": self.drifted,
            # JSON knows no infinity: without rows nothing is detectable.
            "columns": [
                asdict(f) | {"detectable": f.detectable if np.isfinite(f.detectable) else None}
                for f in self.findings
            ],
            "columns_left_out": self.left_out,
        }


@dataclass(frozen=True)
class _Test:
    """A change with its p-value, not corrected; `attainable` is the smallest that its counts can give."""

    kind: Kind
    effect: float
    p_value: float
    before: float
    after: float
    value: str | None = None
    attainable: float = 0.0


@dataclass
class _Column:
    """A column's families of tests, before the correction for all columns."""

    name: str
    rows: tuple[int, int]
    empty: tuple[float, float]
    families: list[list[_Test]] = field(default_factory=list)
    threshold: float = 0.0
    not_to_miss: float = 0.0
    spread: float = 1.0  # of one row's contribution, in units of the effect


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    params: DriftParams,
    errors: tuple[Floats, Floats] | None = None,
    count_empty: bool = True,
) -> Comparison:
    """Compare listings (canonical columns, n and m rows) feature by feature, and by price where both have it.

    `errors` are log(asked / predicted) of listings that the model was not trained on, before and now, of
    any lengths: the level of prices at an equal car, which shows what the wide spread of prices hides.
    Without `count_empty` more or fewer empty values are no drift (a form is filled in otherwise than an ad).

    Each of the C columns may give a false alarm in `false_alarms` / C of the cases (Bonferroni), shared
    equally by its families of tests: empty values, all values together, steps or single categories.
    """
    rows = len(reference), len(current)
    columns = _columns(reference, current, params, count_empty)
    if errors is not None:
        columns.append(_price_level(*errors, params))
    enough = min(rows) >= params.min_rows
    tested = [c for c in columns if c.families and min(c.rows) > 0 and enough]
    findings = [_finding(column, len(tested), params, enough) for column in columns]
    order = {DRIFTED: 0, TOO_LITTLE: 1, STABLE: 2}
    findings.sort(key=lambda f: (order[f.verdict], f.chance, -(f.strongest.effect if f.strongest else 0)))
    # A column that is mostly empty may stay untold; of the others each must have shown that it is stable.
    untold = [
        f for f in findings if f.verdict == TOO_LITTLE and max(f.empty_reference, f.empty_current) < 0.5
    ]
    verdict: Verdict = TOO_LITTLE if untold or not findings else STABLE
    if any(f.verdict == DRIFTED for f in findings):
        verdict = DRIFTED
    known = {c.name for c in columns} | {"mileage_km_min", "mileage_km_max"}
    return Comparison(verdict, *rows, findings, [c for c in FEATURES if c not in known])


def mileage_of(listings: pd.DataFrame) -> Floats:
    """One mileage of each listing, of shape (n,) in km: the middle of its bracket, NaN unknown."""
    low = listings["mileage_km_min"].to_numpy(dtype=np.float64)
    high = listings["mileage_km_max"].to_numpy(dtype=np.float64)
    middle: Floats = (np.where(np.isnan(low), high, low) + np.where(np.isnan(high), low, high)) / 2
    return middle


def is_number(column: str) -> bool:
    """Whether a column is compared by its values rather than by the share of each."""
    return column in (MILEAGE, "price_mad") or COLUMNS[column].kind == "number"


def values_of(listings: pd.DataFrame, column: str) -> pd.Series:
    """A column as it is compared: float64 (NaN unknown); categories and flags as object (None unknown)."""
    if column == MILEAGE:
        return pd.Series(mileage_of(listings), index=listings.index)
    if is_number(column):
        return listings[column].astype(np.float64)
    values = listings[column].astype(object)
    if COLUMNS[column].kind == "flag":
        return values.map({1.0: "yes", 0.0: "no"}).astype(object)
    return values.where(values.notna(), None)


# --- columns


def _columns(
    reference: pd.DataFrame, current: pd.DataFrame, params: DriftParams, count_empty: bool
) -> list[_Column]:
    wanted = [c for c in FEATURES if c not in ("mileage_km_min", "mileage_km_max")]
    wanted.insert(wanted.index("model_year") + 1, MILEAGE)
    if "price_mad" in reference and "price_mad" in current:
        wanted.append("price_mad")
    ages = _age_groups(reference, current)
    found = []
    for name in wanted:
        if name != MILEAGE and not (reference[name].notna().any() or current[name].notna().any()):
            continue
        before, after = values_of(reference, name), values_of(current, name)
        filled = before.notna().to_numpy(), after.notna().to_numpy()
        if not filled[0].any() and not filled[1].any():
            continue
        column = _Column(
            name,
            (int(filled[0].sum()), int(filled[1].sum())),
            tuple(float(1 - f.mean()) if len(f) else 1.0 for f in filled),  # type: ignore[arg-type]
            threshold=params.effect,
            not_to_miss=params.effect_not_to_miss,
        )
        if count_empty and not (filled[0].all() and filled[1].all()):
            column.families.append([_empty(*filled)])
        if min(column.rows) > 0:
            if is_number(name):
                kept = before.to_numpy()[filled[0]], after.to_numpy()[filled[1]]
                column.families += _number(name, *kept, (ages[0][filled[0]], ages[1][filled[1]]))
            else:
                column.families += _category(before.dropna(), after.dropna())
        found.append(column)
    return found


def _age_groups(
    reference: pd.DataFrame, current: pd.DataFrame
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each listing's group of like age: cars of another age have another mileage."""
    years = [t["model_year"].to_numpy(dtype=np.float64) for t in (reference, current)]
    known = years[0][np.isfinite(years[0])]
    cuts = np.quantile(known, np.arange(1, AGE_GROUPS) / AGE_GROUPS) if len(known) else np.zeros(0)
    before, after = (np.searchsorted(cuts, year) for year in years)
    return before, after


def _empty(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> _Test:
    counts = np.array([(~before).sum()]), np.array([(~after).sum()])
    shares = float((~before).mean()), float((~after).mean())
    p_value = float(_fisher(*counts, len(before), len(after))[0])
    return _Test("empty", abs(_arc(shares[1]) - _arc(shares[0])), p_value, *shares)


def _number(
    name: str, before: Floats, after: Floats, ages: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> list[list[_Test]]:
    medians = float(np.median(before)), float(np.median(after))
    if name == "price_mad":
        before, after = np.log(before), np.log(after)
    distance = _distance(before, after)
    # A shift is what a rank test sees best, any other change of shape is left to the other one.
    p_value = 2 * min(
        stats.mannwhitneyu(after, before, alternative="two-sided", method="asymptotic").pvalue,
        stats.ks_2samp(after, before, method="asymp").pvalue,
    )
    families = [[_Test("values", distance, float(min(p_value, 1)), *medians)]]
    levels = len(np.unique(np.concatenate([before, after])))
    if (
        STEPS[0] <= levels <= STEPS[1]
        and min(len(before), len(after)) > ROWS_PER_STEP
        and len(before) + len(after) >= ROWS_PER_STEP * levels
    ):
        grouped = ages if name == MILEAGE else (np.zeros(len(before), int), np.zeros(len(after), int))
        families.append([_steps(before, after, *grouped)])
    return families


def _distance(before: Floats, after: Floats) -> float:
    """The Wasserstein distance in standard deviations of the reference; of a mere shift it is Cohen's d."""
    low, high = np.quantile(np.concatenate([before, after]), (0.005, 0.995))
    before, after = np.clip(before, low, high), np.clip(after, low, high)
    spread = float(before.std()) or float(np.concatenate([before, after]).std())
    return float(stats.wasserstein_distance(before, after)) / spread if spread else 0.0


def _steps(
    before: Floats,
    after: Floats,
    groups_before: npt.NDArray[np.int64],
    groups_after: npt.NDArray[np.int64],
) -> _Test:
    """Whether a share of the rows moved to the next value, as brackets and years do.

    Compares the mean of the score p(previous value) / p(value) - 1, the locally most powerful one against
    that change (Cox and Hinkley, Theoretical Statistics (1974), section 4.8), within each group. The scores
    come from both sides together, so that they are the same for whichever side a row is on. The effect is
    the share of rows that moved.
    """
    levels = np.unique(np.concatenate([before, after]))
    b, a = np.searchsorted(levels, before), np.searchsorted(levels, after)
    best = _Test("steps", 0.0, 1.0, 0.0, 0.0)
    for direction in (1, -1):
        total = variance = expected = 0.0
        for group in np.unique(groups_after):
            in_b, in_a = b[groups_before == group], a[groups_after == group]
            if min(len(in_b), len(in_a)) < 2:
                continue
            p = np.bincount(np.concatenate([in_b, in_a]), minlength=len(levels)).astype(np.float64)
            neighbour = np.roll(p, direction)
            end = 0 if direction == 1 else -1
            neighbour[end] = 0
            score = np.clip(neighbour / np.maximum(p, 1) - 1, None, LARGEST_STEP_SCORE)
            pooled = score[np.concatenate([in_b, in_a])]
            weight = len(in_b) * len(in_a) / (len(in_b) + len(in_a))
            total += weight * float(score[in_a].mean() - score[in_b].mean())
            variance += weight * float(pooled.var())
            expected += weight * _if_all_moved(in_b, score, direction)
        if variance <= 0 or expected <= 0:
            continue
        p_value = min(1.0, 2 * float(stats.norm.sf(total / np.sqrt(variance))))
        moved = float(np.clip(total / expected, 0, 1))
        if p_value < best.p_value:
            best = _Test("steps", moved, p_value, 0.0, direction * moved)
    return best


def _if_all_moved(places: npt.NDArray[np.int64], score: Floats, direction: int) -> float:
    """How much the mean score of rows at these places of the levels grows when all move to the next one."""
    moved = np.clip(places + direction, 0, len(score) - 1)
    return float(score[moved].mean() - score[places].mean())


def _category(before: pd.Series, after: pd.Series) -> list[list[_Test]]:
    counts = pd.DataFrame({"b": before.value_counts(), "a": after.value_counts()}).fillna(0).astype(int)
    if len(counts) < 2:
        return []
    n, m = len(before), len(after)
    b, a = counts["b"].to_numpy(), counts["a"].to_numpy()
    families = [[_shares(b, a)]]
    # With two values one share says all.
    places = np.arange(len(counts)) if len(counts) > 2 else np.array([int(np.argmax(a - b * m / n))])
    p_values = _fisher(b[places], a[places], n, m)
    attainable = _smallest_fisher((b + a)[places], n, m)
    before_share, after_share = b / n, a / m
    tests = []
    for place, p_value, smallest in zip(places, p_values, attainable, strict=True):
        was, now = float(before_share[place]), float(after_share[place])
        kind: Kind = "new value" if b[place] == 0 else "share of a value"
        tests.append(
            _Test(
                kind,
                abs(_arc(now) - _arc(was)),
                float(p_value),
                was,
                now,
                str(counts.index[place]),
                float(smallest),
            )
        )
    return [*families, tests]


def _shares(b: npt.NDArray[np.int64], a: npt.NDArray[np.int64]) -> _Test:
    """All shares together (chi squared); rare values count as one."""
    rare = b + a < 2 * ROWS_PER_STEP
    table = np.array([np.append(b[~rare], b[rare].sum()), np.append(a[~rare], a[rare].sum())], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return _Test("shares", 0.0, 1.0, 0.0, 0.0)
    n, m = table.sum(axis=1)
    chi2, p_value, freedom, _ = stats.chi2_contingency(table, correction=False)
    # What chance alone adds to the statistic is taken off, so that many values are no effect.
    effect = float(np.sqrt(max(chi2 - freedom, 0) * (n + m) / (n * m)))
    moved = float(np.abs(table[0] / n - table[1] / m).sum() / 2)
    return _Test("shares", effect, float(p_value), 0.0, moved)


def _price_level(before: Floats, after: Floats, params: DriftParams) -> _Column:
    column = _Column(
        PRICE_LEVEL,
        (len(before), len(after)),
        (0.0, 0.0),
        threshold=float(np.log1p(params.price_shift)),
        not_to_miss=float(np.log1p(params.price_shift_not_to_miss)),
    )
    if min(column.rows) == 0:
        return column
    # An error spread as the normal one, its outliers left out; a median is 1.25 times less sure than a mean.
    column.spread = float(1.2533 * stats.median_abs_deviation(before, scale="normal")) or 1.0
    medians = float(np.median(before)), float(np.median(after))
    p_value = stats.mannwhitneyu(after, before, alternative="two-sided", method="asymptotic").pvalue
    column.families.append([_Test("price level", abs(medians[1] - medians[0]), float(p_value), *medians)])
    return column


# --- verdicts


def _finding(column: _Column, columns: int, params: DriftParams, enough: bool) -> Finding:
    factor = max(columns, 1) * max(len(column.families), 1)
    level = params.false_alarms / factor
    families = [(family, _looked_at(family, level)) for family in column.families]
    most = max((looked_at for _, looked_at in families), default=1)
    detectable = _detectable(column, level / most) if enough else float("inf")
    changes, strongest = [], None
    if enough:
        looked_at = [
            Change(
                t.kind,
                t.effect,
                column.threshold,
                min(1.0, t.p_value * factor * tests),
                t.before,
                t.after,
                t.value,
            )
            for family, tests in families
            for t in family
        ]
        changes = [c for c in looked_at if c.chance <= params.false_alarms and c.effect >= c.threshold]
        changes.sort(key=lambda c: (c.kind == "shares", c.chance, -c.effect))
        strongest = min(looked_at, key=lambda c: (c.chance, -c.effect), default=None)
    verdict: Verdict = STABLE
    if changes:
        verdict = DRIFTED
    elif detectable > column.not_to_miss:
        verdict = TOO_LITTLE
    return Finding(column.name, verdict, *column.rows, *column.empty, detectable, strongest, changes)


def _looked_at(family: list[_Test], level: float) -> int:
    """How many tests of a family count in its correction: those with too few rows ever to alarm do not.

    Source: Tarone, A Modified Bonferroni Method for Discrete Data, Biometrics 46 (1990).
    """
    tests = np.arange(1, len(family) + 1)
    able = np.searchsorted(np.sort([t.attainable for t in family]), level / tests, side="right")
    return int(tests[np.argmax(able <= tests)])


def _detectable(column: _Column, false_alarms: float) -> float:
    """The smallest effect seen with `POWER`, by the normal approximation; infinite without rows."""
    if min(column.rows) == 0:
        return float("inf")
    z = stats.norm.isf(false_alarms / 2) + stats.norm.ppf(POWER)
    return float(z * column.spread * np.sqrt(1 / column.rows[0] + 1 / column.rows[1]))


# --- shares


def _arc(share: float) -> float:
    """The scale on which shares are equally sure everywhere; differences on it are Cohen's h."""
    return float(2 * np.arcsin(np.sqrt(share)))


def _fisher(b: npt.NDArray[np.int64], a: npt.NDArray[np.int64], n: int, m: int) -> Floats:
    """Two-sided p-values of Fisher's exact test (twice the smaller tail), for counts b of n and a of m."""
    seen = stats.hypergeom(n + m, a + b, m)
    p_values: Floats = np.minimum(1.0, 2 * np.minimum(seen.cdf(a), seen.sf(a - 1)))
    return p_values


def _smallest_fisher(total: npt.NDArray[np.int64], n: int, m: int) -> Floats:
    """The smallest p-value that `_fisher` can give to values with so many rows on both sides together."""
    seen = stats.hypergeom(n + m, total, m)
    most, least = np.minimum(total, m), np.maximum(total - n, 0)
    smallest: Floats = np.minimum(1.0, 2 * np.minimum(seen.pmf(most), seen.pmf(least)))
    return smallest


def before_and_after(
    before: pd.Series, after: pd.Series, most: int = 8, named: Sequence[str] = ()
) -> Mapping[str, tuple[float, float]]:
    """Shares of the most frequent categories on both sides (empty and others last), for a picture."""
    n, m = max(len(before), 1), max(len(after), 1)
    shares = pd.DataFrame({"b": before.value_counts() / n, "a": after.value_counts() / m}).fillna(0.0)
    shares["largest"] = shares.max(axis=1)
    first = [value for value in named if value in shares.index]
    order = [*first, *(v for v in shares.sort_values("largest", ascending=False).index if v not in first)]
    shown = shares.loc[order[:most]]
    found = {
        str(v): (float(b), float(a)) for v, b, a in zip(shown.index, shown["b"], shown["a"], strict=True)
    }
    rest = shares.loc[order[most:]]
    if len(rest):
        found[f"{len(rest)} others"] = (float(rest["b"].sum()), float(rest["a"].sum()))
    empty = float(before.isna().mean()), float(after.isna().mean())
    if max(empty) > 0:
        found["(empty)"] = empty
    return found
