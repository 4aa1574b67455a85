"""Our page about drift, for a reviewer who reads no statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from carprice.model.metrics import Floats
from carprice.monitoring.accuracy import Accuracy, Scored
from carprice.monitoring.charts import picture
from carprice.monitoring.compared_columns import PRICE_LEVEL, Said, rows_that_say
from carprice.monitoring.drift_sentences import changes_to_report, label, odds, sentence, short_percent
from carprice.monitoring.verdict import DRIFTED, Comparison, Finding
from carprice.reports.html import templates

# A larger detectable effect means that there are hardly any rows.
LARGEST_DETECTABLE = 9.0


@dataclass(frozen=True)
class Compared:
    """A comparison and its two tables of listings; `said` tells which rows come from files with a column."""

    comparison: Comparison
    reference: pd.DataFrame
    current: pd.DataFrame
    said: Said | None = None

    def rows_of(self, column: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of both tables that are compared in a column."""
        return rows_that_say(column, self.reference, self.current, self.said)


def render(
    report: dict[str, Any],
    compared: Compared,
    scored: tuple[Scored, Scored],
    accuracy: Accuracy,
    questions: Compared | None,
) -> str:
    """The page. `scored` are the listings that the model's errors come from, before and now."""
    errors = scored[0].error, scored[1].error
    kinds = {change.kind for finding in compared.comparison.findings for change in changes_to_report(finding)}
    return (
        templates()
        .get_template("drift.html")
        .render(
            report=report,
            changes=_cards(compared, errors),
            columns=_rows(compared, errors),
            kinds_of_change=kinds,
            accuracy=accuracy,
            question_changes=_cards(questions, None) if questions else [],
            question_columns=_rows(questions, None) if questions else [],
            label=label,
        )
    )


def _cards(compared: Compared, errors: tuple[Floats, Floats] | None) -> list[dict[str, Any]]:
    """One card for each drifted column: its sentences, how likely each is by chance, and a picture."""
    return [
        {
            "column": finding.column,
            "sentences": [
                (sentence(finding.column, change), odds(change.p_value))
                for change in changes_to_report(finding)
            ],
            "picture": picture(finding, *compared.rows_of(finding.column), errors),
        }
        for finding in compared.comparison.findings
        if finding.verdict == DRIFTED
    ]


def _rows(compared: Compared, errors: tuple[Floats, Floats] | None) -> list[dict[str, Any]]:
    """One row for each column, for the table of all columns."""
    return [
        {
            "finding": finding,
            "effect": "" if finding.effect is None else _size(finding, finding.effect),
            "detectable": (
                _size(finding, finding.detectable) if finding.detectable < LARGEST_DETECTABLE else "–"
            ),
            "odds": odds(finding.p_value),
            "picture": picture(finding, *compared.rows_of(finding.column), errors, width=150, height=44),
        }
        for finding in compared.comparison.findings
    ]


def _size(finding: Finding, effect: float) -> str:
    return short_percent(effect) if finding.column == PRICE_LEVEL else f"{effect:.2f}"
