"""The verdict on new listings: drifted, stable, or too little data to say.

Evidently runs the statistical tests of `drift_tests` on each column, and the verdict is read from its result.
A column drifted if one of its tests found an effect that is large enough to matter and unlikely by chance,
corrected for all other tests. A column is stable only if its tests would have seen a change that matters.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from carprice.listings.schema import FEATURES
from carprice.model.metrics import Floats
from carprice.monitoring import drift_tests
from carprice.monitoring.compared_columns import (
    MILEAGE_BRACKET,
    PRICE,
    PRICE_LEVEL,
    ComparedColumn,
    Said,
    compared_columns,
)
from carprice.monitoring.drift_tests import Difference, Kind
from carprice.params import DriftParams

if TYPE_CHECKING:
    from carprice.monitoring.evidently_adapter import ColumnResult, DriftRun

Verdict = Literal["stable", "drifted", "too little data"]
STABLE: Final = "stable"
DRIFTED: Final = "drifted"
TOO_LITTLE: Final = "too little data"

FILLED, EMPTY = "filled", "empty"
# The median of a normal sample varies this much more than its mean.
MEDIAN_TO_MEAN_ERROR = float(np.sqrt(np.pi / 2))


@dataclass(frozen=True)
class Change:
    """One way in which a column may have changed: the result of one test.

    `effect` is compared with `threshold`. `p_value` is corrected for all tests of all columns, at most 1. The
    other fields are those of `Difference`.
    """

    kind: Kind
    effect: float
    threshold: float
    p_value: float
    before: float
    after: float
    value: str | None = None


@dataclass(frozen=True)
class Finding:
    """What the tests found in one column.

    `effect` is Evidently's drift score: the effect of the most striking change, None if no test ran.
    `detectable` is the smallest effect that would be seen with a power of 80 % at this number of rows.
    `changes` are the alarms, most striking first; `strongest` is the least likely change, alarm or not.
    `empty_reference` and `empty_current` are shares of rows without a value.
    """

    column: str
    verdict: Verdict
    rows_reference: int
    rows_current: int
    empty_reference: float
    empty_current: float
    effect: float | None
    detectable: float
    strongest: Change | None
    changes: list[Change] = field(default_factory=list)

    @property
    def p_value(self) -> float:
        """The corrected p-value of the most striking change."""
        return self.changes[0].p_value if self.changes else self.strongest.p_value if self.strongest else 1.0


@dataclass(frozen=True)
class Comparison:
    """The verdict on all columns, and the finding for each; columns that are empty in both are left out.

    `not_said` are columns that no file of one side has. `run` is Evidently's run that the verdict was
    read from, None if there were too few rows to test.
    """

    verdict: Verdict
    rows_reference: int
    rows_current: int
    findings: list[Finding]
    left_out: list[str]
    not_said: list[str] = field(default_factory=list)
    run: DriftRun | None = field(default=None, repr=False, compare=False)

    @property
    def drifted(self) -> list[str]:
        """The columns that drifted, most striking first."""
        return [finding.column for finding in self.findings if finding.verdict == DRIFTED]

    def record(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return {
            "verdict": self.verdict,
            "rows_reference": self.rows_reference,
            "rows_current": self.rows_current,
            "drifted_columns": self.drifted,
            # JSON has no infinity: without rows no effect is detectable.
            "columns": [
                asdict(f) | {"detectable": f.detectable if np.isfinite(f.detectable) else None}
                for f in self.findings
            ],
            "columns_left_out": self.left_out,
            "columns_not_said": self.not_said,
        }


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    params: DriftParams,
    errors: tuple[Floats, Floats] | None = None,
    count_empty: bool = True,
    said: Said | None = None,
) -> Comparison:
    """Compare listings (canonical columns, n and m rows) column by column, and by price where both have it.

    `errors` are log(asking price / predicted price) of listings that the model was not trained on, before and
    now, of any lengths. They show a new price level for equal cars, which the wide spread of prices hides.
    Without `count_empty` a new share of empty values is no drift: people leave other fields of a form empty
    than sellers do. With `said` a column is compared on the rows of files that have it; a column that no file
    of one side has is no drift and stands in `not_said`.

    Each of the C tested columns gets `false_alarms` / C as its probability of a false alarm (Bonferroni).
    """
    columns = compared_columns(reference, current, said)
    if errors is not None:
        columns.append(ComparedColumn(PRICE_LEVEL, True, pd.Series(errors[0]), pd.Series(errors[1])))
    enough = min(len(reference), len(current)) >= params.min_rows
    tested = [column for column in columns if enough and _can_change(column, count_empty)]
    tests = {column.name: _ColumnTest(column, len(tested), params, count_empty) for column in tested}
    run = _run(list(tests.values())) if tests else None
    findings = [
        _finding(
            column, tests.get(column.name), run.results.get(column.name) if run else None, params, enough
        )
        for column in columns
    ]
    order = {DRIFTED: 0, TOO_LITTLE: 1, STABLE: 2}
    findings.sort(key=lambda finding: (order[finding.verdict], finding.p_value, -(finding.effect or 0)))
    known = {column.name for column in columns}
    left_out = [name for name in FEATURES if name not in known and name not in MILEAGE_BRACKET]
    not_said = [
        name for name in left_out if max(reference[name].notna().sum(), current[name].notna().sum()) > 0
    ]
    left_out = [name for name in left_out if name not in not_said]
    return Comparison(_verdict(findings), len(reference), len(current), findings, left_out, not_said, run)


class _ColumnTest:
    """All tests of one column as one statistical test, which Evidently runs.

    A call takes the values that Evidently took from the two tables, of shape (n,) and (m,) without the empty
    ones, keeps the changes it finds, and returns the effect and whether the column drifted.
    """

    def __init__(self, column: ComparedColumn, columns: int, params: DriftParams, count_empty: bool) -> None:
        self.column = column
        self.threshold, _ = _thresholds(column.name, params)
        self.changes: list[Change] = []
        self.strongest: Change | None = None
        self.tests = 1
        self.columns, self._false_alarms = columns, params.false_alarms
        self._count_empty = count_empty and column.has_empty_values

    @property
    def only_empty(self) -> bool:
        """Whether one side has no value at all, so that only the share of empty values can be compared."""
        return min(self.column.rows) == 0

    @property
    def is_number(self) -> bool:
        """Whether Evidently gets numbers."""
        return self.column.is_number and not self.only_empty

    def values(self) -> tuple[pd.Series, pd.Series]:
        """The column as Evidently gets it.

        Evidently refuses a column that is empty on one side: it gets `FILLED` or `EMPTY` for each row. Values
        too rare to alarm count as one, as Evidently's time grows with the square of the number of values.
        """
        before, after = self.column.sides
        if self.only_empty:
            before, after = (side.notna().map({True: FILLED, False: EMPTY}) for side in (before, after))
        elif not self.column.is_number:
            rare = drift_tests.rare_values(before, after, self._false_alarms / self.columns)
            before, after = (side.mask(side.isin(rare), drift_tests.RARE_VALUES) for side in (before, after))
        return before, after

    def __call__(self, reference: pd.Series, current: pd.Series) -> tuple[float, bool]:
        found = self._differences(reference, current)
        self.tests = max(len(found), 1)
        p_values = drift_tests.corrected([each.p_value for each in found], self.columns)
        changes = [
            Change(
                each.kind,
                each.effect,
                self.threshold,
                float(p_value),
                each.before,
                each.after,
                each.value,
            )
            for each, p_value in zip(found, p_values, strict=True)
        ]
        alarms = [c for c in changes if c.p_value <= self._false_alarms and c.effect >= self.threshold]
        # The mix of values comes last: a single value says more.
        self.changes = sorted(alarms, key=lambda c: (c.kind == "shares", c.p_value, -c.effect))
        self.strongest = min(changes, key=lambda c: (c.p_value, -c.effect), default=None)
        shown = self.changes[0] if self.changes else self.strongest
        return (shown.effect if shown else 0.0), bool(self.changes)

    def _differences(self, reference: pd.Series, current: pd.Series) -> list[Difference]:
        column = self.column
        rows = len(column.reference), len(column.current)
        if self.only_empty:
            reference, current = (side[side == FILLED] for side in (reference, current))
        found = []
        if self._count_empty:
            empty = rows[0] - len(reference), rows[1] - len(current)
            found.append(drift_tests.empty_values(empty, rows))
        if self.only_empty:
            return found
        if not column.is_number:
            return found + drift_tests.categories(reference, current)
        before, after = (side.to_numpy(dtype=np.float64) for side in (reference, current))
        if column.name == PRICE_LEVEL:
            return [*found, drift_tests.price_level(before, after)]
        found.append(drift_tests.numbers(before, after, log=column.name == PRICE))
        if drift_tests.comes_in_steps(before, after):
            groups = None
            if column.age_groups is not None:
                # Evidently keeps the index: the row of each listing in its table.
                groups = column.age_groups[0][reference.index], column.age_groups[1][current.index]
            found.append(drift_tests.steps(before, after, groups))
        return found


def _run(tests: list[_ColumnTest]) -> DriftRun:
    from carprice.monitoring import evidently_adapter

    # Evidently takes column by column. A row of these tables is no listing: the errors come from others.
    tables: tuple[dict[str, pd.Series], dict[str, pd.Series]] = ({}, {})
    for test in tests:
        for table, values in zip(tables, test.values(), strict=True):
            table[test.column.name] = values.reset_index(drop=True)
    reference, current = (pd.DataFrame(table) for table in tables)
    return evidently_adapter.run_drift_tests(
        reference,
        current,
        [
            evidently_adapter.ColumnTest(
                column=test.column.name,
                name="share of empty values" if test.only_empty else "effect size",
                is_number=test.is_number,
                threshold=test.threshold,
                run=test,
            )
            for test in tests
        ],
    )


def _can_change(column: ComparedColumn, count_empty: bool) -> bool:
    """Whether there is a test for a column."""
    if count_empty and column.has_empty_values:
        return True
    return min(column.rows) > 0 and (column.is_number or not column.is_constant)


def _finding(
    column: ComparedColumn,
    test: _ColumnTest | None,
    result: ColumnResult | None,
    params: DriftParams,
    enough: bool,
) -> Finding:
    _, not_to_miss = _thresholds(column.name, params)
    detectable = _detectable(column, test, params) if enough else float("inf")
    verdict: Verdict = STABLE
    if result is not None and result.drifted:
        verdict = DRIFTED
    elif detectable > not_to_miss:
        verdict = TOO_LITTLE
    return Finding(
        column.name,
        verdict,
        *column.rows,
        *column.empty,
        result.score if result else None,
        detectable,
        test.strongest if test else None,
        test.changes if test else [],
    )


def _detectable(column: ComparedColumn, test: _ColumnTest | None, params: DriftParams) -> float:
    level = params.false_alarms / (test.tests * test.columns if test else 1)
    if column.name != PRICE_LEVEL or min(column.rows) == 0:
        return drift_tests.detectable_effect(column.rows, level)
    # The errors of a normal sample as wide as theirs, without outliers.
    spread = float(stats.median_abs_deviation(column.reference, scale="normal")) or 1.0
    shift = drift_tests.detectable_effect(column.rows, level, MEDIAN_TO_MEAN_ERROR * spread)
    return float(np.expm1(shift))


def _thresholds(column: str, params: DriftParams) -> tuple[float, float]:
    """The smallest effect that alarms, and the effect that a stable column must not hide."""
    if column == PRICE_LEVEL:
        return params.price_shift, params.price_shift_not_to_miss
    return params.effect, params.effect_not_to_miss


def _verdict(findings: list[Finding]) -> Verdict:
    if any(finding.verdict == DRIFTED for finding in findings):
        return DRIFTED
    # A column that is mostly empty may stay open; every other column must have shown that it is stable.
    open_questions = [
        finding
        for finding in findings
        if finding.verdict == TOO_LITTLE and max(finding.empty_reference, finding.empty_current) < 0.5
    ]
    return TOO_LITTLE if open_questions or not findings else STABLE
