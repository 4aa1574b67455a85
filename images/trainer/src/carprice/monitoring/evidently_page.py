"""Evidently's page about drift, beside our own: the same run of the same tests, and details of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from carprice.monitoring.accuracy import Scored
from carprice.monitoring.compared_columns import PRICE, column_names, is_number, values_of
from carprice.monitoring.verdict import Comparison

if TYPE_CHECKING:
    from evidently.core.report import Snapshot


def evidently_report(
    comparison: Comparison, before: Scored, now: Scored, rows: int
) -> tuple[Snapshot, list[str]]:
    """Evidently's report, and the columns that its summary could not take.

    First the drift of every column, from the run that gave the verdict. Then a summary of the data and how
    well the model priced it, over at most `rows` listings of each side: in these an empty category reads
    "unknown", rare values count as one, and a column that is empty on one side is left out.
    """
    import plotly.io
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.presets import DataSummaryPreset, RegressionPreset

    from carprice.monitoring import evidently_adapter

    evidently_adapter.stay_private()
    # Plotly's default style is 7 kB, and Evidently writes it into each of some hundred figures.
    plotly.io.templates.default = "none"
    named = {f.column: {c.value for c in f.changes if c.value is not None} for f in comparison.findings}
    compared = [c for c in column_names() if c in named]
    sides = [_drawn(side, rows) for side in (before, now)]
    tables = [pd.DataFrame({c: values_of(s.listings, c).to_numpy() for c in compared}) for s in sides]
    empty = [c for c in compared if any(not table[c].notna().any() for table in tables)]
    columns = [c for c in compared if c not in empty]
    numbers = [c for c in columns if is_number(c)]
    categories = [c for c in columns if c not in numbers]
    for column in categories:
        _summarise(tables, column, named[column])
    for table, side in zip(tables, sides, strict=True):
        table[numbers] = table[numbers].astype(np.float64)
        table["predicted_mad"] = side.predicted_mad
    definition = DataDefinition(
        numerical_columns=[*numbers, "predicted_mad"],
        categorical_columns=categories,
        regression=[Regression(target=PRICE, prediction="predicted_mad")],
    )
    reference, current = (
        Dataset.from_pandas(table[[*columns, "predicted_mad"]], data_definition=definition)
        for table in tables
    )
    report = Report([RegressionPreset(), DataSummaryPreset(columns=columns)])
    details = evidently_adapter.run_quietly(report, current, reference)
    if comparison.run is not None:
        details = evidently_adapter.with_drift(comparison.run, details, named)
    return details, [*comparison.left_out, *empty]


def _summarise(tables: list[pd.DataFrame], column: str, named: set[str]) -> None:
    """Name the empty values of a category, and let its rare values count as one."""
    from carprice.monitoring.evidently_adapter import MOST_VALUES, safe_label

    both = pd.concat([table[column] for table in tables]).fillna("unknown")
    frequent = set(both.value_counts().index[:MOST_VALUES]) | named
    for table in tables:
        values = table[column].astype(object).where(table[column].notna(), "unknown")
        table[column] = values.where(values.isin(frequent), "other values").map(safe_label)


def _drawn(side: Scored, rows: int) -> Scored:
    """At most `rows` listings, without absurd prices, which flatten every picture."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(side.asking_mad))[:rows])
    usual = chosen[~side.flagged[chosen]]
    return side.take(usual if len(usual) > 1 else chosen)
